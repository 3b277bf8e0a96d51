"""Identity keys: one resource per name, also when two senders use it at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from fhir_gateway.store import Holder, Store, Transaction
from fhir_gateway.store.errors import KeyTakenError
from mappers.result import IdentityKey
from tests.store.people import CLINIC, LABORATORY, NORTHSIDE, NOW, patient

MRN = IdentityKey("Patient", "urn:oid:1.2.3|MRN-1")
MEMBER = IdentityKey("Patient", "urn:oid:1.2.4|M-7")


def test_a_claimed_key_names_its_resource(tx: Transaction) -> None:
    made = tx.resources.create(patient())
    assert tx.keys.claim([MRN, MEMBER], "Patient", made.id) == []
    assert tx.keys.find([MEMBER, IdentityKey("Patient", "nobody"), MRN]) == [Holder(MEMBER, "Patient", made.id), Holder(MRN, "Patient", made.id)]
    assert sorted(tx.keys.of("Patient", made.id)) == sorted([MRN, MEMBER])


def test_claiming_a_key_again_for_the_same_resource_is_nothing_new(tx: Transaction) -> None:
    tx.keys.claim([MRN], "Patient", "a")
    assert tx.keys.claim([MRN, MEMBER], "Patient", "a") == []
    assert len(tx.keys.of("Patient", "a")) == 2


def test_a_key_of_another_resource_is_refused_or_left(tx: Transaction) -> None:
    tx.keys.claim([MRN], "Patient", "a")
    with pytest.raises(KeyTakenError) as refusal:
        tx.keys.claim([MRN], "Patient", "b")
    assert refusal.value.key == MRN
    assert "MRN-1" not in str(refusal.value)
    assert tx.keys.claim([MRN, MEMBER], "Patient", "b", strict=False) == [Holder(MRN, "Patient", "a")]
    assert tx.keys.of("Patient", "b") == [MEMBER]


def test_a_claim_that_another_transaction_beat_is_refused_when_it_is_written(store: Store) -> None:
    with store.transaction(CLINIC, NOW) as tx:
        tx.keys.claim([MRN], "Patient", "a")
    with pytest.raises(KeyTakenError), store.transaction(CLINIC, NOW) as tx:
        tx.keys.claim([MRN], "Patient", "b")
    with store.snapshot(CLINIC) as tx:
        assert tx.keys.find([MRN]) == [Holder(MRN, "Patient", "a")]


def test_a_released_key_is_free(tx: Transaction) -> None:
    tx.keys.claim([MRN], "Patient", "a")
    tx.keys.release("Patient", "a")
    tx.keys.claim([MRN], "Patient", "b")
    assert tx.keys.find([MRN]) == [Holder(MRN, "Patient", "b")]


def test_overlong_and_odd_values_stay_apart(tx: Transaction) -> None:
    long = [IdentityKey("Patient", "x" * 5000 + end) for end in ("1", "2")] + [IdentityKey("Patient", "nul\x00")]
    for number, key in enumerate(long):
        tx.keys.claim([key], "Patient", f"p{number}")
    assert [holder.id for holder in tx.keys.find(long)] == ["p0", "p1", "p2"]


def test_many_keys_are_found_at_once(tx: Transaction) -> None:
    keys = [IdentityKey("Observation", f"{n}") for n in range(150)]
    tx.keys.claim(keys, "Observation", "o")
    assert [holder.key for holder in tx.keys.find(keys)] == keys


def admit(tx: Transaction) -> str:
    """What every entrance does: find by key, else create and claim."""
    held = tx.keys.find([MRN])
    if held:
        tx.resources.update({**patient(), "id": held[0].id}, known_by_key=True)
        return held[0].id
    made = tx.resources.create(patient())
    tx.keys.claim([MRN], "Patient", made.id)
    return made.id


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run at once, and return what each returned or raised."""
    results: list[Any] = [None] * count
    gate = threading.Barrier(count)

    def one(number: int) -> None:
        gate.wait()
        try:
            results[number] = work(number)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results[number] = error

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_many_senders_of_one_patient_at_once_make_one_patient(store: Store) -> None:
    senders = (NORTHSIDE, LABORATORY)
    ids = in_threads(12, lambda n: store.run(senders[n % 2], NOW, admit))
    assert len(set(ids)) == 1
    with store.snapshot(CLINIC) as tx:
        held = tx.resources.read("Patient", ids[0])
        assert held is not None
        assert held.version == 12


def test_keys_asked_for_at_once_are_settled_without_starting_over(store: Store) -> None:
    keys = [IdentityKey("Organization", f"o{n}") for n in range(6)]
    tries: list[int] = []

    def work(n: int) -> None:
        def settle(tx: Transaction) -> None:
            tries.append(n)
            held = {holder.key for holder in tx.keys.find(keys if n % 2 else keys[::-1])}
            for key in keys:
                if key not in held:
                    tx.keys.claim([key], "Organization", tx.resources.create({"resourceType": "Organization"}).id)

        store.run(CLINIC, NOW, settle)

    assert in_threads(8, work) == [None] * 8
    assert sorted(tries) == list(range(8))
    with store.snapshot(CLINIC) as tx:
        assert len({holder.id for holder in tx.keys.find(keys)}) == 6


def test_opposite_orders_of_writing_end_without_an_error(store: Store) -> None:
    with store.transaction(CLINIC, NOW) as tx:
        for id in ("a", "b"):
            tx.resources.create({"resourceType": "Basic"}, id=id)
    meet = threading.Barrier(2)

    def work(n: int) -> None:
        first = True

        def write(tx: Transaction) -> None:
            nonlocal first
            for id in ("ab", "ba")[n]:
                tx.resources.update({"resourceType": "Basic", "id": id, "n": n})
                if first and store.dialect == "postgresql":
                    first = False
                    meet.wait()  # both hold one and will ask for the other's

        store.run(CLINIC, NOW, write)

    assert in_threads(2, work) == [None, None]
    with store.snapshot(CLINIC) as tx:
        assert [held.version for held in tx.resources.read_many(["Basic/a", "Basic/b"]).values()] == [3, 3]


def test_a_lock_by_name_lets_one_at_a_time_through(store: Store) -> None:
    def create_unless_there(tx: Transaction) -> str | None:
        tx.lock("Patient?name=x")
        if tx.resources.read("Patient", "only"):
            return None
        return tx.resources.create(patient(), id="only").id

    made = in_threads(6, lambda _: store.run(CLINIC, NOW, create_unless_there))
    assert sorted(made, key=str) == [None] * 5 + ["only"]


def test_no_increment_is_lost(store: Store) -> None:
    with store.transaction(CLINIC, NOW) as tx:
        tx.resources.create({"resourceType": "Basic", "n": 0}, id="counter")

    def add(tx: Transaction) -> None:
        tx.lock("counter")
        held = tx.resources.read("Basic", "counter")
        assert held is not None
        tx.resources.update({**held.resource, "n": held.resource["n"] + 1}, expected_version=held.version)

    assert in_threads(8, lambda _: [store.run(CLINIC, NOW, add) for _ in range(5)]) == [[None] * 5] * 8
    with store.snapshot(CLINIC) as tx:
        held = tx.resources.read("Basic", "counter")
        assert held is not None
        assert held.resource["n"] == 40
