"""What the EB loops of one item say beside costs: in force, excluded, restricted to somebody, a second opinion required, the payer's sentences.

What they contradict each other about is not decided here: the item is indeterminate and keeps both. Source: 005010X279A1, EB01 (element 1390).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mappers.result import Json
from mappers.x12.amounts import notes, tells_amount
from mappers.x12.kept import verbatim
from mappers.x12.loops import Loop
from mappers.x12.parties import reference
from mappers.x12.values import extension
from profiles.eligibility import DISCLAIMER, IN_FORCE, INDETERMINATE, NETWORK_PROVIDER, NETWORK_RESTRICTED, SECOND_OPINION_REQUIRED

YES: Final = frozenset("12345")
NO: Final = frozenset("678")
EXCLUDED: Final = frozenset("IEO")
UNCLEAR: Final = "V"
_TOLD: Final = frozenset({*YES, *NO, *EXCLUDED, UNCLEAR, "D", "F", "L", "MC", "N", "Q", "U", "X"})
"""EB01 that have a home elsewhere in the item; others are kept verbatim."""
DECIDING: Final = frozenset({*YES, *NO, *EXCLUDED, UNCLEAR})
"""EB01 that say whether a service type is covered."""
RESTRICTED: Final = {
    "N": "the providers named",
    "L": "the primary care provider",
    "MC": "the managed care coordinator",
    "X": "the facility named",
}
_COORDINATING: Final = frozenset({"L", "MC"})
"""Of those, EB01 whose entity is whom the plan has care go through; it is not one of those who may give the care."""


def told(group: list[Loop]) -> tuple[list[Json], str, bool]:
    """The extensions of an item, its verdict, and whether the payer excludes it."""
    found, verdict, excluded = _standing(group)
    kinds = {loop.segments[0].value(1) for loop in group}
    if "Q" in kinds:
        found.append(extension(SECOND_OPINION_REQUIRED, "Boolean", True))
    found += _restrictions(group)
    for loop in group:
        eb = loop.segments[0]
        if not tells_amount(eb):
            found += verbatim([eb]) if eb.value(1) not in _TOLD or eb.value(10) or eb.raw(14) else []
            found += notes(loop, DISCLAIMER)
    return found, verdict, excluded


def _standing(group: list[Loop]) -> tuple[list[Json], str, bool]:
    """In force, excluded, or undecided with the reason; answers that contradict each other are kept as they are."""
    ebs = [loop.segments[0] for loop in group]
    kinds = {eb.value(1) for eb in ebs}
    yes, no, excluded = (bool(kinds & said) for said in (YES, NO, EXCLUDED))
    if yes + (no or excluded) + (UNCLEAR in kinds) > 1:
        kept = verbatim(eb for eb in ebs if eb.value(1) in DECIDING)
        return [extension(INDETERMINATE, "String", "the payer's answers for this service type contradict each other"), *kept], "both", False
    found = [extension(IN_FORCE, "Boolean", yes)] if yes or no else []
    if not (yes or no or excluded) and (why := _unclear(kinds)):
        found.append(extension(INDETERMINATE, "String", why))
    return found, "yes" if yes else "no" if no else "", excluded


def _unclear(kinds: set[str]) -> str:
    """Why an item that nobody decided can't be decided; "" when it tells something else."""
    if UNCLEAR in kinds:
        return "the payer could not process the question for this service type"
    return "the payer refers to another entity for this service type" if kinds == {"U"} else ""


def _restrictions(group: list[Loop]) -> Iterator[Json]:
    if words := list(dict.fromkeys(_restriction(loop) for loop in group if loop.segments[0].value(1) in RESTRICTED)):
        yield extension(NETWORK_RESTRICTED, "String", "; ".join(words))
    for loop in group:
        if loop.segments[0].value(1) in {*RESTRICTED, "Q"} - _COORDINATING:
            for named in loop.inner("2120"):
                if provider := reference(named.segments[0]):
                    yield extension(NETWORK_PROVIDER, "Reference", provider)


def _restriction(loop: Loop) -> str:
    """`the primary care provider: MARCUS JONES 1234567893`."""
    kind = loop.segments[0].value(1)
    found = [reference(named.segments[0]) for named in loop.inner("2120")] if kind in _COORDINATING else []
    names = [" ".join(filter(None, (one.get("display", ""), one.get("identifier", {}).get("value", "")))) for one in found]
    return ": ".join(filter(None, (RESTRICTED[kind], ", ".join(filter(None, names)))))
