"""What a checklist's conditions may ask about a case: the `%variables` of its FHIRPath expressions.

An answer the referrer gave to a question is a variable of the question's own name (%`surgery-done`); an unanswered one is
empty, which is what keeps "can't be decided" apart from "no".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

from fhir_gateway.cases import money
from fhir_gateway.cases.days import Span, span
from fhir_gateway.cases.evidence import LOINC, Entry, answers, codings, walk
from fhir_gateway.cases.model import CaseFile, Code, Json, Moment, Policy
from fhir_gateway.cases.money import Plans
from profiles.canonical import canonical
from profiles.selfpay import self_pay

VARIABLES: Final[dict[str, str]] = {
    "patient": "the case's Patient",
    "referral": "the case's ServiceRequest",
    "icd10": "ICD-10 and ICD-10-CM codes of the diagnosis, as sent",
    "snomed": "SNOMED CT codes of the diagnosis",
    "codes": "LOINC codes of the reports, results and documents held or announced",
    "stage": "stage groups held, as 0, I, II, III or IV; a text that is no plain stage group is left out",
    "age": "the patient's age today in whole years; empty while the birth date does not settle it",
    "languages": "languages the documents held say they are in",
    "clinicLanguage": "the language the clinic reads",
    "coverages": "Coverage resources",
    "eligibility": "the newest CoverageEligibilityResponse that says something of the Coverage that pays first",
    "procedures": "Procedure resources",
}

QUESTION_SYSTEM: Final = canonical("CodeSystem", "question")
SNOMED: Final = "http://snomed.info/sct"
ICD10: Final = frozenset(
    {
        "http://hl7.org/fhir/sid/icd-10-cm",
        "http://hl7.org/fhir/sid/icd-10",
        "urn:oid:2.16.840.1.113883.6.90",  # ICD-10-CM as C-CDA and v2 senders name it
        "urn:oid:2.16.840.1.113883.6.3",  # ICD-10
    }
)
# LOINC stage group: clinical, pathological, other (mCODE).
STAGE_CODES: Final = frozenset({(LOINC, "21908-9"), (LOINC, "21902-2"), (LOINC, "21914-7")})
STAGE: Final = re.compile(r"(?:.*\bstage\b\s*(?:group\b\s*)?)?(0|IV|I{1,3}|[1-4])\s*[A-E]?\d?", re.IGNORECASE)
ROMAN: Final = {"1": "I", "2": "II", "3": "III", "4": "IV"}
GONE: Final = frozenset({"entered-in-error", "cancelled", "superseded"})


def diagnoses(case: CaseFile) -> list[Code]:
    """Codes of the diagnosis, the principal first: the referral's reason, then the Conditions it names.

    Only where the referral names no diagnosis do the patient's other Conditions stand in: an earlier cancer is not what this
    referral is about. The order decides which checklist is chosen, so those go by their code, not by arrival.
    """
    reasons = [code for concept in walk(case.referral, "reasonCode") for code in codings(concept)]
    conditions = {r.reference: list(_condition_codes(r.resource)) for r in case.records if _type(r.resource) == "Condition"}
    named = [str(ref) for ref in walk(case.referral, "reasonReference.reference")]
    for reference in named:
        reasons += conditions.pop(reference, [])
    if not any(system in ICD10 or system == SNOMED for system, _ in reasons):
        reasons += sorted(code for codes in conditions.values() for code in codes)
    return list(dict.fromkeys(reasons))


def facts(case: CaseFile, entries: Iterable[Entry], questions: Iterable[str], at: Moment, policy: Policy, plans: Plans) -> dict[str, Any]:
    """Values for every variable: VARIABLES and one per question. An absent value is an empty list."""
    live = [e for e in entries if e.status not in GONE]
    found = diagnoses(case)
    values: dict[str, Any] = {question: [] for question in questions} | given(live)
    if case.not_billed.alone:
        values["self-pay"] = True
    return values | {
        "patient": case.patient,
        "referral": case.referral,
        "icd10": [code.upper() for system, code in found if system in ICD10],
        "snomed": [code for system, code in found if system == SNOMED],
        "codes": sorted({code for e in live for system, code in e.codes if system == LOINC}),
        "stage": sorted({stage for e in live for stage in _stages(e)}),
        "age": _age(case.patient, at),
        "languages": sorted({e.language.lower() for e in live if e.language}),
        "clinicLanguage": policy.language.lower(),
        "coverages": [e.resource for e in live if e.type == "Coverage" and not _paid_once(e, at)],
        "eligibility": money.counting(live, plans),
        "procedures": [e.resource for e in live if e.type == "Procedure" and e.status not in ("not-done", "unknown")],
    }


def given(entries: Iterable[Entry]) -> dict[str, Any]:
    """Answers by question id, the newest given winning: QuestionnaireResponse answers and Observations coded with a question."""
    result: dict[str, Any] = {}
    for e in sorted(entries, key=lambda e: e.order):
        if e.type == "QuestionnaireResponse" and e.status in ("completed", "amended"):
            result |= {link: _plain(value) for link, value in answers(e.resource)}
        elif e.type == "Observation":
            for name, value in e.resource.items():
                if name.startswith("value"):
                    result |= {code: _plain(value) for system, code in e.codes if system == QUESTION_SYSTEM}
    return result


def pays_alone(values: Mapping[str, Any]) -> bool:
    """No plan is to be billed: a Coverage says self-pay, the question `self-pay` was answered yes, or a Consent forbids to tell any (which `facts` answers)."""
    return values.get("self-pay") is True or any(self_pay(coverage) for coverage in values["coverages"])


def self_pay_ends(entries: Iterable[Entry], at: Moment) -> set[date]:
    """The last days of Coverages that say self-pay, those of today and later: with them it ends that nobody is to be billed (Coverage.period)."""
    return {e.ends for e in entries if e.type == "Coverage" and e.ends and e.ends >= at.today and self_pay(e.resource)}


def _paid_once(e: Entry, at: Moment) -> bool:
    """Did the patient pay without insurance for a time that is over?"""
    return e.ends is not None and e.ends < at.today and self_pay(e.resource)


def decide_by(case: CaseFile, values: dict[str, Any], at: Moment) -> date | None:
    """The day treatment is planned to start, by which the opinion is wanted: the answer given, else the end the referral asks for."""
    for value in (values.get("treatment-start"), *walk(case.referral, "occurrencePeriod.end"), *walk(case.referral, "occurrenceDateTime")):
        found = span(value, at.zone)
        if found:
            return found.low
    return None


def _plain(value: Any) -> Any:
    """An answer as a condition reads it: yes and no as booleans (HL7 table 0136, SNOMED 373066001 and 373067005)."""
    if isinstance(value, dict):
        value = next((code for _, code in codings(value)), value.get("text", []))
    if isinstance(value, str) and value.upper() in ("Y", "YES", "373066001"):
        return True
    if isinstance(value, str) and value.upper() in ("N", "NO", "373067005"):
        return False
    return value


def _type(resource: Json) -> Any:
    return resource.get("resourceType")


def _condition_codes(condition: Json) -> Iterable[Code]:
    if ("", "entered-in-error") not in {("", code) for _, code in codings(condition.get("verificationStatus"))}:
        for concept in walk(condition, "code"):
            yield from codings(concept)


def _stages(e: Entry) -> Iterable[str]:
    if e.type == "Observation" and e.codes & STAGE_CODES:
        concepts = [e.resource.get("valueCodeableConcept"), e.resource.get("valueString")]
    elif e.type == "Condition":
        concepts = list(walk(e.resource, "stage.summary"))
    else:
        return
    for concept in concepts:
        texts = [concept] if isinstance(concept, str) else [*walk(concept, "text"), *walk(concept, "coding.display")]
        for text in texts:
            match = STAGE.fullmatch(text.strip()) if isinstance(text, str) else None
            if match:
                yield ROMAN.get(match[1], match[1].upper())


def _age(patient: Json, at: Moment) -> int | list[Any]:
    born = span(patient.get("birthDate"), at.zone)
    ages = {_years(day, at.today) for day in born} if isinstance(born, Span) else set()
    return ages.pop() if len(ages) == 1 else []


def _years(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))
