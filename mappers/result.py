"""What every mapper answers: drafts of FHIR resources, what was found wrong, and where each value went.

Shared by all wire formats. A mapper never asks the store: whether a draft becomes a new resource or a new version of a held
one is settled later, inside the transaction, through the draft's identity keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, overload

Json = dict[str, Any]
Severity = Literal["fatal", "error", "warning", "information"]
Fate = Literal["mapped", "kept", "structural", "empty"]
EventKind = Literal["refer", "book", "reschedule", "modify", "cancel", "noshow", "status"]


class IdentityKey(NamedTuple):
    """One name a resource is known by. `(kind, value)` is unique in the store: whoever claims it first is that resource.

    kind: the resource type, followed by `:PLAC`, `:FILL` … where one type has several kinds of key ("Patient", "ServiceRequest:PLAC").
    value: `system|value`, or several such parts joined by a tab when the key is composite.
    """

    kind: str
    value: str


@dataclass(frozen=True, slots=True, order=True)
class Clock:
    """When a version of a record was made, by the sender's own clocks; newer wins, `rank` (of the status) breaks ties only.

    clinical: when the result or event was reported (OBR-22), "" when the record has no such time.
    message: when the message was made (MSH-7).
    Both are UTC, `YYYYMMDDHHMMSSffffff`, so that text order is time order. Local times without zone are taken in the site's zone.
    """

    clinical: str = ""
    message: str = ""
    rank: int = 0


PROMOTED: Final = 51
"""Rank of what was made final without being sent again: final, and its content is still that of a preliminary (`Draft.merge`)."""


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a v2 message as ERR-2 (ERL) says it: segment, its sequence among segments of that name, field, repetition, component, subcomponent."""

    segment: str
    sequence: int = 1
    field: int | None = None
    repetition: int | None = None
    component: int | None = None
    subcomponent: int | None = None

    def __str__(self) -> str:
        text = f"{self.segment}[{self.sequence}]"
        if self.field is not None:
            text += f"-{self.field}"
            if self.repetition is not None and self.repetition > 1:
                text += f"({self.repetition})"
            if self.component is not None:
                text += f".{self.component}"
                if self.subcomponent is not None:
                    text += f".{self.subcomponent}"
        return text


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth saying about the message. `code` is HL7 table 0357; `text` never quotes a field's value (it may be about a person)."""

    severity: Severity
    code: str
    text: str
    where: Location | None = None


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """Where one valued field went: `mapped` to an element (`target`, a FHIR path), `kept` in an extension or on the Provenance, or `structural` (delimiters, set ids)."""

    where: Location
    fate: Fate
    target: str
    why: str = ""


class Unmapped(NamedTuple):
    """A code that no table translates. table: key of the ConceptMap that was asked, or the URI of the sender's own code system. place: `PID-16`."""

    table: str
    code: str
    display: str
    place: str


Told = tuple[str, int, int | None, int | None, int | None, Fate, str, str]
"""A ledger entry without its segment's sequence: segment, field, repetition, component, subcomponent, fate, target, why. Of plain values only, so that
tables share them and the collector of cycles passes them by."""


class Ledger(Sequence[LedgerEntry]):
    """The ledger of one message. It holds rows, most of them shared, by segment; the entries are made when they are read."""

    __slots__ = ("_groups",)

    def __init__(self, groups: Sequence[tuple[int, Sequence[Told]]] = ()) -> None:
        """groups: the sequence number of a segment, and what is told of its fields."""
        self._groups = groups

    def __len__(self) -> int:
        return sum(len(rows) for _, rows in self._groups)

    def __iter__(self) -> Iterator[LedgerEntry]:
        return (_entry(told, sequence) for sequence, rows in self._groups for told in rows)

    @property
    def groups(self) -> Sequence[tuple[int, Sequence[Told]]]:
        """The sequence number of a segment and what is told of its fields, in the order of the message."""
        return self._groups

    @overload
    def __getitem__(self, at: int) -> LedgerEntry: ...
    @overload
    def __getitem__(self, at: slice) -> list[LedgerEntry]: ...
    def __getitem__(self, at: int | slice) -> LedgerEntry | list[LedgerEntry]:
        return list(self)[at]


@lru_cache(maxsize=16384)
def _entry(told: Told, sequence: int) -> LedgerEntry:
    """Entries depend on the tables and the shape of a message, not on what it says: most of them are those of the message before."""
    segment, number, repetition, component, subcomponent, fate, target, why = told
    return LedgerEntry(Location(segment, sequence, number, repetition, component, subcomponent), fate, target, why)


@dataclass(slots=True)
class Draft:
    """One resource as mapped. References to other drafts of the same message are their `full_url` (urn:uuid, derived from the message, not random).

    keys: identity keys, strongest first; a draft with none is always created.
    merge: `replace` – the newer version stands alone; `enrich` – element by element, absent means unchanged (people, organisations, coverage, a report
    sent without its results); `promote` – only the status counts: what is preliminary becomes final without being sent again (OBX-11 U).
    deletes: what the sender deleted with an explicit null (`""`): `birthDate`, `period.end`, or items of a list, `telecom[use=home]`.
    defaults: elements that stand only where nothing is held: what the message implies without saying it.
    steps: what the resource says and how far it is come by separate messages (REF^I12 and I13 tell, I14 ends): its `status` follows the order of messages,
    its content the time in `clock.clinical`, which a message that only names the resource leaves empty.
    """

    resource: Json
    full_url: str
    keys: tuple[IdentityKey, ...] = ()
    clock: Clock = Clock()
    merge: Literal["replace", "enrich", "promote"] = "replace"
    deletes: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    steps: bool = False


@dataclass(frozen=True, slots=True)
class CaseEvent:
    """A step of the workflow, as opposed to the records that came with it.

    full_url: the draft it happens to, a referral (ServiceRequest) or an Appointment; "" for `status`, which asks about the referral in `Mapped.asked`.
    at: MSH-7 as in `Clock.message`, "" when not sent; events are ordered by it, ties by arrival (PRODUCT.md).
    """

    kind: EventKind
    full_url: str
    at: str


@dataclass(frozen=True, slots=True)
class Header:
    """Who sent what: the parts of MSH that an acknowledgement and the inbox need, decoded."""

    sender: str
    control_id: str
    message_type: str  # "REF^I12"
    version: str
    processing_id: str
    sent_at: str  # MSH-7 as received
    charset: str


@dataclass(slots=True)
class Mapped:
    """A whole message, mapped."""

    header: Header
    drafts: list[Draft] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    digest: str = ""  # SHA-256 of the raw message, hexadecimal
    events: list[CaseEvent] = field(default_factory=list)
    unmapped: Sequence[Unmapped] = ()
    """Codes nobody translated, each once."""
    asked: Sequence[Json] = ()
    """Identifiers of the referral a `status` event asks about; it is looked up, never written."""


class Refused(Exception):
    """The message can't be taken: it is kept, and answered AR (never to be accepted as it stands) or AE (content at fault), with located findings."""

    def __init__(self, findings: list[Finding], ack_code: Literal["AR", "AE"] = "AE") -> None:
        super().__init__("; ".join(f.text for f in findings))
        self.findings = findings
        self.ack_code = ack_code
