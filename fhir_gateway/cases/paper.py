"""What staff enter by hand, as the resources a FHIR client would send: a referral told at the desk, a paper or a disc, an answer. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple

from fhir_gateway.cases.checklist import ACCEPTABILITY_PATHS
from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.model import Json
from fhir_gateway.cases.questionnaire import answer_of, identity, place_of
from fhir_gateway.cases.requirement import Checklist, Requirement

ICD10CM: Final = "http://hl7.org/fhir/sid/icd-10-cm"
REFERRAL: Final = {"coding": [{"system": "http://loinc.org", "code": "57133-1", "display": "Referral note"}]}
SECOND_OPINION: Final = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0336", "code": "S", "display": "Second Opinion"}]}
ENTERER: Final = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type", "code": "enterer"}]}
By = Literal["patient", "relative", "practitioner"]
BY: Final[tuple[By, ...]] = ("patient", "relative", "practitioner")

# What a file may become, the first the item takes. Of the last two a file is only the picture: of a label, of one image.
FILED_AS: Final = ("DocumentReference", "DiagnosticReport", "Media", "Specimen", "ImagingStudy")
PICTURED: Final = ("Specimen", "ImagingStudy")


@dataclass(frozen=True, slots=True)
class Told:
    """A referral as told. born: FHIR date. sex: FHIR administrative-gender, "" when not said. identifiers: (system, value) of the patient.

    diagnosis: Coding. requester: who refers, when that is not the patient. number: of the referral on paper, "" when it has none.
    """

    family: str
    given: tuple[str, ...]
    born: str
    diagnosis: Json
    question: str
    sex: str = ""
    identifiers: tuple[tuple[str, str], ...] = ()
    second_opinion: bool = True
    by: By = "patient"
    requester: str = ""
    number: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file as filed. content_type: as sniffed. made: FHIR date of what it shows, "" when nobody knows. signed: None when nobody said."""

    content: bytes
    content_type: str
    made: str = ""
    title: str = ""
    author: str = ""
    language: str = ""
    signed: bool | None = None


class Way(NamedTuple):
    """What a file becomes for an item: the type its checklist wants, and which of the codes that identify it there (None: it is told by no code)."""

    type: str
    code: Json | None


class WayError(ValueError):
    """A file can't be this item. The text says what would do."""


def patient(told: Told) -> Json:
    """The Patient of a referral told at the desk."""
    made: Json = {"resourceType": "Patient", "name": [{"family": told.family, "given": list(told.given)}], "birthDate": told.born}
    if told.identifiers:
        made["identifier"] = [{"system": system, "value": value} for system, value in told.identifiers]
    return made | ({"gender": told.sex} if told.sex else {})


def related_person(told: Told, subject: Json) -> Json:
    """The relative who refers the patient."""
    return {"resourceType": "RelatedPerson", "active": True, "patient": subject, "name": [{"text": told.requester}]}


def referral(told: Told, *, subject: Json, requester: Json, performer: Json, now: datetime, who: str) -> Json:
    """The ServiceRequest: a referral, with the question it asks as its note. requester: the Patient herself, a RelatedPerson, or a name."""
    reasons = [{"coding": [told.diagnosis]}, *([SECOND_OPINION] if told.second_opinion else [])]
    made: Json = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "category": [REFERRAL], "subject": subject}
    made |= {"authoredOn": _stamp(now), "requester": requester, "performer": [performer], "reasonCode": reasons}
    if told.number:
        placer = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]}
        made["identifier"] = [{"type": placer, "value": told.number}]
    return made | {"note": [{"authorString": who, "time": _stamp(now), "text": told.question}]}


def entered(targets: Sequence[str], *, now: datetime, who: str) -> Json:
    """The Provenance of what a person entered. targets: "Type/id"."""
    agent = {"type": ENTERER, "who": {"display": who}}
    return {"resourceType": "Provenance", "target": [{"reference": name} for name in targets], "recorded": _stamp(now), "agent": [agent]}


def way(item: Requirement, code: str = "") -> Way:
    """What a file becomes for an item. code: which of the codes it is told by there (a LOINC code, a modality, a container). Raises WayError."""
    ways = list(_ways(item))
    if not ways:
        raise WayError(f"{item.id} is not supplied by a file; it takes {', '.join(sorted(_types(item)))}")
    if code:
        found = next((one for one in ways if one.code and one.code.get("code") == code), None)
        if found is None:
            known = dict.fromkeys(str(one.code["code"]) for one in ways if one.code)
            raise WayError(f"'{code[:40]}' does not say that a record is {item.id}; {', '.join(known) or 'nothing'} would")
        return found
    first = [one for one in ways if one.type == ways[0].type]
    told_apart = first[0].type == "ImagingStudy" or (first[0].type == "Specimen" and len(first) > 1)
    if told_apart:
        names = dict.fromkeys(f"{one.code['code']} ({one.code.get('display', '')})".replace(" ()", "") for one in first if one.code)
        raise WayError(f"{item.id} is told by its {'modality' if first[0].type == 'ImagingStudy' else 'container'}; say one of {', '.join(names)}")
    own = [str(coding.get("code")) for coding in item.codes]
    return min(first, key=lambda one: own.index(one.code["code"]) if one.code and one.code["code"] in own else len(own))


def attachment(sheet: Sheet, binary: str) -> Json:
    """The Attachment of a file kept as `Binary/<binary>`. FHIR R4 Attachment.hash is SHA-1."""
    digest = base64.b64encode(hashlib.sha1(sheet.content, usedforsecurity=False).digest()).decode()
    made: Json = {"contentType": sheet.content_type, "url": f"Binary/{binary}", "size": len(sheet.content), "hash": digest}
    return made | {name: value for name, value in (("language", sheet.language), ("title", sheet.title)) if value}


