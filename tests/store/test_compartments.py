"""Who sees what: decided in the store, for every verb."""

from __future__ import annotations

import pytest

from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.store import Store, Transaction
from fhir_gateway.store.errors import IdTakenError, NotFoundError, NotOpenError
from fhir_gateway.store.search import parse_query
from mappers.result import IdentityKey
from tests.store.people import CLINIC, LABORATORY, NORTHSIDE, NOW, PAYER, later, patient, referral

ADMINISTRATOR = Principal("administrator", name="root")
NOBODY = Principal("referrer", organisation="", name="unnamed")


def searched(tx: Transaction, *pairs: tuple[str, str]) -> bool:
    """Does a search say that there is a Patient? What a payer may not ask is refused whatever there is."""
    try:
        page = tx.search("Patient", parse_query("Patient", pairs))
    except NotOpenError:
        return False
    return bool(page.entries or page.total)


def visible(store: Store, principal: Principal, id: str) -> set[str]:
    """The verbs by which this principal comes upon Patient/id."""
    found: set[str] = set()
    with store.snapshot(principal) as tx:
        verbs = {
            "read": tx.resources.read("Patient", id),
            "read_many": tx.resources.read_many([f"Patient/{id}"]),
            "vread": tx.resources.vread("Patient", id, 1),
            "history": tx.resources.history("Patient", id),
            "as_of": tx.resources.as_of("Patient", [id], later(days=1)),
            "list": searched(tx),
            "search": searched(tx, ("identifier", "MRN-1")),
            "sorted": searched(tx, ("family", "marlowe"), ("_sort", "-_lastUpdated")),
            "count": searched(tx, ("_summary", "count")),
            "total": searched(tx, ("family", "m"), ("_total", "accurate")),
        }
    found.update(verb for verb, answer in verbs.items() if answer)
    return found


EVERYTHING = {"read", "read_many", "vread", "history", "as_of", "list", "search", "sorted", "count", "total"}


@pytest.fixture
def held(store: Store) -> str:
    """A patient that NORTHSIDE sent."""
    with store.transaction(NORTHSIDE, NOW) as tx:
        made = tx.resources.create(patient())
        tx.keys.claim([IdentityKey("Patient", "MRN-1")], "Patient", made.id)
    with store.transaction(NORTHSIDE, NOW) as tx:
        tx.resources.update({**patient(), "id": made.id})
    return made.id


def test_the_sender_and_the_clinic_see_it_and_nobody_else_does(store: Store, held: str) -> None:
    for principal in (NORTHSIDE, CLINIC, ADMINISTRATOR, GATEWAY):
        assert visible(store, principal, held) == EVERYTHING, principal
    for principal in (LABORATORY, PAYER, NOBODY):
        assert visible(store, principal, held) == set(), principal


def test_a_referrer_without_organisation_does_not_see_the_clinics_own(store: Store) -> None:
    with store.transaction(CLINIC, NOW) as tx:
        own = tx.resources.create(patient())
    assert visible(store, NOBODY, own.id) == set()


def test_what_is_invisible_cannot_be_written_nor_its_id_taken(store: Store, held: str) -> None:
    with store.transaction(LABORATORY, NOW) as tx:
        with pytest.raises(NotFoundError):
            tx.resources.update({**patient(), "id": held})
        with pytest.raises(NotFoundError):
            tx.resources.delete("Patient", held)
        with pytest.raises(IdTakenError):
            tx.resources.create(patient(), id=held)


def test_who_knows_it_by_its_key_may_contribute_and_sees_it_from_then_on(store: Store, held: str) -> None:
    with store.transaction(LABORATORY, NOW) as tx:
        holder = tx.keys.find([IdentityKey("Patient", "MRN-1")])[0]
        tx.resources.update({**patient(), "id": holder.id}, known_by_key=True)
    assert visible(store, LABORATORY, held) == EVERYTHING
    assert visible(store, NORTHSIDE, held) == EVERYTHING
    with store.snapshot(CLINIC) as tx:
        current = tx.resources.read("Patient", held)
        assert current is not None
        assert current.owner == "NORTHSIDE"


def test_rows_not_yet_written_are_hidden_too(store: Store) -> None:
    with store.transaction(NORTHSIDE, NOW) as tx:
        made = tx.resources.create(patient())
        other = tx.on_behalf_of(LABORATORY)
        assert other.resources.read("Patient", made.id) is None
        assert other.resources.read_many([made.reference]) == {}
        assert tx.on_behalf_of(GATEWAY).resources.read("Patient", made.id) is not None


def test_cases_and_inbox_follow_the_same_rule(store: Store) -> None:
    with store.transaction(NORTHSIDE, NOW) as tx:
        subject = tx.resources.create(patient())
        order = tx.resources.create(referral(subject.id))
        tx.cases.open(order.resource, task_id=None, patient_id=subject.id, state="received", confirmed=True)
        entry = tx.inbox.add(channel="mllp", sender="N", control_id="1", message_type="REF^I12", raw=b"x", content_hash="h")
    for principal, sees in ((NORTHSIDE, True), (CLINIC, True), (LABORATORY, False), (PAYER, False), (NOBODY, False)):
        with store.snapshot(principal) as tx:
            case = tx.cases.get(order.id)
            assert (case is not None) is sees
            assert bool(tx.cases.list()) is sees
            assert bool(tx.cases.for_patient([subject.id])) is sees
            assert bool(tx.cases.by_keys(["|REF-1"])) is sees
            assert (tx.inbox.get(entry) is not None) is sees
            assert bool(tx.inbox.list()) is sees


def test_what_the_clinic_publishes_a_referrer_reads_and_never_writes(store: Store) -> None:
    plan = {"resourceType": "PlanDefinition", "status": "active", "title": "What we need"}
    with store.transaction(CLINIC, NOW) as tx:
        published = tx.resources.create(plan)
    with store.transaction(LABORATORY, NOW) as tx:
        theirs = tx.resources.create(plan)
    with store.snapshot(NORTHSIDE) as tx:
        assert tx.resources.read("PlanDefinition", published.id)
        assert [found.id for found in tx.search("PlanDefinition", parse_query("PlanDefinition", [])).entries] == [published.id]
        assert tx.resources.read("PlanDefinition", theirs.id) is None
    with store.transaction(NORTHSIDE, NOW) as tx, pytest.raises(NotFoundError):
        tx.resources.update({**plan, "id": published.id, "title": "What we like"})
    with store.transaction(NORTHSIDE, NOW) as tx, pytest.raises(NotFoundError):
        tx.resources.delete("PlanDefinition", published.id)
    with store.snapshot(PAYER) as tx:
        assert tx.resources.read("PlanDefinition", published.id) is None
