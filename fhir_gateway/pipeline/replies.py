"""What an HL7 v2 sender is told when a case has moved, as messages: the table of the state machine, put into the words its sender is registered for.

Pure. Queueing and sending are left to whoever calls it: the same case, moment and control id make the same bytes, so a message sent again is the same
message.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from fhir_gateway.cases import machine
from mappers.result import Json
from mappers.v2.write.er7 import Envelope
from mappers.v2.write.mdm import mdm
from mappers.v2.write.omg import omg
from mappers.v2.write.osu import osu
from mappers.v2.write.rri import rri
from mappers.v2.write.segments import Standing, Subject
from mappers.v2.write.siu import siu

Style = Literal["rri", "osu"]
WITHHELD: Final = "The opinion has been issued. The permission we hold does not cover sending it to you."


@dataclass(frozen=True, slots=True)
class Reply:
    """Everything a message about a case may need.

    state: the case state now. reason: why, in words (the coordination Task's statusReason). appointment: with `actors`, what its participants refer to by
    reference. note: the consultation note (DocumentReference with its data), None when it may not be returned; author: Practitioner who signed it;
    replaces: the DocumentReference it replaces.
    """

    subject: Subject
    state: str
    reason: str = ""
    appointment: Json | None = None
    actors: Mapping[str, Json] = field(default_factory=dict)
    note: Json | None = None
    author: Json | None = None
    replaces: Json | None = None

    @property
    def standing(self) -> Standing:
        """RF1-1, ORC-1 and ORC-5 of the state."""
        row = machine.BY_NAME[self.state]
        return Standing(row.rf1, row.orc1, row.orc5)


def write_replies(style: Style, tellings: Collection[str], reply: Reply, envelope: Envelope) -> list[bytes]:
    """The messages that tell the sender of a transition, in the order they are to be sent; none when there is nothing to tell.

    style: `rri` for chapter 11 (RRI, MDM), `osu` for 360X (OSU, OMG). tellings: names of machine.TELLINGS (`machine.tells`). The first message has the
    envelope's control id, further ones `-2`, `-3` … behind it.
    """
    made: list[bytes] = []
    for telling in (known for known in machine.TELLINGS if known in tellings):
        for write in _WRITERS[style].get(telling, ()):
            number = len(made) + 1
            numbered = envelope if number == 1 else replace(envelope, control_id=f"{envelope.control_id}-{number}")
            if (message := write(reply, numbered)) is not None:
                made.append(message)
    return made


def status_answer(reply: Reply, envelope: Envelope) -> bytes:
    """RRI^I15: the answer to REF^I15, whatever the state. envelope.answers: MSH-10 of the question."""
    return rri(reply.subject, reply.standing, envelope, event="I15", notes=_words(reply))


def _words(reply: Reply) -> list[str]:
    return [reply.reason] if reply.reason else []


Writer = Callable[[Reply, Envelope], bytes | None]


def _rri(reply: Reply, envelope: Envelope) -> bytes:
    return rri(reply.subject, reply.standing, envelope, notes=_words(reply))


def _rri_withdrawn(reply: Reply, envelope: Envelope) -> bytes:
    return rri(reply.subject, reply.standing, envelope, event="I14", notes=_words(reply) or ["Withdrawn"])


def _rri_report(reply: Reply, envelope: Envelope) -> bytes:
    return rri(reply.subject, reply.standing, envelope, notes=_words(reply) if reply.note else [WITHHELD], report=reply.note is not None)


def _mdm(reply: Reply, envelope: Envelope) -> bytes | None:
    if reply.note is None:
        return None
    return mdm(reply.subject, reply.standing, envelope, note=reply.note, author=reply.author, replaces=reply.replaces)


def _osu(reply: Reply, envelope: Envelope) -> bytes:
    effective = str((reply.appointment or {}).get("start", "")) if reply.state == "scheduled" else ""
    return osu(reply.subject, reply.standing, envelope, reason=reply.reason, effective=effective)


def _omg(reply: Reply, envelope: Envelope) -> bytes:
    notes = _words(reply) if reply.note else [WITHHELD]
    return omg(reply.subject, reply.standing, envelope, note=reply.note, author=reply.author, notes=notes)


def _omg_interim(reply: Reply, envelope: Envelope) -> bytes | None:
    return _omg(reply, envelope) if reply.note else None


def _siu(event: Literal["S12", "S13", "S15", "S26"]) -> Writer:
    def write(reply: Reply, envelope: Envelope) -> bytes | None:
        if reply.appointment is None:
            return None
        return siu(event, reply.appointment, reply.subject, envelope, actors=reply.actors, notes=_words(reply))

    return write


_SCHEDULE: Final[dict[str, tuple[Writer, ...]]] = {
    "booked": (_siu("S12"),),
    "moved": (_siu("S13"),),
    "called-off": (_siu("S15"),),
    "missed": (_siu("S26"),),
}
# Telling → its messages, by what the sender is registered for. `requests` are Tasks, which have messages of their own.
_WRITERS: Final[dict[str, dict[str, tuple[Writer, ...]]]] = {
    "rri": {"status": (_rri,), "withdrawn": (_rri_withdrawn,), "interim": (_mdm,), "outcome": (_rri_report, _mdm), **_SCHEDULE},
    "osu": {"status": (_osu,), "withdrawn": (_osu,), "interim": (_omg_interim,), "outcome": (_omg,), **_SCHEDULE},
}
