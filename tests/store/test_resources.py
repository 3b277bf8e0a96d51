"""Resources: versions, deletion, history, and the JSON that comes back as it went in."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_gateway.store import Store, Transaction
from fhir_gateway.store.errors import IdTakenError, NotFoundError, ReadOnlyError, VersionConflictError
from fhir_gateway.store.stored import decode, encode, stamp
from mappers.result import Clock
from tests.store.people import CLINIC, NOW, later, patient


def test_what_is_created_is_read_back(store: Store) -> None:
    with store.transaction(CLINIC, NOW) as tx:
        made = tx.resources.create({**patient(), "meta": {"profile": ["urn:p"], "versionId": "77"}}, inbox_id="message-1", clock=Clock("1", "2", 3))
        assert tx.resources.read("Patient", made.id) is made
    with store.snapshot(CLINIC) as tx:
        held = tx.resources.read("Patient", made.id)
    assert held is not None
    assert (held.version, held.deleted, held.inbox_id, held.clock) == (1, False, "message-1", Clock("1", "2", 3))
    assert held.resource["meta"] == {"versionId": "1", "lastUpdated": "2026-09-01T10:00:00.123Z", "profile": ["urn:p"]}
    assert held.last_updated == NOW.replace(microsecond=123000)
    assert held.last_updated.utcoffset() == timedelta(0)
    assert {key: held.resource[key] for key in patient()} == patient()


def test_decimals_key_order_and_unknown_content_survive(store: Store) -> None:
    body = b'{"resourceType":"Observation","valueQuantity":{"value":0.40,"x":1e2},"zeta":1,"alpha":[1.10,12345678901234567890.123456789]}'
    with store.transaction(CLINIC, NOW) as tx:
        made = tx.resources.create(decode(body))
    with store.snapshot(CLINIC) as tx:
        held = tx.resources.read("Observation", made.id)
    assert held is not None
    rest = held.body.partition(b'"lastUpdated":"2026-09-01T10:00:00.123Z"},')[2]
    assert rest == b'"valueQuantity":{"value":0.40,"x":1E+2},"zeta":1,"alpha":[1.10,12345678901234567890.123456789]}'


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.decimals(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_any_json_is_kept_digit_for_digit(value: Any) -> None:
    try:
        text = encode({"x": value})
    except (UnicodeEncodeError, msgspec.EncodeError):
        return  # lone surrogates are not JSON
    assert encode(decode(text)) == text


def test_an_update_moves_the_older_version_to_history(store: Store) -> None:
    with store.transaction(CLINIC, NOW) as tx:
        made = tx.resources.create(patient("One"))
        tx.resources.update({**patient("Two"), "id": made.id})
    with store.transaction(CLINIC, later(days=1)) as tx:
        tx.resources.update({**patient("Three"), "id": made.id}, expected_version=2, clock=Clock("9"))
    with store.snapshot(CLINIC) as tx:
        versions = tx.resources.history("Patient", made.id)
        assert [held.version for held in versions] == [3, 2, 1]
        assert [held.resource["name"][0]["family"] for held in versions] == ["Three", "Two", "One"]
        second = tx.resources.vread("Patient", made.id, 2)
        assert second is not None
        assert second.resource["meta"]["versionId"] == "2"
        assert tx.resources.vread("Patient", made.id, 4) is None
        assert versions[0].clock == Clock("9")


def test_an_update_of_another_version_than_expected_is_refused(store: Store) -> None:
    with store.transaction(CLINIC, NOW) as tx:
        made = tx.resources.create(patient())
    with pytest.raises(VersionConflictError) as refusal, store.transaction(CLINIC, NOW) as tx:
        tx.resources.update({**patient("Two"), "id": made.id}, expected_version=3)
    assert (refusal.value.expected, refusal.value.current) == (3, 1)


def test_a_deleted_resource_says_so_and_can_come_back(store: Store) -> None:
    with store.transaction(CLINIC, NOW) as tx:
        made = tx.resources.create(patient())
        gone = tx.resources.delete("Patient", made.id)
        assert gone.deleted
        with pytest.raises(NotFoundError):
            tx.resources.delete("Patient", made.id)
    with store.snapshot(CLINIC) as tx:
        held = tx.resources.read("Patient", made.id)
        assert held is not None
        assert (held.deleted, held.version) == (True, 2)
        assert "name" not in held.resource
        assert tx.resources.read_many([held.reference]) == {}
    with store.transaction(CLINIC, NOW) as tx:
        assert tx.resources.update({**patient("Back"), "id": made.id}).version == 3


def test_an_id_is_used_once(store: Store) -> None:
    with store.transaction(CLINIC, NOW) as tx:
        tx.resources.create(patient(), id="p-1")
        with pytest.raises(IdTakenError):
            tx.resources.create(patient(), id="p-1")
    with pytest.raises(IdTakenError), store.transaction(CLINIC, NOW) as tx:
        tx.resources.create(patient(), id="p-1")


def test_what_did_not_exist_cannot_be_changed(tx: Transaction) -> None:
    with pytest.raises(NotFoundError):
        tx.resources.update({**patient(), "id": "nobody"})
    assert tx.resources.read("Patient", "nobody") is None
    assert tx.resources.history("Patient", "nobody") == []


def test_an_exception_undoes_everything(store: Store) -> None:
    with pytest.raises(RuntimeError), store.transaction(CLINIC, NOW) as tx:
        tx.resources.create(patient(), id="p-1")
        tx.audit.append("create", "Patient", "p-1")
        raise RuntimeError
    with store.snapshot(CLINIC) as tx:
        assert tx.resources.read("Patient", "p-1") is None
        assert tx.audit.of("Patient", "p-1") == []


def test_resources_as_they_were_at_a_moment(store: Store) -> None:
    with store.transaction(CLINIC, NOW) as tx:
        tx.resources.create(patient("One"), id="a")
    with store.transaction(CLINIC, later(days=2)) as tx:
        tx.resources.update({**patient("Two"), "id": "a"})
        tx.resources.create(patient("Late"), id="b")
    with store.transaction(CLINIC, later(days=4)) as tx:
        tx.resources.delete("Patient", "a")

    def families(days: float) -> dict[str, str]:
        with store.snapshot(CLINIC) as tx:
            found = tx.resources.as_of("Patient", ["a", "b"], later(days=days))
        return {id: held.resource["name"][0]["family"] for id, held in found.items()}

    assert families(-1) == {}
    assert families(1) == {"a": "One"}
    assert families(2) == {"a": "Two", "b": "Late"}
    assert families(5) == {"b": "Late"}


def test_many_are_read_at_once_and_what_is_not_there_is_left_out(store: Store) -> None:
    with store.transaction(CLINIC, NOW) as tx:
        ids = [tx.resources.create(patient()).id for _ in range(70)]
    with store.transaction(CLINIC, NOW) as tx:
        waiting = tx.resources.create(patient())
        found = tx.resources.read_many([*(f"Patient/{id}" for id in ids), "Patient/nobody", waiting.reference])
    assert found.keys() == {*(f"Patient/{id}" for id in ids), waiting.reference}


def test_a_snapshot_does_not_change_and_writes_nothing(store: Store) -> None:
    with store.snapshot(CLINIC) as before:
        assert before.resources.read("Patient", "p-1") is None
        with store.transaction(CLINIC, NOW) as tx:
            tx.resources.create(patient(), id="p-1")
        assert before.resources.read("Patient", "p-1") is None
        for write in (
            lambda: before.resources.create(patient()),
            lambda: before.keys.release("Patient", "p-1"),
            lambda: before.lock("x"),
            lambda: before.inbox.discard("x"),
            lambda: before.outbox.put("k", "x", None),
            lambda: before.audit.append("x"),
        ):
            with pytest.raises(ReadOnlyError):
                write()


def test_a_stamp_keeps_the_order_of_keys() -> None:
    stamped = stamp({"zeta": 1, "resourceType": "Basic", "id": "old", "alpha": 2}, "new", 3, NOW)
    assert list(stamped) == ["resourceType", "id", "meta", "zeta", "alpha"]
    assert stamped["id"] == "new"
    assert encode({"d": Decimal("0.40")}) == b'{"d":0.40}'
