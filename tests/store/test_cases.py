"""Cases: opened for a referral, records found whatever the order they came in, worklists from projections."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_gateway.security.principal import GATEWAY
from fhir_gateway.store import Case, Store, Transaction
from fhir_gateway.store.errors import AmbiguousCaseError, NotFoundError
from fhir_gateway.store.links import Link, record_links, referral_keys
from fhir_gateway.store.records import RECORDS, aspect
from profiles.canonical import sender_system
from tests.store.people import CLINIC, NORTHSIDE, NOW, later, named, patient, referral, report
from tests.store.plans import is_indexed, plan, sent, walks
from tests.store.test_keys import in_threads


def opened(tx: Transaction, patient_id: str, id: str = "sr-1", number: str = "REF-1", **more: Any) -> Case:
    """Store a referral and open its case."""
    order = tx.resources.create(referral(patient_id, number), id=id)
    values = {"task_id": f"task-{id}", "patient_id": patient_id, "state": "received", "confirmed": True, **more}
    return tx.cases.open(order.resource, **values)


def answer(id: str, *, state: str = "collecting", due: str | None = "2026-09-20", next_change: str | None = None, **items: str) -> dict[str, Any]:
    """A flat answer as `$completeness` gives it."""
    return {
        "case": {
            "id": id,
            "state": state,
            "asOf": "2026-09-01T10:00:00+00:00",
            "due": due,
            "appointment": "2026-09-25T09:00:00+02:00",
            "decideBy": None,
            "checklist": "urn:breast|1.0.0",
            "nextChange": next_change,
        },
        "gates": {"records": {"state": "not-satisfied", "reason": None, "open": []}},
        "items": [
            {
                "id": name,
                "state": value,
                "reason": None,
                "gapStatus": "closed-gap" if value == "accepted" else "open-gap",
                "due": due,
                "goodUntil": None,
            }
            for name, value in items.items()
        ],
    }


def records(tx: Transaction, name: str = "sr-1", as_of: datetime | None = None) -> dict[str, str]:
    """What a case is judged from: reference → link."""
    case = tx.cases.get(name)
    assert case is not None
    return {record.stored.id: record.link for record in tx.cases.records_of(case, as_of)}


def test_a_case_is_found_by_every_name_it_has(tx: Transaction) -> None:
    case = opened(tx, "p")
    for name in ("sr-1", "ServiceRequest/sr-1", "task-sr-1", "Task/task-sr-1", "REF-1", "urn:oid:1.2.9|REF-1"):
        assert tx.cases.get(name) == case, name
    for name in ("nobody", "Task/sr-1", "ServiceRequest/task-sr-1", "urn:oid:9|REF-1", "Patient/p"):
        assert tx.cases.get(name) is None, name


def test_a_number_that_names_two_cases_is_not_guessed(tx: Transaction) -> None:
    opened(tx, "p")
    opened(tx, "q", id="sr-2")
    with pytest.raises(AmbiguousCaseError) as refusal:
        tx.cases.get("REF-1")
    assert set(refusal.value.ids) == {"sr-1", "sr-2"}


def test_opening_again_brings_the_names_up_to_date(tx: Transaction) -> None:
    opened(tx, "p")
    tx.cases.save("sr-1", answer("sr-1"))
    order = tx.resources.update({**referral("q", "REF-9"), "id": "sr-1"})
    case = tx.cases.open(order.resource, task_id="task-9", patient_id="q", state="received", confirmed=True)
    assert (case.patient_id, case.task_id, case.state, case.opened_at) == ("q", "task-9", "collecting", NOW.replace(microsecond=123000))
    assert tx.cases.get("REF-1") is None
    assert tx.cases.get("REF-9") == case


def test_a_case_needs_a_stored_referral(tx: Transaction) -> None:
    with pytest.raises(NotFoundError):
        tx.cases.open({**referral("p"), "id": "nobody"}, task_id=None, patient_id="p", state="received", confirmed=True)
    with pytest.raises(NotFoundError):
        tx.cases.save("nobody", answer("nobody"))


STEPS: dict[str, Any] = {
    "patient": lambda tx: tx.resources.create(patient(), id="p"),
    "case": lambda tx: opened(tx, "p"),
    "second case": lambda tx: opened(tx, "p", id="sr-2", number="REF-2"),
    "plain": lambda tx: tx.resources.create(report("p"), id="plain"),
    "named": lambda tx: tx.resources.create(report("p", basedOn=named("REF-1")), id="named"),
    "other": lambda tx: tx.resources.create(report("p", basedOn=named("REF-2")), id="other"),
    "foreign": lambda tx: tx.resources.create(report("q", basedOn=[{"reference": "ServiceRequest/sr-1"}]), id="foreign"),
    "stranger": lambda tx: tx.resources.create(report("q"), id="stranger"),
}
ENDS = {
    "sr-1": {"plain": "patient", "named": "referral", "foreign": "referral"},
    "sr-2": {"plain": "patient", "other": "referral"},
}


def test_records_find_their_case_in_any_order(store: Store) -> None:
    """One transaction per arrival, and each order in a transaction that is undone, so that one database serves all."""

    class Undo(Exception):
        pass

    orders = list(itertools.permutations(STEPS))
    for order in orders[:: len(orders) // 60]:
        with pytest.raises(Undo), store.transaction(GATEWAY, NOW) as tx:
            for step in order:
                STEPS[step](tx)
            assert {name: records(tx, name) for name in ENDS} == ENDS, order
            assert [held.id for _, held in tx.cases.orphans()] == ["stranger"], order
            raise Undo


def test_a_number_without_assigner_does_not_take_another_patients_record(tx: Transaction) -> None:
    """Two hospitals use the number 12345. A record with the bare number stays with its own patient's case."""
    opened(tx, "p", number="12345")
    opened(tx, "q", id="sr-2", number="12345")
    tx.resources.create(report("q", basedOn=named("12345", None)), id="of-q")
    tx.resources.create(report("r", basedOn=named("12345", None)), id="of-nobody")
    assert records(tx, "sr-1") == {"of-nobody": "referral"}
    assert records(tx, "sr-2") == {"of-q": "referral", "of-nobody": "referral"}


