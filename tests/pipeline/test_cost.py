"""What a case costs does not grow with the number of cases: the same questions, each answered by an index (both databases)."""

from __future__ import annotations

from typing import Any

from fhir_gateway.security.principal import GATEWAY
from tests import messages
from tests.pipeline.conftest import STAFF, Told
from tests.store.plans import plan, sent, walks

READ = ("SELECT", "WITH")


def told_of(told: Told, number: int) -> None:
    """A referral and a report of one more patient."""
    told.receives(messages.referral(f"COST-{number}", mrn=f"C{number}"))
    told.receives(messages.pathology(number=f"COST-{number}", filler=f"F-{number}", mrn=f"C{number}"))


def questions(told: Told, number: int) -> list[tuple[str, Any]]:
    """What the database is asked when one case is judged and its answer is read."""
    now = told.gateway.clock()
    identity = told.case(f"COST-{number}")["case"]["id"]
    with told.gateway.store.transaction(GATEWAY, now) as tx, sent(tx._work.connection) as statements:
        told.gateway.casework.reevaluate(tx, identity, now)
        told.gateway.casework.guidance(tx, identity, None, now)
        asked = [(text, values) for text, values in statements if text.lstrip().upper().startswith(READ)]
        steps = [step for text, values in asked for step in plan(tx._work.connection, text.replace(" FOR UPDATE OF referral_case", ""), values)]
    assert [step for step in steps if walks(step)] == []
    return asked


def test_judging_a_case_asks_the_same_of_one_case_and_of_many(told: Told) -> None:
    told_of(told, 0)
    alone = questions(told, 0)
    for number in range(1, 12):
        told_of(told, number)
    among_many = questions(told, 0)
    assert [text for text, _ in among_many] == [text for text, _ in alone]
    assert len(alone) < 20


def test_a_page_of_the_worklist_is_one_question_in_the_order_of_one_index(told: Told) -> None:
    for number in range(3):
        told_of(told, number)
    with told.gateway.store.snapshot(STAFF) as tx, sent(tx._work.connection) as statements:
        page = tx.cases.list(limit=2)
        rest = tx.cases.list(limit=2, after=page[-1].cursor)
        asked = list(statements)
        plans = [plan(tx._work.connection, text, values) for text, values in asked]
    assert [len(page), len(rest), len(asked)] == [2, 1, 2]
    for steps in plans:
        assert any("ix_case_urgency" in step for step in steps), steps
        assert not any("TEMP B-TREE" in step or step.lstrip(" ->").startswith("Sort") for step in steps), "the index has the order already"


def test_a_record_touches_its_case_with_as_many_questions_as_several_do(told: Told) -> None:
    told_of(told, 0)
    reports = [f"Observation/{one['id']}" for one in told.found("Observation")]
    (report,) = [f"DiagnosticReport/{one['id']}" for one in told.found("DiagnosticReport")]
    with told.gateway.store.transaction(GATEWAY, told.gateway.clock()) as tx, sent(tx._work.connection) as statements:
        (case,) = tx.cases.touched_by([report])
        one = len(statements)
        assert [c.service_request_id for c in tx.cases.touched_by([report, *reports])] == [case.service_request_id]
        assert len(reports) == 2 and len(statements) - one <= one <= 5, "several records ask no more questions than one"
