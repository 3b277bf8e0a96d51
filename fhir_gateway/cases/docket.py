"""A case prepared for one evaluation: every record read once and indexed by what it is, so that an item looks up its own.

Evaluating a case costs the records of that case only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any, Final

from fhir_gateway.cases.answered import about, good_for, word
from fhir_gateway.cases.authorised import of_another_service
from fhir_gateway.cases.custody import consignments
from fhir_gateway.cases.days import Span, business_days_before, instant, span
from fhir_gateway.cases.decisions import CONFIRMED, decisions
from fhir_gateway.cases.evidence import LOINC, V2_0074, Entry, codings, entry, hollow, names, text, walk
from fhir_gateway.cases.expression import Expression
from fhir_gateway.cases.facts import facts
from fhir_gateway.cases.matching import match
from fhir_gateway.cases.model import CaseFile, Code, Json, Moment, Policy, Record
from fhir_gateway.cases.money import Plans
from fhir_gateway.cases.opinion import is_opinion
from fhir_gateway.cases.permission import identity
from fhir_gateway.cases.requirement import Checklist, Input, Requirement

BOOKED: Final = frozenset({"booked", "arrived", "checked-in", "fulfilled"})
# Read from the case itself: another order of the patient is not this referral.
OWN: Final = ("ServiceRequest", "Patient")
REPORTS: Final = frozenset({"DiagnosticReport", "DocumentReference"})


class Docket:
    """The case, indexed. `today` is the clinic's date; `anchor` the day recency is measured against: the appointment, else today."""

    def __init__(self, case: CaseFile, checklist: Checklist, at: Moment, policy: Policy) -> None:
        self.case, self.checklist, self.at, self.policy = case, checklist, at, policy
        self.today: date = at.today
        self.appointment = booked_start(case.appointment)
        day = span(self.appointment, at.zone)
        self.anchor: date = day.low if day else self.today
        self.appointment_day: date | None = day.low if day else None
        self.decisions = decisions(case.tasks, at)
        self.custody = consignments(case.tasks, at)
        self.entries = tuple(_dated(e, self.anchor, at) for e in _entries(case, at))
        self.replaced = _replaced(self.entries) | _dangling(self.entries)
        self.translated = _related(self.entries, "transforms")
        self._reports = {e.reference: e for e in self.entries if e.type == "DiagnosticReport"}
        self.withdrawn = self._withdrawn()
        live = [e for e in self.entries if e.reference not in self.withdrawn]
        self.sources = frozenset().union(
            *(identity(x) for x in walk(case.referral, "requester")), {r.sender.casefold() for r in case.records if r.sender}
        )
        self.clinic = policy.clinic | frozenset().union(*(identity(x) for x in walk(case.referral, "performer")))
        held = {e.reference: e.resource for e in live if e.type == "Coverage" and e.reference not in case.not_billed.coverages}
        self.plans = Plans.of(held, self.anchor, at, self.clinic)
        asked, referral = {e.reference: e.resource for e in live if e.type in ("Claim", "ClaimResponse")}, f"ServiceRequest/{case.referral.get('id')}"
        self.of_another_service = of_another_service(asked, referral)
        days = Span(self.anchor, self.anchor if day else date.max)
        self.authorised = word(about(asked, referral, self.plans.first if held else ()), days, at.zone)
        self.facts: Mapping[str, Any] = facts(case, live, checklist.questions, at, policy, self.plans)
        self._by_code: dict[str, dict[Code, list[Entry]]] = defaultdict(lambda: defaultdict(list))
        self._by_type: dict[str, list[Entry]] = defaultdict(list)
        self._by_link: dict[str, list[Entry]] = defaultdict(list)
        self._due: dict[int, date] = {}
        self._truths: dict[str, bool | None] = {}
        self._mismatch = {id(r.patient): not match(r.patient, case.patient).certain for r in case.records if r.patient is not None}
        self._index()
        self.review_days = self._review_days()

    def _withdrawn(self) -> frozenset[str]:
        """What fell with its report: the results and the renderings of a report its sender withdrew, unless a standing report has them too."""
        parts: dict[bool, set[str]] = {True: set(), False: set()}
        for report in self._reports.values():
            parts[report.status == "entered-in-error"] |= {str(name) for name in walk(report.resource, "result.reference")}
        renderings = {e.reference for e in self.entries if any(r.status == "entered-in-error" for r in self.rendered(e))}
        return frozenset(parts[True] - parts[False] | renderings)

    def _review_days(self) -> int:
        """Lead time of the case: the checklist's urgent one when that applies, else its own, else the clinic's."""
        urgent = self.checklist.urgent_when
        if urgent and self.truth(urgent) and self.checklist.urgent_review_days is not None:
            return self.checklist.urgent_review_days
        return self.policy.review_days if self.checklist.review_days is None else self.checklist.review_days

    def _index(self) -> None:
        for e in self.entries:
            self._by_type[e.type].append(e)
            for code in e.codes:
                self._by_code[e.type][code].append(e)
            for link in e.links if e.type in REPORTS else ():
                self._by_link[link].append(e)

    def due(self, item: Requirement | None = None) -> date | None:
        """When an item, or the case, is due: the appointment day less the lead time in business days; None while none is booked."""
        days = item.review_days if item and item.review_days is not None else self.review_days
        if self.appointment_day is not None and days not in self._due:
            self._due[days] = business_days_before(self.appointment_day, days, self.at.holidays)
        return self._due.get(days)

    def truth(self, expression: Expression, focus: Json | None = None) -> bool | None:
        """An expression about the case (asked once per evaluation), or about one record (`focus`)."""
        if focus is not None:
            return expression.truth(focus, self.facts)
        if expression.source not in self._truths:
            self._truths[expression.source] = expression.truth(self.case.referral, self.facts)
        return self._truths[expression.source]

    def candidates(self, supply: Input) -> Iterator[tuple[Entry, bool]]:
        """Records an input may mean, each with whether a code says so. Matching is by codes; a category alone only suggests."""
        if supply.type not in self._by_type or (supply.only_when and self.truth(supply.only_when) is not True):
            return
        if supply.codes:
            held = self._by_code[supply.type]
            found = {id(e): e for code in held.keys() & supply.codes for e in held[code]}
        else:
            found = {id(e): e for e in self._by_type.get(supply.type, ())}
        if supply.type == "ClaimResponse" and self.authorised.says is not None:  # of several answers the one that counts
            found = {key: e for key, e in found.items() if self.authorised.answer and e.reference == self.authorised.answer.reference}
        for e in found.values():
            spoken_for = e.reference in self.replaced or any(report.codes & supply.codes for report in self.rendered(e))
            if not spoken_for and (not supply.counts_when or self.truth(supply.counts_when, e.resource)):
                yield e, True
        if supply.categories:
            yield from ((e, False) for e in self._by_type.get(supply.type, ()) if id(e) not in found and _suggests(e, supply))

    def unidentified(self, e: Entry) -> bool:
        """The record names another person than the case does, as far as anybody can tell: name, birth date and an identifier must agree (DOMAIN 3.4)."""
        return e.record.patient is not None and self._mismatch[id(e.record.patient)]

    def reports_of(self, e: Entry) -> list[Entry]:
        """Reports that share an accession number, study UID, order or reference with these images."""
        found = {id(r): r for link in e.links for r in self._by_link.get(link, ())}
        return list(found.values())

    def rendered(self, e: Entry) -> list[Entry]:
        """The reports a document is only the rendering of (the PDF of a result): it stands and falls with them."""
        if e.type != "DocumentReference":
            return []
        return [self._reports[name] for name in map(str, walk(e.resource, "context.related.reference")) if name in self._reports]

    def procedures(self, e: Entry) -> set[Code]:
        """Codes of the procedure an imaging study says it is."""
        return {code for concept in walk(e.resource, "procedureCode") for code in codings(concept)}

    def held(self, item: Requirement) -> list[Entry]:
        """Records whose codes say they are this item, whatever their state."""
        return [e for part in item.parts for supply in part.inputs for e, sure in self.candidates(supply) if sure]

    def said(self, e: Entry, item: Requirement) -> tuple[bool, str | None]:
        """(a person confirmed it, the reason a person gave against it)."""
        word = self.decisions.judgement(e.reference, item.id)
        return word == CONFIRMED, None if word == CONFIRMED else word


