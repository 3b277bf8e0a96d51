"""Acknowledgements (TA1, 999, 997) that come in place of an answer, in words: was the question taken or refused, and where in it.

Source: ASC X12.5 (TA1: TA104, TA105), 005010X231A1 (999: IK3, IK4, IK5, AK9), 005010 997 (AK3, AK4, AK5, AK9).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from mappers.x12.place import Place
from mappers.x12.reader import Interchange
from mappers.x12.segment import Segment
from mappers.x12.sets import Transaction

ACKNOWLEDGING: Final = frozenset({"999", "997"})
_TAKEN: Final = frozenset("AE")
"""TA104, IK501, AK501, AK901: accepted, accepted with errors noted."""
_NOTES: Final = {
    "006": "the sender's id is not one it knows",
    "008": "the receiver's id is not one it takes",
    "009": "the receiver's id is not one it knows",
    "011": "it wants a sign-in in the interchange",
    "013": "it wants a sign-in in the interchange",
    "020": "the test indicator is not what it takes",
    "025": "the interchange's number was used before",
}
"""TA105, the few that say what to change in a payer's configuration."""


class Acknowledgement(NamedTuple):
    """taken: has the other side taken what was sent? text: for a clerk, without a value of what was sent. where: it stands."""

    taken: bool
    text: str
    where: Place


def acknowledgements(interchange: Interchange) -> Iterator[Acknowledgement]:
    """Those an interchange holds, TA1 first."""
    for segment in interchange.segments:
        if segment.id == "TA1":
            yield _interchange(segment)
    for transaction in interchange.transactions:
        if transaction.kind in ACKNOWLEDGING:
            yield _transaction(transaction)


def _interchange(ta1: Segment) -> Acknowledgement:
    code, note = ta1.value(4), ta1.value(5)
    if code in _TAKEN:
        return Acknowledgement(True, "an acknowledgement (TA1) that the interchange was taken; the answer (271) is still to come", ta1.where())
    why = ": ".join(filter(None, (f"TA105 {note}" if note else "", _NOTES.get(note, ""))))
    return Acknowledgement(False, "the interchange was refused (TA1)" + (f", {why}" if why else ""), ta1.where(4))


def _transaction(transaction: Transaction) -> Acknowledgement:
    kind, where = transaction.kind, transaction.segments[0].where(1)
    said = [segment.value(1) for segment in transaction.segments if segment.id in ("IK5", "AK5", "AK9")]
    if said and all(code in _TAKEN for code in said):
        return Acknowledgement(True, f"an acknowledgement ({kind}) that the question was taken; the answer (271) is still to come", where)
    places = list(dict.fromkeys(_places(transaction)))
    said_at = f", at {', '.join(places[:5])} of what was sent" if places else ""
    return Acknowledgement(False, f"the question was refused ({kind}){said_at}", where)


def _places(transaction: Transaction) -> Iterator[str]:
    """`segment 8 (NM1), element 9`; the number counts from ST."""
    at, told = "", True
    for segment in transaction.segments:
        if segment.id in ("IK3", "AK3"):
            if not told:
                yield at
            at, told = f"segment {segment.value(2)} ({segment.value(1)})", False
        elif segment.id in ("IK4", "AK4"):
            yield f"{at}, element {segment.value(1)}"
            told = True
    if not told:
        yield at