def test_the_same_namespace_from_two_senders_meets(tx: Transaction) -> None:
    """RF1-6 from the hospital and ORC-4 from the laboratory: both `REF-1^NORTHSIDE`, each scoped to its sender."""
    order = tx.resources.create(referral("p", system=sender_system("NORTH HOSPITAL", "NORTHSIDE")), id="sr-1")
    tx.cases.open(order.resource, task_id=None, patient_id="p", state="received", confirmed=True)
    tx.resources.create(report("q", basedOn=named("REF-1", sender_system("LAB", "NORTHSIDE"))), id="same")
    tx.resources.create(report("q", basedOn=named("REF-1", sender_system("LAB", "ELSEWHERE"))), id="other")
    assert records(tx) == {"same": "referral"}


def test_links_say_how_sure_they_are() -> None:
    scoped, nameless = sender_system("LAB", "NORTHSIDE"), sender_system("LAB", "")
    assert record_links([{"reference": "ServiceRequest/1/_history/2"}]) == {Link("ServiceRequest/1", True)}
    assert record_links(named("1")) == {Link("urn:oid:1.2.9|1", True)}
    assert record_links(named("1", None)) == {Link("|1", False)}
    assert record_links(named("1", scoped)) == {Link(f"{scoped}|1", True), Link("NORTHSIDE^1", False)}
    assert record_links(named("1", nameless)) == {Link(f"{nameless}|1", True), Link("|1", False)}
    assert record_links([{"reference": "Patient/1"}, "odd", {}, {"identifier": {"value": ""}}]) == frozenset()
    assert referral_keys({**referral("p", "1", scoped), "id": "sr", "requisition": {"value": "G"}}) == {
        "ServiceRequest/sr",
        "|1",
        f"{scoped}|1",
        "NORTHSIDE^1",
        "|G",
    }


@given(
    st.sampled_from(sorted(RECORDS)),
    st.dictionaries(
        st.sampled_from(["subject", "patient", "basedOn", "participant", "context"]),
        st.recursive(
            st.none() | st.text() | st.integers(),
            lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["reference", "identifier", "value", "actor", "related"]), inner),
        ),
    ),
)
def test_odd_records_have_an_aspect(type: str, content: dict[str, Any]) -> None:
    assert aspect({"resourceType": type, **content}) is not None


def test_a_record_that_changes_patient_leaves_its_case(store: Store) -> None:
    with store.transaction(GATEWAY, NOW) as tx:
        opened(tx, "p")
        opened(tx, "q", id="sr-2", number="REF-2")
        tx.resources.create(report("p"), id="r")
    with store.transaction(GATEWAY, later(days=2)) as tx:
        tx.resources.update({**report("q"), "id": "r"})
        assert {case.service_request_id for case in tx.cases.touched_by(["DiagnosticReport/r"])} == {"sr-1", "sr-2"}
        assert (records(tx, "sr-1"), records(tx, "sr-2")) == ({}, {"r": "patient"})
    with store.transaction(GATEWAY, later(days=4)) as tx:
        tx.resources.delete("DiagnosticReport", "r")
        assert {case.service_request_id for case in tx.cases.touched_by(["DiagnosticReport/r"])} == {"sr-2"}
        assert records(tx, "sr-2") == {}
    with store.snapshot(GATEWAY) as tx:
        assert records(tx, "sr-1", later(days=1)) == {"r": "patient"}
        assert records(tx, "sr-1", later(days=3)) == {}
        assert records(tx, "sr-2", later(days=3)) == {"r": "patient"}
        assert records(tx, "sr-1", later(days=-1)) == {}