def booked_start(appointment: Json | None) -> str | None:
    """The start of an appointment that stands, as sent; None while it is only proposed, and once cancelled or missed."""
    if appointment is None or text(appointment, "status") not in BOOKED:
        return None
    start = text(appointment, "start")
    return start if instant(start) else None


def _entries(case: CaseFile, at: Moment) -> tuple[Entry, ...]:
    """Every record, and the case's own referral and patient, which satisfy some items themselves."""
    others = (record for record in case.records if record.resource.get("resourceType") not in OWN and not is_opinion(record.resource))
    referral, patient = case.referral, case.patient
    own = [
        Record(f"ServiceRequest/{referral.get('id', '')}", referral, at.now, "referral", case.source),
        Record(f"Patient/{patient.get('id', '')}", patient, at.now, "referral", case.source),
    ]
    shared = frozenset({own[0].reference, *names(referral, "identifier"), *names(referral, "requisition")})
    return tuple(entry(record, at.zone, shared) for record in (*own, *others))


def _dated(e: Entry, day: date, at: Moment) -> Entry:
    """Insurance that has begun by the day of the service has begun. An authorisation ends as it says anywhere in it; whether it has begun is asked with
    what else is said of it (`authorised`).
    """
    if e.type == "ClaimResponse":
        return replace(e, begins=None, ends=good_for(e.resource, at.zone)[1])
    return replace(e, begins=None) if e.type == "Coverage" and e.begins and e.begins <= day else e


