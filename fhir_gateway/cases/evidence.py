"""A record as the rules see it: what it says it is, how far along it is, when it is from, what it belongs to.

One literal table says where each resource type keeps these; everything else is generic. Odd content (missing, wrong type,
unknown codes) yields less evidence, never an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, tzinfo
from functools import cache
from typing import Any, Final, NamedTuple

from fhir_gateway.cases.days import Span, instant, span
from fhir_gateway.cases.model import Code, Json, Record

LOINC: Final = "http://loinc.org"
DICOM: Final = "http://dicom.nema.org/resources/ontology/DCM"
V2_0074: Final = "http://terminology.hl7.org/CodeSystem/v2-0074"


class Shape(NamedTuple):
    """Where a type keeps its evidence (dotted paths). dates: clinical date, best first. ends: last day of its own validity."""

    codes: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    status: str = "status"
    dates: tuple[str, ...] = ()
    begins: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    order: tuple[str, ...] = ()


# FHIR R4 element names. The clinical date is when the body or the paper was looked at, never when a copy was received.
SHAPES: Final[dict[str, Shape]] = {
    "DiagnosticReport": Shape(("code",), ("category",), dates=("effectiveDateTime", "effectivePeriod.start"), order=("issued",)),
    "Observation": Shape(
        ("code", "component.code"),
        ("category",),
        dates=("effectiveDateTime", "effectiveInstant", "effectivePeriod.start"),
        order=("issued",),
    ),
    "DocumentReference": Shape(("type", "relatesTo.code"), ("category",), dates=("context.period.start", "date"), order=("date",)),
    "ImagingStudy": Shape(("modality", "series.modality"), dates=("started",)),
    "Media": Shape(("type", "modality"), dates=("createdDateTime", "createdPeriod.start"), order=("issued",)),
    "Specimen": Shape(("type", "container.type"), dates=("collection.collectedDateTime", "collection.collectedPeriod.start", "receivedTime")),
    "Procedure": Shape(("code",), ("category",), dates=("performedDateTime", "performedPeriod.start")),
    "Condition": Shape(("code",), ("category",), "verificationStatus", dates=("recordedDate", "onsetDateTime")),
    "AllergyIntolerance": Shape(("code",), (), "verificationStatus", dates=("recordedDate",)),
    "MedicationStatement": Shape(("medicationCodeableConcept",), ("category",), dates=("dateAsserted", "effectiveDateTime", "effectivePeriod.start")),
    "MedicationRequest": Shape(("medicationCodeableConcept",), ("category",), dates=("authoredOn",)),
    "List": Shape(("code",), dates=("date",)),
    "CarePlan": Shape(("category",), dates=("created", "period.start")),
    "QuestionnaireResponse": Shape(dates=("authored",)),
    "Consent": Shape(("category", "scope"), dates=("dateTime",), begins=("provision.period.start",), ends=("provision.period.end",)),
    "Coverage": Shape(("type",), begins=("period.start",), ends=("period.end",)),
    "CoverageEligibilityResponse": Shape(dates=("created",)),
    "ClaimResponse": Shape(("use",), dates=("created",), begins=("preAuthPeriod.start",), ends=("preAuthPeriod.end",)),
    "ServiceRequest": Shape(("code",), ("category",), dates=("authoredOn",)),
    "Patient": Shape(status=""),
}

# Where a type keeps the document itself
ATTACHED: Final = {"DocumentReference": "content.attachment", "DiagnosticReport": "presentedForm"}

# How far along a record is; ties between equally new records go to the higher. HL7 tables 0123 and 0085 order results alike.
STATUS_RANK: Final[dict[str, int]] = {
    "corrected": 6,
    "amended": 5,
    "appended": 4,
    "final": 3,
    "completed": 3,
    "active": 3,
    "current": 3,
    "available": 3,
    "preliminary": 2,
    "partial": 1,
}


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One record's evidence. when: clinical days; ends: last day of its own validity; links: names it shares with its pair."""

    record: Record
    type: str
    codes: frozenset[Code]
    categories: frozenset[Code]
    status: str
    signature: str
    when: Span | None
    begins: date | None
    ends: date | None
    order: tuple[Any, ...]
    links: frozenset[str]
    language: str

    @property
    def reference(self) -> str:
        """ "Type/id" of the record."""
        return self.record.reference

    @property
    def resource(self) -> Json:
        """The record's JSON."""
        return self.record.resource


def entry(record: Record, zone: tzinfo, shared_by_all: frozenset[str] = frozenset()) -> Entry:
    """Read one record. A type the table does not know has no codes and matches nothing.

    shared_by_all: names that link every record of the case (the referral's own identifiers) and so pair none of them.
    """
    resource = record.resource
    kind = resource.get("resourceType")
    kind = kind if isinstance(kind, str) else ""
    shape = SHAPES.get(kind, Shape())
    when = _first(resource, shape.dates, zone)
    begins, ends = _first(resource, shape.begins, zone), _first(resource, shape.ends, zone)
    status = text(resource, shape.status) if shape.status else ""
    return Entry(
        record=record,
        type=kind,
        codes=frozenset(_codes(resource, shape.codes)) | _answered(resource, kind),
        categories=frozenset(_codes(resource, shape.categories)),
        status=status,
        signature=_signature(resource) if kind == "DocumentReference" else "",
        when=when,
        begins=begins.low if begins else None,
        ends=ends.high if ends else None,
        order=_order(record, shape, when, status, zone),
        links=frozenset(_links(resource, record.reference)) - shared_by_all,
        language=_language(resource),
    )