def binary(sheet: Sheet, context: Json) -> Json:
    """The Binary that keeps a file's bytes. context: whose access rules it follows."""
    data = base64.b64encode(sheet.content).decode()
    return {"resourceType": "Binary", "contentType": sheet.content_type, "securityContext": context, "data": data}


def record(chosen: Way, sheet: Sheet, attached: Json, *, subject: Json | None, case: Json, now: datetime) -> Json:
    """The record a file becomes. subject: the patient; case: Reference to the referral."""
    concept = {"coding": [chosen.code]} if chosen.code else None
    made = _MADE[chosen.type](_Filing(sheet, attached, concept, case, now))
    return _held({"resourceType": chosen.type, **made, "subject": subject})


def picture(sheet: Sheet, attached: Json, of: str, *, subject: Json | None, case: Json) -> Json:
    """The file that pictures a thing: a disc's label, one of its images. of: "Type/id" of the thing."""
    pictured = _media(_Filing(sheet, attached, None, case))
    return _held({"resourceType": "Media", **pictured, "partOf": [{"reference": of}], "subject": subject})


def response(checklist: Checklist, question: str, wording: str, answer: Json, *, subject: Json | None, case: Json, now: datetime, who: str) -> Json:
    """The QuestionnaireResponse that gives one answer, laid out like the checklist's own Questionnaire. who: entered it."""
    row = {"linkId": question, "text": wording, "answer": [answer]}
    made: Json = {"resourceType": "QuestionnaireResponse", "questionnaire": "|".join(identity(checklist)), "status": "completed", "basedOn": [case]}
    made |= {"subject": subject} if subject else {}
    return made | {"authored": _stamp(now), "author": {"display": who}, "item": [{"linkId": place_of(question, checklist), "item": [row]}]}


def said(kind: str, value: str) -> Json | None:
    """The answer a text gives to a question of this kind, None when it gives none."""
    plain = {"yes": True, "no": False}.get(value.strip().casefold())
    if kind == "boolean":
        return None if plain is None else answer_of(kind, plain)
    return answer_of(kind, value.strip() if plain is None or kind != "open-choice" else plain)


@dataclass(frozen=True, slots=True)
class _Filing:
    """concept: what the record is told by; None where it is told by nothing."""

    sheet: Sheet
    attached: Json
    concept: Json | None
    case: Json
    now: datetime | None = None

    @property
    def authors(self) -> list[Json] | None:
        return [{"display": self.sheet.author}] if self.sheet.author else None


def _document(filing: _Filing) -> Json:
    sheet = filing.sheet
    return {
        "status": "current",
        "docStatus": {None: None, True: "final", False: "preliminary"}[sheet.signed],
        "type": filing.concept,
        # A paper of which nobody knows the day must not pass for as new as its filing.
        "date": _stamp(filing.now) if sheet.made and filing.now else None,
        "author": filing.authors,
        "description": sheet.title or None,
        "content": [{"attachment": filing.attached}],
        "context": {"related": [filing.case], **({"period": {"start": sheet.made}} if sheet.made else {})},
    }


def _report(filing: _Filing) -> Json:
    return {
        "status": {None: "unknown", True: "final", False: "preliminary"}[filing.sheet.signed],
        "code": filing.concept or {"text": filing.sheet.title or "Report"},
        "effectiveDateTime": filing.sheet.made or None,
        "resultsInterpreter": filing.authors,
        "basedOn": [filing.case],
        "presentedForm": [filing.attached],
    }


def _media(filing: _Filing) -> Json:
    made = filing.sheet.made or None
    return {"status": "completed", "type": filing.concept, "basedOn": [filing.case], "createdDateTime": made, "content": filing.attached}


def _specimen(filing: _Filing) -> Json:
    sheet = filing.sheet
    return {
        "status": "available",
        "request": [filing.case],
        "collection": {"collectedDateTime": sheet.made} if sheet.made else None,
        "container": [{"type": filing.concept}] if filing.concept else None,
        "note": [{"text": sheet.title}] if sheet.title else None,
    }


def _study(filing: _Filing) -> Json:
    return {
        "status": "available",
        "modality": filing.concept["coding"] if filing.concept else None,
        "started": filing.sheet.made or None,
        "basedOn": [filing.case],
        "description": filing.sheet.title or None,
    }


_MADE: Final[dict[str, Callable[[_Filing], Json]]] = {
    "DocumentReference": _document,
    "DiagnosticReport": _report,
    "Media": _media,
    "Specimen": _specimen,
    "ImagingStudy": _study,
}


def _held(resource: Json) -> Json:
    return {name: value for name, value in resource.items() if value is not None}


def _ways(item: Requirement) -> Iterator[Way]:
    """Every way a file may be the item, in the order of FILED_AS."""
    supplies = [supply for part in item.parts for supply in part.inputs if supply.type in FILED_AS]
    for supply in sorted(supplies, key=lambda supply: FILED_AS.index(supply.type)):
        codes = list(_identifying(supply.requirement))
        yield from (Way(supply.type, dict(code)) for code in codes)
        if not codes:
            yield Way(supply.type, None)


def _identifying(requirement: Mapping[str, object]) -> Iterator[Json]:
    for one in walk(requirement, "codeFilter"):
        if isinstance(one, dict) and one.get("path") not in ACCEPTABILITY_PATHS | {"category"}:
            yield from walk(one, "code")


def _types(item: Requirement) -> set[str]:
    return {supply.type for part in item.parts for supply in part.inputs}


def _stamp(now: datetime) -> str:
    return now.isoformat(timespec="milliseconds")
