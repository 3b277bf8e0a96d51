"""Is one record good enough for one item? Identity, status, signature, language, content, age: in that order, first objection wins."""

from __future__ import annotations

from datetime import date
from typing import Final, NamedTuple

from fhir_gateway.cases import money, permission
from fhir_gateway.cases.days import month_end, plus
from fhir_gateway.cases.docket import Docket
from fhir_gateway.cases.evidence import LOINC, Entry, hollow
from fhir_gateway.cases.model import ItemState
from fhir_gateway.cases.requirement import Input, Requirement


class Verdict(NamedTuple):
    """What one record, or several together, mean for an item. changes: days on which time alone may change it."""

    state: ItemState
    reason: str | None = None
    entries: tuple[Entry, ...] = ()
    until: date | None = None
    changes: tuple[date, ...] = ()

    @property
    def good(self) -> bool:
        """Held and acceptable today."""
        return self.state in ("accepted", "expiring")


# FHIR R4 status codes that make a record of the type good as it stands; a checklist may name others. Types not listed: any
# status but those in STANDING.
ACCEPTABLE: Final[dict[str, frozenset[str]]] = {
    "DiagnosticReport": frozenset({"final", "amended", "corrected", "appended"}),
    "Observation": frozenset({"final", "amended", "corrected"}),
    "DocumentReference": frozenset({"current"}),
    "ImagingStudy": frozenset({"available"}),
    "Specimen": frozenset({"available"}),
    "QuestionnaireResponse": frozenset({"completed", "amended"}),
    "Consent": frozenset({"active"}),
    "Coverage": frozenset({"active"}),
    "CoverageEligibilityResponse": frozenset({"active"}),
    "ClaimResponse": frozenset({"active"}),
    "ServiceRequest": frozenset({"active", "on-hold", "completed"}),
    "Media": frozenset({"completed"}),
}

RETRACTED: Final[tuple[ItemState, str]] = ("missing", "retracted")

# What any other status means. DOMAIN 3.3, 3.4.
STANDING: Final[dict[str, tuple[ItemState, str]]] = {
    "entered-in-error": RETRACTED,
    "revoked": RETRACTED,
    "cancelled": ("missing", "cancelled"),
    "not-done": ("missing", "cancelled"),
    "unavailable": ("missing", "unavailable"),
    "registered": ("expected", "pending-result"),
    "preliminary": ("not-acceptable", "preliminary"),
    "partial": ("not-acceptable", "preliminary"),
    "unsatisfactory": ("not-acceptable", "insufficient"),
    "unknown": ("received", "status-unknown"),
    "draft": ("not-acceptable", "unsigned"),
    "proposed": ("not-acceptable", "unsigned"),
    "preparation": ("not-acceptable", "incomplete"),
    "in-progress": ("not-acceptable", "incomplete"),
    "stopped": ("not-acceptable", "incomplete"),
}


def verdict(e: Entry, supply: Input, item: Requirement, docket: Docket) -> Verdict:
    """Judge one record for one item."""
    confirmed, against = docket.said(e, item)
    objection = RETRACTED if e.reference in docket.withdrawn else _standing(e, supply, docket)
    if not objection and against:
        objection = ("not-acceptable", against)
    if not objection and not confirmed:
        objection = _doubt(e, supply, item, docket)
    if not objection:
        objection = _content(e, supply, docket)
    if objection:
        return Verdict(objection[0], objection[1], (e,))
    return age(e, supply, docket)


def _standing(e: Entry, supply: Input, docket: Docket) -> tuple[ItemState, str] | None:
    """The status as the sender gives it; a checklist may accept more (a preliminary marrow) or less."""
    wanted = supply.statuses or ACCEPTABLE.get(e.type)
    if wanted is None:
        return STANDING.get(e.status)
    if e.status in wanted:
        return None
    if e.type == "Consent" and e.status in ("inactive", "rejected"):
        about = permission.speaks(e.resource, docket.sources, docket.clinic, docket.policy.purposes)
        return "not-acceptable", "consent-withdrawn" if about else "consent-not-covering"
    return STANDING.get(e.status, ("received", "status-unknown"))


def _doubt(e: Entry, supply: Input, item: Requirement, docket: Docket) -> tuple[ItemState, str] | None:
    """What only a person can settle."""
    if docket.unidentified(e):
        return "received", "identity-unconfirmed"
    if supply.signatures and not e.signature:
        return "received", "signature-unconfirmed"
    if supply.confirm:
        return "received", "to-be-confirmed"
    if item.pairs_with and e.type == "ImagingStudy" and _unpaired(e, item, docket):
        return "received", "unpaired"
    return None


