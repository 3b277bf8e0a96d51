"""The store as a whole: retries, audit, statistics, reindex, and the queue of writers on SQLite."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import create_engine, delete, select, text, update
from sqlalchemy.exc import DBAPIError

from fhir_gateway.security.principal import GATEWAY
from fhir_gateway.store import Store, Transaction, tables
from fhir_gateway.store.errors import ConflictError, DatabaseUrlError, RaceLostError
from fhir_gateway.store.fairlock import FairLock, lock_for
from fhir_gateway.store.ids import new_id
from fhir_gateway.store.retry import ATTEMPTS, has_waited, is_transient
from fhir_gateway.store.search import parse_query
from fhir_gateway.store.text import LONGEST, fit
from tests.store.people import CLINIC, NORTHSIDE, NOW, later, named, patient, referral, report
from tests.store.test_cases import ENDS, STEPS, records


def test_a_lost_race_starts_over_and_a_fault_does_not(store: Store) -> None:
    tries: list[str] = []

    def loses_twice(tx: Transaction) -> str:
        tries.append(tx.resources.create(patient(), id="p").id)
        if len(tries) < 3:
            raise RaceLostError
        return "done"

    assert store.run(CLINIC, NOW, loses_twice) == "done"
    assert len(tries) == 3

    def fails(tx: Transaction) -> None:
        tries.append("")
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        store.run(CLINIC, NOW, fails)
    assert len(tries) == 4


def test_an_endless_conflict_is_reported_and_nothing_is_written(store: Store) -> None:
    tries: list[int] = []

    def always_loses(tx: Transaction) -> None:
        tries.append(1)
        tx.resources.create(patient(), id="p")
        raise RaceLostError

    with pytest.raises(ConflictError):
        store.run(CLINIC, NOW, always_loses)
    assert len(tries) == ATTEMPTS
    with store.snapshot(CLINIC) as tx:
        assert tx.resources.read("Patient", "p") is None


def test_a_writer_that_waited_in_vain_is_told_so(store: Store) -> None:
    with store._database.write() as held:
        if store.dialect == "sqlite":
            other = create_engine(f"sqlite:///{store._database.engine.url.database}", connect_args={"timeout": 0.05})
            complaint = "BEGIN IMMEDIATE"
        else:
            held.execute(text("LOCK TABLE resource"))
            other = create_engine(store._database.engine.url, connect_args={"options": "-c lock_timeout=50"})
            complaint = "LOCK TABLE resource"
        with other.connect() as connection, pytest.raises(DBAPIError) as refusal:
            connection.exec_driver_sql(complaint)
        other.dispose()
    assert has_waited(refusal.value)
    assert not is_transient(refusal.value)
    with pytest.raises(ConflictError):
        store.run(CLINIC, NOW, lambda tx: (_ for _ in ()).throw(refusal.value))


def test_two_writers_of_one_new_id_end_with_one_resource(store: Store) -> None:
    """An update-as-create from two clients at once: the second finds what the first made."""
    meet = threading.Barrier(2)

    def put(family: str) -> None:
        first = True

        def work(tx: Transaction) -> None:
            nonlocal first
            if tx.resources.read("Patient", "p") is None:
                tx.resources.create(patient(family), id="p")
            else:
                tx.resources.update({**patient(family), "id": "p"})
            if first and store.dialect == "postgresql":
                first = False
                meet.wait()

        store.run(CLINIC, NOW, work)

    threads = [threading.Thread(target=put, args=(family,)) for family in ("One", "Two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.snapshot(CLINIC) as tx:
        held = tx.resources.read("Patient", "p")
        assert held is not None
        assert held.version == 2


def test_acts_are_kept_with_who_and_when(store: Store) -> None:
    with store.transaction(NORTHSIDE, NOW) as tx:
        tx.audit.append("create", "Patient", "p", inbox_id="m")
    store.audit_later(CLINIC, "read", "Patient", "p", later(seconds=5))
    store.flush_audit()
    with store.snapshot(CLINIC) as tx:
        assert tx.audit.of("Patient", "p") == [(NOW, "NORTHSIDE", "ehr", "create"), (later(seconds=5), "", "nurse", "read")]
    with store.snapshot(NORTHSIDE) as tx:
        assert tx.audit.of("Patient", "p") == []


def test_closing_commits_the_acts_that_wait(url: str) -> None:
    store = Store(url)
    for n in range(50):
        store.audit_later(CLINIC, "read", "Patient", f"p{n % 2}", NOW)
    store.close()
    again = Store(url)
    with again.snapshot(CLINIC) as tx:
        assert len(tx.audit.of("Patient", "p1")) == 25
    again.close()


def test_a_read_of_a_moment_ago_is_seen_before_it_is_committed(store: Store) -> None:
    with store.transaction(GATEWAY, NOW) as tx:
        store.audit_later(CLINIC, "read", "Patient", "p", NOW)
        store.audit_later(CLINIC, "read", "Patient", "q", NOW)
        assert tx.audit.of("Patient", "p") == [(NOW, "", "nurse", "read")]
    store.flush_audit()
    with store.transaction(GATEWAY, NOW) as tx:
        assert tx.audit.of("Patient", "p") == [(NOW, "", "nurse", "read")]


def test_statistics_count_what_waits(store: Store) -> None:
    with store.transaction(GATEWAY, NOW) as tx:
        for n, state in enumerate(("pending", "failed", "failed", "refused", "processed")):
            tx.inbox.add(channel="mllp", sender="N", control_id=f"{n}", message_type="", raw=b"", content_hash="", state=state)  # type: ignore[arg-type]
        tx.outbox.put("notify", "a", None)
        tx.outbox.put("notify", "b", None, due_at=later(days=1))
        tx.resources.create(report("q"), id="r")
        STEPS["case"](tx)
    found = store.statistics(NOW)
    assert (found.inbox_pending, found.inbox_failed, found.inbox_refused) == (1, 2, 1)
    assert (found.outbox_due, found.outbox_dead, found.cases_open, found.cases_due, found.orphans) == (1, 0, 1, 0, 1)


def test_reindex_rebuilds_what_is_derived(store: Store) -> None:
    with store.transaction(GATEWAY, NOW) as tx:
        for step in STEPS.values():
            step(tx)
        tx.resources.create(report("p"), id="moved")
    with store.transaction(GATEWAY, later(days=2)) as tx:
        tx.resources.update({**report("q", basedOn=named("REF-1")), "id": "moved"})
        tx.resources.delete("DiagnosticReport", "other")

    def derived() -> list[list[tuple[object, ...]]]:
        with store.snapshot(GATEWAY) as tx:
            execute = tx._work.connection.execute
            link = select(
                tables.record.c.resource, tables.record.c.since, tables.record.c.until, tables.record_link.c.key, tables.record_link.c.strong
            )
            queries = [
                *(select(table) for table in (tables.token, tables.string, tables.reference, tables.date)),
                select(*(tables.record.c[name] for name in ("resource", "patient_id", "since", "until", "orphan"))),
                link.join(tables.record_link, tables.record_link.c.record == tables.record.c.pk),
            ]
            return [sorted((tuple(row) for row in execute(query)), key=repr) for query in queries]

    before = derived()
    with store._database.write() as connection:
        connection.execute(delete(tables.token))
        connection.execute(delete(tables.record_link))
        connection.execute(update(tables.record).values(patient_id="wrong", orphan=True))
    assert derived() != before
    assert store.reindex(later(days=9), size=3) == 9
    assert derived() == before
    with store.snapshot(GATEWAY) as tx:
        assert records(tx, "sr-1", later(days=1)) == {**ENDS["sr-1"], "moved": "patient"}
        assert records(tx, "sr-1") == {**ENDS["sr-1"], "moved": "referral"}
        assert len(tx.search("Patient", parse_query("Patient", [("family", "marlowe")])).entries) == 1


def test_foreign_keys_hold(store: Store) -> None:
    with pytest.raises(Exception, match=r"(?i)foreign key"), store._database.write() as connection:
        connection.execute(text("INSERT INTO search_token (resource, n, param, code) VALUES (99, 1, 'a', 'b')"))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://localhost/x"])
def test_other_databases_are_refused_with_the_right_ones_named(url: str) -> None:
    with pytest.raises(DatabaseUrlError, match="sqlite:///file"):
        Store(url)


def test_a_plain_postgresql_address_will_do(new_database: Callable[[bool], str]) -> None:
    address = new_database(True)
    store = Store(address.replace("postgresql+psycopg:", "postgresql:"))
    assert store.check()
    store.close()


def test_writers_are_served_in_the_order_they_came() -> None:
    lock, served, waiting = FairLock(), [], []
    assert lock.acquire(1)

    def wait(n: int) -> None:
        waiting.append(n)
        lock.acquire(30)
        served.append(n)
        lock.release()

    threads = [threading.Thread(target=wait, args=(n,)) for n in range(5)]
    for n, thread in enumerate(threads):
        thread.start()
        while len(lock._queue) <= n:
            time.sleep(0.001)
    lock.release()
    for thread in threads:
        thread.join()
    assert served == waiting
    assert lock.acquire(1)


def test_a_writer_gives_up_and_the_next_one_still_gets_its_turn() -> None:
    lock, outcome = FairLock(), []
    lock.acquire(1)
    impatient = threading.Thread(target=lambda: outcome.append(lock.acquire(0.01)))
    impatient.start()
    impatient.join()
    patient_one = threading.Thread(target=lambda: outcome.append(lock.acquire(30)))
    patient_one.start()
    lock.release()
    patient_one.join()
    assert outcome == [False, True]


def test_a_transaction_inside_another_is_a_fault_and_not_a_deadlock(store: Store) -> None:
    if store.dialect == "postgresql":
        with store.transaction(CLINIC, NOW), store.transaction(CLINIC, NOW) as inner:
            assert inner.resources.read("Patient", "x") is None
        return
    with pytest.raises(RuntimeError, match="wait for itself"), store.transaction(CLINIC, NOW), store.transaction(CLINIC, NOW):
        raise AssertionError


def test_one_file_has_one_queue(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("x")
    one, other = lock_for(str(folder / "a.db")), lock_for(str(folder / "." / "a.db"))
    assert one is other


def test_ids_are_ordered_by_time_and_of_version_7() -> None:
    first = new_id()
    time.sleep(0.002)
    second = new_id()
    assert first < second
    assert (first[14], first[19] in "89ab") == ("7", True)


def test_long_texts_are_cut_but_stay_apart() -> None:
    assert fit("x" * LONGEST) == "x" * LONGEST
    assert fit("x" * 401) != fit("x" * 402)
    assert len(fit("x" * 100_000)) <= LONGEST
    assert fit("a\x00b") == "a\ufffdb"


def test_overlong_values_can_be_stored_and_found(store: Store) -> None:
    value = "ä" * 5000
    with store.transaction(CLINIC, NOW) as tx:
        tx.resources.create(patient(value, value), id="p")
        tx.resources.create(referral("p", value, value), id="sr")
        for pairs in ([("identifier", value)], [("identifier", f"urn:oid:1.2.3|{value}")], [("family:exact", value)], [("family", value)]):
            assert [held.id for held in tx.search("Patient", parse_query("Patient", pairs)).entries] == ["p"]
