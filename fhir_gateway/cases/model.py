"""What the rules are told and what they answer. Data only.

Resources are plain FHIR R4 JSON (dicts) as stored; nothing here changes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Literal

Json = dict[str, Any]
Code = tuple[str, str]
"""(system, code); system is "" where a code stands alone, as a linkId does."""

ItemState = Literal[
    "not-applicable",
    "missing",
    "requested",
    "expected",
    "received",
    "accepted",
    "expiring",
    "not-acceptable",
    "waived",
    "declined",
]
GateState = Literal["satisfied", "not-satisfied", "indeterminate"]
GapStatus = Literal["open-gap", "closed-gap", "prospective-gap", "not-applicable"]


@dataclass(frozen=True, slots=True)
class Record:
    """One stored record, as seen from a case.

    reference: "Type/id". received_at: when the gateway got this version (aware). link: "referral" when the record names the
    case's referral, "patient" when it is only about the same patient. source: id of the kept raw message. sender: who sent
    it. patient: the Patient resource the record itself is about, when it is not the case's own; None means the case's own, or one linked with it.
    """

    reference: str
    resource: Json
    received_at: datetime
    link: Literal["referral", "patient"] = "patient"
    source: str | None = None
    sender: str = ""
    patient: Json | None = None


@dataclass(frozen=True, slots=True)
class NotBilled:
    """Plans the patient forbids to be told of this service (Consent). alone: none is left that may be told. coverages: references of those that may not.

    turns: days ahead on which this changes by itself.
    """

    alone: bool = False
    coverages: frozenset[str] = frozenset()
    turns: tuple[date, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseFile:
    """One case as stored. tasks: Tasks that are `partOf` the coordination Task (requests, waivers, judgements on records)."""

    referral: Json
    patient: Json
    task: Json | None = None
    records: tuple[Record, ...] = ()
    appointment: Json | None = None
    tasks: tuple[Json, ...] = ()
    source: str | None = None
    """Id of the raw message the referral came in."""
    not_billed: NotBilled = NotBilled()


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time in the clinic's calendar. now: aware. holidays: days that are no business days."""

    now: datetime
    zone: tzinfo = UTC
    holidays: frozenset[date] = frozenset()

    @property
    def today(self) -> date:
        """The clinic's date at `now`."""
        return self.now.astimezone(self.zone).date()


@dataclass(frozen=True, slots=True)
class Policy:
    """The clinic's own choices.

    review_days: business days the clinic needs between the last record and the appointment, where the checklist says none.
    language: BCP-47 language the clinic reads. clinic: references, identifiers or names by which a consent may name the
    clinic. purposes: v3-ActReason codes a consent may be limited to and still cover a second opinion.
    """

    review_days: int = 5
    language: str = "en"
    clinic: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset({"TREAT", "PATRQT", "CAREMGT", "COC"})


CustodyState = Literal["requested", "shipped", "received", "returned", "lost"]


@dataclass(frozen=True, slots=True)
class Consignment:
    """One consignment of a physical thing. task: id of its custody Task. condition: `good`, `unreadable` or a code of table 0490, "" while not received.

    after_review: whether the review had begun when it was returned; None while it was not, or when nobody said.
    """

    task: str
    state: CustodyState
    carrier: str = ""
    tracking: str = ""
    expected: date | None = None
    containers: int | None = None
    condition: str = ""
    after_review: bool | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The state of one required record, and nothing about how it will be shown.

    supplied_by: references of the records that decided the state. source: raw message of the newest of them. good_until: the
    last day the state holds for the records held. question: id of the open question when applicability is unknown.
    changes: days on which time alone may change the state. custody: consignments of the physical thing, if it is one.
    """

    item: str
    state: ItemState
    reason: str | None = None
    gap_status: GapStatus = "open-gap"
    supplied_by: tuple[str, ...] = ()
    source: str | None = None
    due: date | None = None
    good_until: date | None = None
    question: str | None = None
    changes: tuple[date, ...] = ()
    custody: tuple[Consignment, ...] = ()

    @property
    def open(self) -> bool:
        """Still to be done: an open gap, or one that will open by the appointment."""
        return self.gap_status in ("open-gap", "prospective-gap")


@dataclass(frozen=True, slots=True)
class Gate:
    """One of the three gates; `open` names the items that keep it shut."""

    name: Literal["records", "permission", "money"]
    state: GateState
    reason: str | None = None
    open: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a case lacks at one moment under one checklist version.

    state: the case state (DOMAIN 3.5) after the rule events the gates call for; event: that rule event, None when none is due.
    next_change: the earliest instant when time alone would change anything, None when it would not.
    self_pay: the patient pays, or wants no plan to be billed.
    """

    case: str
    state: str
    checklist: str
    as_of: datetime
    gates: Mapping[str, Gate]
    items: tuple[Judgement, ...]
    due: date | None = None
    appointment: str | None = None
    decide_by: date | None = None
    next_change: datetime | None = None
    event: str | None = None
    self_pay: bool = False

    @property
    def open_items(self) -> tuple[Judgement, ...]:
        """The items a GuidanceResponse asks for."""
        return tuple(item for item in self.items if item.open)