def _content(e: Entry, supply: Input, docket: Docket) -> tuple[ItemState, str] | None:
    if e.type == "DocumentReference" and e.signature not in (supply.signatures or {"final", "amended", ""}):
        return RETRACTED if e.signature == "entered-in-error" else ("not-acceptable", "unsigned")
    clinic = docket.policy.language.lower().split("-")[0]
    if e.language and e.language.lower().split("-")[0] != clinic and e.reference not in docket.translated:
        return "not-acceptable", "language"
    if hollow(e):
        return "not-acceptable", "incomplete"
    if e.type == "Consent":
        refusal = permission.says(e, docket.sources, docket.clinic, docket.policy.purposes, docket.at)
        return ("not-acceptable", refusal) if refusal else None
    if e.type == "CoverageEligibilityResponse":
        return (money.of_another_policy if supply.counts_when else money.eligibility)(e.resource, docket.plans)
    if e.type == "ClaimResponse":
        counts = docket.authorised.answer is not None and docket.authorised.answer.reference == e.reference
        ours = e.reference not in docket.of_another_service
        return money.authorisation(e.resource, docket.plans, of_this_service=ours, said=docket.authorised.says if counts else None)
    if supply.complete_when and docket.truth(supply.complete_when, e.resource) is not True:
        return "not-acceptable", "incomplete"
    return None


def age(e: Entry, supply: Input, docket: Docket) -> Verdict:
    """Recency by clinical date against the appointment (today until booked), and the record's own validity.

    A partial date is taken at its earliest; when only the latest reading would do, a person must look. `expiring`: good today,
    out of its window on the appointment day.
    """
    if e.begins and e.begins > docket.today:
        return Verdict("expected", _own(e, "not-yet-in-force"), (e,), e.ends, (e.begins,))
    limits = [e.ends] if e.ends else []
    latest = list(limits)
    if supply.recency is not None or supply.month_end:
        if e.when is None:
            return Verdict("received", "undated", (e,))
        for day, limit in ((e.when.low, limits), (e.when.high, latest)):
            limit += [plus(day, supply.recency)] if supply.recency is not None else []
            limit += [month_end(day)] if supply.month_end else []
    if not limits:
        return Verdict("accepted", None, (e,))
    until, reason = min(limits), "stale" if e.ends is None or min(limits) < e.ends else _own(e, "lapsed")
    changes = (plus(until, 1),) if until >= docket.today else ()
    if until >= docket.anchor:
        return Verdict("accepted", None, (e,), until, changes if docket.appointment_day is None else ())
    if min(latest) >= docket.anchor:
        return Verdict("received", "date-imprecise", (e,), until, (plus(min(latest), 1),) if docket.appointment_day is None else ())
    if until >= docket.today:
        return Verdict("expiring", reason, (e,), until, changes)
    return Verdict("not-acceptable", reason, (e,), until)


def _own(e: Entry, what: str) -> str:
    return f"consent-{what}" if e.type == "Consent" else what


def belongs(e: Entry, item: Requirement, docket: Docket) -> bool:
    """Whether images may be this item's at all: not when their report, or their own procedure code, says they are something else."""
    if not item.pairs_with or e.type != "ImagingStudy":
        return True
    mate = _mate(item, docket)
    said = _report_codes(e, docket)
    return not said or bool(said & {code for part in mate.parts for supply in part.inputs for code in supply.codes})


def _report_codes(e: Entry, docket: Docket) -> set[tuple[str, str]]:
    from_reports = {code for r in docket.reports_of(e) for code in r.codes if code[0] == LOINC}
    return from_reports or {code for code in docket.procedures(e) if code[0] == LOINC}


def _unpaired(e: Entry, item: Requirement, docket: Docket) -> bool:
    """The report is held and numbered, the images are numbered, and the numbers differ."""
    if _report_codes(e, docket):
        return False
    mates = docket.held(_mate(item, docket))
    return bool(mates) and len(e.links) > 1 and all(len(mate.links) > 1 for mate in mates)


def _mate(item: Requirement, docket: Docket) -> Requirement:
    return next(other for other in docket.checklist.items if other.id == item.pairs_with)