def test_a_case_as_of_a_day_shows_the_versions_of_that_day(store: Store) -> None:
    with store.transaction(GATEWAY, NOW) as tx:
        opened(tx, "p")
        tx.resources.create(report("p", status="preliminary"), id="r")
    with store.transaction(GATEWAY, later(days=2)) as tx:
        tx.resources.update({**report("p", status="final"), "id": "r"})
        opened(tx, "p", id="sr-2", number="REF-2")
    with store.snapshot(GATEWAY) as tx:
        case = tx.cases.get("sr-1")
        assert case is not None
        then, now = tx.cases.records_of(case, later(days=1)), tx.cases.records_of(case)
    assert [(record.stored.resource["status"], record.received_at.day) for record in (*then, *now)] == [("preliminary", 1), ("final", 3)]


def test_what_touches_a_case(tx: Transaction) -> None:
    opened(tx, "p")
    for id, part_of in (("child", "Task/task-sr-1"), ("unrelated", "Task/other")):
        tx.resources.create({"resourceType": "Task", "partOf": [{"reference": part_of}]}, id=id)
    tx.resources.create({"resourceType": "Appointment", "basedOn": [{"reference": "ServiceRequest/sr-1"}]}, id="visit")
    tx.resources.create({"resourceType": "Coverage", "beneficiary": {"reference": "Patient/p"}}, id="plan")
    for reference in ("Patient/p", "ServiceRequest/sr-1", "Task/task-sr-1", "Task/child", "Appointment/visit", "Coverage/plan"):
        assert [case.service_request_id for case in tx.cases.touched_by([reference])] == ["sr-1"], reference
    assert tx.cases.touched_by(["Patient/q", "Task/unrelated", "Organization/x", "Coverage/none"]) == []
    case = tx.cases.get("sr-1")
    assert case is not None
    assert [task.id for task in tx.cases.tasks_of(case)] == ["child"]
    assert tx.cases.tasks_of(case, later(days=-1)) == []


def test_a_judgement_is_kept_and_read_back(tx: Transaction) -> None:
    opened(tx, "p", tumour_group="breast")
    kept = answer("sr-1", next_change="2026-09-10T00:00:00+02:00", pathology="missing", consent="accepted")
    tx.cases.save("sr-1", kept, confirmed=False)
    case = tx.cases.get("sr-1")
    assert case is not None
    assert (case.state, case.due, case.open_items, case.confirmed, case.evaluation) == ("collecting", date(2026, 9, 20), 1, False, kept)
    assert case.appointment == datetime(2026, 9, 25, 7, tzinfo=UTC)
    assert case.next_change == datetime(2026, 9, 9, 22, tzinfo=UTC)
    assert case.evaluated_at == datetime(2026, 9, 1, 10, tzinfo=UTC)
    assert [item.item_id for item in tx.cases.items(state="missing")] == ["pathology"]
    tx.cases.save("sr-1", answer("sr-1", pathology="accepted", imaging="missing"))
    assert [(item.item_id, item.due) for item in tx.cases.items(state="missing")] == [("imaging", date(2026, 9, 20))]
    assert [item.item_id for item in tx.cases.items(state="accepted", item_id="pathology")] == ["pathology"]
    assert tx.cases.items(state="accepted", item_id="consent") == []


def test_the_worklist_is_by_urgency_and_paged(tx: Transaction) -> None:
    dues = {"a": "2026-09-20", "b": None, "c": "2026-09-10", "d": "2026-09-20", "e": "2026-09-01"}
    for id, due in dues.items():
        opened(tx, f"p-{id}", id=id, number=id, confirmed=id != "d", tumour_group="breast" if id in "ac" else "")
        tx.cases.save(id, answer(id, due=due), closed=id == "e")
    assert [case.service_request_id for case in tx.cases.list()] == ["c", "a", "d", "b"]
    first = tx.cases.list(limit=2)
    rest = tx.cases.list(limit=5, after=first[-1].cursor)
    assert [case.service_request_id for case in rest] == ["d", "b"]
    assert [case.service_request_id for case in tx.cases.list(closed=True)] == ["e"]
    assert [case.service_request_id for case in tx.cases.list(state="collecting", confirmed=False)] == ["d"]
    assert [case.service_request_id for case in tx.cases.list(tumour_group="breast")] == ["c", "a"]