def hollow(e: Entry) -> bool:
    """A document only told of (MDM^T01), or whose data could not be read: its attachments neither hold nor lead to anything. A report may have results."""
    path = ATTACHED.get(e.type, "")
    attachments = [a for a in walk(e.resource, path) if isinstance(a, dict)] if path else []
    return bool(attachments) and not any(a.get("url") or a.get("data") for a in attachments) and not e.resource.get("result")


def walk(value: Any, path: str) -> list[Any]:
    """Every value at a dotted path, through lists; empty where the path does not lead."""
    nodes = value if isinstance(value, list) else [value]
    for step in _steps(path):
        found: list[Any] = []
        for node in nodes:
            child = node.get(step) if isinstance(node, dict) else None
            if isinstance(child, list):
                found += child
            elif child is not None:
                found.append(child)
        if not found:
            return found
        nodes = found
    return nodes


@cache
def _steps(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def codings(concept: Any) -> Iterator[Code]:
    """The codes of a CodeableConcept, Coding, or plain code."""
    if isinstance(concept, str):
        yield "", concept
    elif isinstance(concept, dict):
        for coding in walk(concept, "coding") if "coding" in concept else (concept,):
            code = coding.get("code") if isinstance(coding, dict) else None
            if isinstance(code, str):
                system = coding.get("system")
                yield system if isinstance(system, str) else "", code


def text(resource: Json, path: str) -> str:
    """The first string, or code of the first concept, at a dotted path; "" where there is none."""
    for value in walk(resource, path):
        if isinstance(value, str):
            return value
        for _, code in codings(value):
            return code
    return ""


def _codes(resource: Json, paths: tuple[str, ...]) -> Iterator[Code]:
    for path in paths:
        for concept in walk(resource, path):
            yield from codings(concept)


def _first(resource: Json, paths: tuple[str, ...], zone: tzinfo) -> Span | None:
    for path in paths:
        for value in walk(resource, path):
            found = span(value, zone)
            if found:
                return found
    return None


def _answered(resource: Json, kind: str) -> frozenset[Code]:
    """The linkIds a QuestionnaireResponse really answers."""
    if kind != "QuestionnaireResponse":
        return frozenset()
    return frozenset(("", link) for link, _ in answers(resource))


def answers(questionnaire_response: Json) -> Iterator[tuple[str, Any]]:
    """(linkId, value) of every answer, at any depth."""
    stack = walk(questionnaire_response, "item")[:]
    while stack:
        item = stack.pop()
        if not isinstance(item, dict):
            continue
        link = item.get("linkId")
        for answer in walk(item, "answer"):
            if isinstance(answer, dict) and isinstance(link, str):
                yield from ((link, value) for name, value in answer.items() if name.startswith("value"))
        stack += [*walk(item, "item"), *walk(item, "answer.item")]


def _order(record: Record, shape: Shape, when: Span | None, status: str, zone: tzinfo) -> tuple[Any, ...]:
    """Newer is greater: clinical day, then the time of issue, then status rank; the reference makes the order total."""
    issued = ""
    for path in (*shape.order, *shape.dates):
        moment = next((m for m in map(instant, walk(record.resource, path)) if m), None)
        if moment:
            issued = moment.astimezone(UTC).isoformat(timespec="microseconds")
            break
    day = when or _first(record.resource, shape.order, zone)
    return (day.high if day else date.min, issued, STATUS_RANK.get(status, 0), record.reference)


def _signature(document: Json) -> str:
    """docStatus; an authenticator stands for a signature where docStatus is absent (TXA-17 AU, LA; DOMAIN 3.4)."""
    return text(document, "docStatus") or ("final" if document.get("authenticator") else "")


def _links(resource: Json, reference: str) -> Iterator[str]:
    """Names by which a report and its images know each other: accession numbers, study UIDs, orders, references."""
    yield reference
    for path in ("identifier", "imagingStudy.identifier", "basedOn.identifier", "context.related.identifier"):
        yield from names(resource, path)
    for path in ("imagingStudy.reference", "basedOn.reference", "context.related.reference"):
        for value in walk(resource, path):
            if isinstance(value, str):
                yield value


def names(resource: Json, path: str) -> Iterator[str]:
    """The values of the Identifiers at a path, without `urn:oid:` (a DICOM study UID comes with and without it)."""
    for identifier in walk(resource, path):
        value = identifier.get("value") if isinstance(identifier, dict) else None
        if isinstance(value, str) and value:
            yield value.removeprefix("urn:oid:")


def _language(resource: Json) -> str:
    for path in ("content.attachment.language", "language"):
        for value in walk(resource, path):
            if isinstance(value, str):
                return value
    return ""
