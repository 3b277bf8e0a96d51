"""Questions about eligibility and their answers, of which a person may have hundreds: each adds its own rows of what payers are shown, the same as if all
of the person's rows were made anew; and no read by a payer goes through everything that payer is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import select

from fhir_gateway.security.principal import Principal
from fhir_gateway.store import Store, Transaction, tables
from fhir_gateway.store.payerview.shares import owner_of
from fhir_gateway.store.search import parse_query
from tests.store.people import CLINIC, later
from tests.store.plans import plan, sent
from tests.store.test_payer_view import ACME, OTHER, World, consents, under

QUESTION, ANSWER = "CoverageEligibilityRequest", "CoverageEligibilityResponse"
_S = tables.payer_share


@pytest.fixture
def world(store: Store) -> World:
    made = World(store)
    made.case()
    return made


def rows(tx: Transaction) -> set[tuple[str, int, str]]:
    tx.resources.any("Patient")  # writes what waits
    return {tuple(row) for row in tx._work.execute(select(_S.c.payer, _S.c.resource, _S.c.patient_id))}


def question(world: World, id: str, *plans: str) -> dict[str, Any]:
    return {"resourceType": QUESTION, "id": id, "status": "active", "patient": {"reference": world.ids["ines"]}, "insurance": under(*plans)}


def answer(world: World, id: str, to: str, *plans: str) -> dict[str, Any]:
    made = {"resourceType": ANSWER, "id": id, "status": "active", "patient": {"reference": world.ids["ines"]}, "insurance": under(*plans)}
    return made | ({"request": {"reference": f"{QUESTION}/{to}"}} if to else {"request": {"display": "by telephone"}})


def writes(world: World) -> dict[str, Callable[[Transaction], object]]:
    """By name, writes that each stand for a way a question or an answer may come."""
    acme, other = world.ids["ines with acme"], world.ids["ines with other"]
    owned = Principal("gateway", owner_of("acme"), "acme-system")

    def create(tx: Transaction, resource: dict[str, Any], by: Principal | None = None) -> object:
        return (tx.on_behalf_of(by) if by else tx).resources.create(resource, id=resource["id"])

    return {
        "question": lambda tx: create(tx, question(world, "q1", acme, other)),
        "answer": lambda tx: create(tx, answer(world, "a1", "q1", acme)),
        "of the payer": lambda tx: create(tx, question(world, "q2", acme), owned),
        "answer to it": lambda tx: create(tx, answer(world, "a2", "q2", acme), owned),
        "by telephone": lambda tx: create(tx, answer(world, "a3", "", other)),
        "consent": lambda tx: tx.resources.create(consent(world)),
    }


def consent(world: World) -> dict[str, Any]:
    tax = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
    purpose = [{"system": tax, "code": "HPAYMT"}]
    data = [{"meaning": "instance", "reference": {"reference": world.ids["ines with acme"]}}]
    scope = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]}
    rule = {"type": "deny", "purpose": purpose, "data": data}
    return {"resourceType": "Consent", "status": "active", "scope": scope, "patient": {"reference": world.ids["ines"]}, "provision": rule}


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in one transaction"])
def test_in_whatever_order_they_come_the_rows_are_those_of_the_whole(world: World, together: bool) -> None:
    ways = writes(world)
    names = [*ways]
    asked = names[:-1]  # a Consent makes everything of the person anew
    orders = [names, names[::-1], *list(permutations(names))[7::191], asked, asked[::-1], *list(permutations(asked))[5::23]]
    for order in orders:
        with pytest.raises(InterruptedError), world.store.transaction(CLINIC, later(minutes=5)) as tx:
            before = rows(tx)
            for name in order:
                ways[name](tx)
                if not together:
                    rows(tx)
            found = rows(tx)
            tx.shares.forget()
            tx.shares.settle_next(0, 1000)
            assert found == rows(tx), order
            assert found != before
            raise InterruptedError  # nothing of it stays


def test_a_consent_that_forbids_it_holds_for_a_question_that_comes_later(world: World) -> None:
    consents(world)
    with world.store.transaction(CLINIC, later(minutes=5)) as tx:
        tx.resources.create(question(world, "q9", world.ids["ines with acme"]), id="q9")
        tx.resources.create(answer(world, "a9", "q9", world.ids["ines with acme"]), id="a9")
    for payer in (ACME, OTHER):
        with world.store.snapshot(payer) as tx:
            assert tx.resources.read(QUESTION, "q9") is None
            assert tx.resources.read(ANSWER, "a9") is None


def test_no_read_of_a_payer_goes_through_all_it_is_shown(world: World) -> None:
    patient, coverage = world.ids["ines"], world.ids["ines with acme"]
    asked = parse_query("Coverage", [("beneficiary", patient)])
    with world.store.snapshot(ACME) as tx:
        questions: dict[str, Callable[[], object]] = {
            "read": lambda: tx.resources.read(*coverage.split("/")),
            "read many": lambda: tx.resources.read_many([patient, coverage]),
            "search": lambda: tx.search("Coverage", asked),
        }
        for name, ask in questions.items():
            with sent(tx._work.connection) as statements:
                ask()
            assert statements, name
            for statement, values in statements:
                steps = plan(tx._work.connection, statement, values)
                assert not [step for step in steps if re.search(r"payer_share\b.*\(payer=\?\)|Index Cond: \(\(?payer = [^)]*\)$", step)], (
                    name,
                    steps,
                )


def test_what_a_payer_has_read_is_not_remembered_beyond_what_changes_it(world: World) -> None:
    """Within one transaction, as when a payer's question is answered: a Consent, a release taken back or another plan counts from the moment it is written."""
    plan_, other = world.ids["ines with acme"], world.ids["question to acme on ines"]
    with pytest.raises(InterruptedError), world.store.transaction(ACME, later(minutes=5)) as tx:
        staff = tx.on_behalf_of(CLINIC)
        assert tx.resources.read(*plan_.split("/")) is not None
        assert tx.resources.read(*other.split("/")) is not None
        made = tx.resources.create({**question(world, "x", plan_), "id": None}).id
        assert tx.resources.read(QUESTION, made) is not None
        assert tx.resources.read(*plan_.split("/")) is not None
        forbids = staff.resources.create(consent(world))
        assert tx.resources.read(*plan_.split("/")) is None
        assert tx.resources.read_many([plan_, other]) == {}
        staff.resources.update({**forbids.resource, "status": "inactive"})
        assert tx.resources.read(*plan_.split("/")) is not None
        staff.shares.forget()
        assert tx.resources.read(*plan_.split("/")) is None
        raise InterruptedError