def test_cases_come_due_by_time_alone(tx: Transaction) -> None:
    for id, moment in (("a", "2026-09-03T00:00:00Z"), ("b", "2026-09-02T00:00:00Z"), ("c", None), ("d", "2026-09-02T00:00:00Z")):
        opened(tx, f"p-{id}", id=id, number=id)
        tx.cases.save(id, answer(id, next_change=moment), closed=id == "d")
    assert tx.cases.due_for_evaluation(later(hours=1)) == []
    assert [case.service_request_id for case in tx.cases.due_for_evaluation(later(days=3))] == ["b", "a"]


def test_a_record_and_its_referral_that_arrive_at_once_see_each_other(store: Store) -> None:
    """Whichever commits second must judge the case with the record: this is where a record could be forgotten."""

    def arrive(kind: int, n: int) -> set[str]:
        def work(tx: Transaction) -> set[str]:
            if kind == 0:
                written = opened(tx, f"p{n}", id=f"sr-{n}", number=f"REF-{n}")
                touched: Any = [written]
            else:
                made = tx.resources.create(report(f"p{n}" if kind == 1 else "elsewhere", basedOn=named(f"REF-{n}") if kind == 2 else []))
                touched = tx.cases.touched_by([made.reference])
            return {record.stored.id for case in touched for record in tx.cases.records_of(case)}

        return store.run(GATEWAY, NOW, work)

    for n in range(6):
        judged = in_threads(3, lambda kind, n=n: arrive(kind, n))
        with store.snapshot(GATEWAY) as tx:
            assert set(records(tx, f"sr-{n}")) == max(judged, key=len)
            assert len(records(tx, f"sr-{n}")) == 2


def test_a_referrer_sees_of_its_case_what_it_may(store: Store) -> None:
    with store.transaction(NORTHSIDE, NOW) as tx:
        opened(tx, "p")
        tx.resources.create(report("p"), id="own")
    with store.transaction(CLINIC, NOW) as tx:
        tx.resources.create(report("p"), id="clinic")
    with store.snapshot(NORTHSIDE) as tx:
        assert records(tx) == {"own": "patient"}
    with store.snapshot(NORTHSIDE) as tx:
        assert records(tx.on_behalf_of(GATEWAY)) == {"own": "patient", "clinic": "patient"}


def test_no_question_about_cases_walks_a_table(store: Store) -> None:
    with store.transaction(GATEWAY, NOW) as tx:
        case = opened(tx, "p")
        tx.resources.create(report("p", basedOn=named("REF-1")), id="r")
        tx.cases.save("sr-1", answer("sr-1"))
        connection = tx._work.connection
        questions: dict[str, Any] = {
            "get": lambda: tx.cases.get("REF-1"),
            "list": lambda: tx.cases.list(after=case.cursor),
            "state": lambda: tx.cases.list(state="received"),
            "items": lambda: tx.cases.items(state="missing"),
            "item": lambda: tx.cases.items(state="missing", item_id="x"),
            "patient": lambda: tx.cases.for_patient(["p"]),
            "keys": lambda: tx.cases.by_keys(["|REF-1"]),
            "touched": lambda: tx.cases.touched_by(["DiagnosticReport/r", "Task/x", "Patient/p"]),
            "records": lambda: tx.cases.records_of(case),
            "then": lambda: tx.cases.records_of(case, NOW),
            "tasks": lambda: tx.cases.tasks_of(case),
            "orphans": lambda: tx.cases.orphans(),
            "due": lambda: tx.cases.due_for_evaluation(NOW),
            "keys held": lambda: tx.keys.of("Patient", "p"),
            "same": lambda: tx.inbox.find_same("a", "b", "c"),
            "inbox": lambda: tx.inbox.list(state="failed"),
            "history": lambda: tx.resources.history("Patient", "p"),
            "lease": lambda: tx.outbox.lease(NOW, 5, 60, "w"),
            "audit": lambda: tx.audit.of("Patient", "p"),
            "generation": lambda: tx.resources.generation("PractitionerRole", "HealthcareService"),
            "clinic's own": lambda: tx.resources.clinics_own("PractitionerRole"),
        }
        for name, question in questions.items():
            with sent(connection) as statements:
                question()
            steps = [step for statement, values in statements for step in plan(connection, statement, values)]
            assert any(is_indexed(step) for step in steps), name
            assert [step for step in steps if walks(step)] == [], name
            own = name in ("generation", "clinic's own")
            assert not own or any("ix_resource_clinics_own" in step for step in steps), "what senders hold of the type is not looked at"
