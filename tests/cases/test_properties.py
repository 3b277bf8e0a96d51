"""What holds for any records whatever: order decides nothing, oddities stop nothing, and the next change is never late."""

from __future__ import annotations

import json
from datetime import UTC, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_gateway.cases.answer import flat, guidance_response
from fhir_gateway.cases.model import Evaluation, Moment
from tests.cases.arrivals import PARTIAL, RECORDS, TASKS, VISITS
from tests.cases.story import (
    CLINIC_ZONE,
    PATIENT,
    REFERRAL,
    Case,
    checklist,
    moment,
)

Json = dict[str, Any]


def told(evaluation: Evaluation) -> Json:
    """The answer without the time it was asked at."""
    kept = flat(evaluation, checklist())
    del kept["case"]["asOf"]
    return kept


@settings(max_examples=60)
@given(RECORDS, TASKS, st.randoms(use_true_random=False))
def test_records_in_any_order_make_the_same_case(records: list[Json], tasks: list[Json], shuffled: Any) -> None:
    tasks = list({task["id"]: task for task in tasks}.values())
    mixed, mixed_tasks = records[:], tasks[:]
    shuffled.shuffle(mixed)
    shuffled.shuffle(mixed_tasks)
    assert told(Case(tasks=tasks).receives(*records).evaluation()) == told(Case(tasks=mixed_tasks).receives(*mixed).evaluation())


@settings(max_examples=60)
@given(RECORDS, TASKS, VISITS)
def test_nothing_changes_before_the_next_change(records: list[Json], tasks: list[Json], visit: Json | None) -> None:
    case = Case(tasks=tasks, appointment=visit).receives(*records)
    now = moment()
    first = case.evaluation(now)
    horizon = now.now + timedelta(days=400)
    until = min(first.next_change or horizon, horizon) - timedelta(microseconds=1)
    later = case.evaluation(Moment(until, CLINIC_ZONE))
    assert [(item.item, item.state, item.reason) for item in later.items] == [(item.item, item.state, item.reason) for item in first.items]


ELEMENTS = [
    "code", "coding", "system", "status", "type", "category", "effectiveDateTime", "effectivePeriod", "start", "end", "date", "identifier", "value",
    "item", "answer", "linkId", "valueBoolean", "provision", "actor", "role", "reference", "purpose", "period", "modality", "started", "relatesTo",
    "target", "content", "attachment", "language", "insurance", "inforce", "stage", "summary", "text", "container", "component", "verificationStatus",
    "name", "family", "given", "birthDate", "reasonCode", "requester", "performer", "occurrencePeriod", "input", "focus", "restriction", "businessStatus",
]  # fmt: skip
JUNK = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(max_size=8), PARTIAL, st.sampled_from(["final", "http://loinc.org", "11529-5", "true"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(ELEMENTS), inner, max_size=5)),
    max_leaves=20,
)
TYPES = [
    "DiagnosticReport", "Observation", "DocumentReference", "ImagingStudy", "Consent", "Coverage", "CoverageEligibilityResponse", "ClaimResponse",
    "QuestionnaireResponse", "Specimen", "Condition", "Procedure", "List", "Media", "Nonsense",
]  # fmt: skip


def odd(kind: Any) -> st.SearchStrategy[Json]:
    """A resource whose elements hold anything."""
    return st.builds(lambda body, k: body | {"resourceType": k, "id": "odd"}, st.dictionaries(st.sampled_from(ELEMENTS), JUNK, max_size=10), kind)


@settings(max_examples=200)
@given(
    st.lists(odd(st.sampled_from(TYPES)), max_size=6),
    odd(st.just("ServiceRequest")),
    odd(st.just("Patient")),
    odd(st.just("Appointment")),
    odd(st.just("Task")),
)
def test_no_resource_however_odd_stops_an_evaluation(records: list[Json], referral: Json, patient: Json, visit: Json, task: Json) -> None:
    case = Case(referral=referral, patient=patient, appointment=visit, tasks=[task], task=task)
    for number, resource in enumerate(records):
        case.receives(resource | {"id": f"odd-{number}"}, patient=PATIENT if number % 2 else patient)
    evaluation = case.evaluation()
    assert len(evaluation.items) == len(checklist().items)
    json.dumps(guidance_response(flat(evaluation, checklist()), checklist()))


@settings(max_examples=60)
@given(st.datetimes(timezones=st.just(UTC)), st.sampled_from(["breast", "gynaecologic", "leukaemia-mds"]))
def test_any_moment_can_be_asked_about(now: Any, name: str) -> None:
    evaluation = Case(name, referral=REFERRAL).booked("2026-10-01T14:00:00-04:00").evaluation(Moment(now, CLINIC_ZONE))
    assert evaluation.next_change is None or evaluation.next_change > now