def _related(entries: tuple[Entry, ...], kind: str, live: bool = True) -> frozenset[str]:
    """References that some live document (or some withdrawn one) says it `replaces`, `transforms` …"""
    return frozenset(
        str(reference)
        for e in entries
        if e.type == "DocumentReference" and (e.status != "entered-in-error") is live
        for relation in walk(e.resource, "relatesTo")
        if isinstance(relation, dict) and relation.get("code") == kind
        for reference in walk(relation, "target.reference")
    )


def _replaced(entries: tuple[Entry, ...]) -> frozenset[str]:
    """Documents another one stands for, and reports that are nothing but such a document. What was replaced by a withdrawn document only is open again."""
    documents = [e for e in entries if e.type == "DocumentReference"]
    live = _related(entries, "replaces")
    gone = live | ({e.reference for e in documents if e.status == "superseded"} - _related(entries, "replaces", live=False))
    bare = {e.reference for e in entries if e.type == "DiagnosticReport" and not e.resource.get("result")}
    standing = {str(name) for e in documents if e.reference not in gone for name in walk(e.resource, "context.related.reference")}
    rendered = {str(name) for e in documents if e.reference in gone for name in walk(e.resource, "context.related.reference")}
    return gone | ((rendered & bare) - standing)


def _dangling(entries: tuple[Entry, ...]) -> frozenset[str]:
    """Addenda to documents that were withdrawn or are not held: an addition is no record of its own."""
    gone = {e.reference for e in entries if e.type == "DocumentReference" and (e.status == "entered-in-error" or hollow(e))}
    added = {
        (e.reference, str(reference))
        for e in entries
        if e.type == "DocumentReference"
        for relation in walk(e.resource, "relatesTo")
        if isinstance(relation, dict) and relation.get("code") == "appends"
        for reference in walk(relation, "target.reference")
    }
    return frozenset(addendum for addendum, parent in added if parent in gone)


def _suggests(e: Entry, supply: Input) -> bool:
    """A report with a local code whose category and service section fit: never more than a suggestion."""
    if any(system == LOINC for system, _ in e.codes) or not e.categories & supply.categories:
        return False
    sections = {code for code in e.categories if code[0] == V2_0074}
    return sections <= supply.categories
