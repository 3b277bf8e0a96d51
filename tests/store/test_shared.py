"""Brief writers share a transaction on the embedded database: one commit for all of them, and each still all or nothing."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fhir_gateway.security.principal import GATEWAY
from fhir_gateway.store import Store, Transaction, kept
from fhir_gateway.store import shared as sharing
from fhir_gateway.store.errors import ConflictError, IdTakenError

NOW = datetime(2026, 9, 10, 12, 0, tzinfo=UTC)
THREADS = 6


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path}/shared.db")
    opened.upgrade()
    yield opened
    opened.close()


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that began or ended a transaction, in order."""
    told: list[str] = []
    tell = kept._tell

    def noted(connection: Any, raw: Any, text: str) -> None:
        told.append(text)
        tell(connection, raw, text)

    monkeypatch.setattr(kept, "_tell", noted)
    return told


def patient(family: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "name": [{"family": family}]}


def write(store: Store, family: str) -> str:
    return store.run(GATEWAY, NOW, lambda tx: tx.resources.create(patient(family)).id, brief=True)


def families(store: Store) -> list[str]:
    with store.snapshot(GATEWAY) as tx:
        return sorted(stored.resource["name"][0]["family"] for stored in tx.resources.clinics_own("Patient"))


class Led:
    """A leader that is held in the middle of its own work, so that others come meanwhile."""

    def __init__(self, store: Store, threads: ThreadPoolExecutor, after: Callable[[Transaction], object] = lambda _tx: None) -> None:
        self._store, self._threads = store, threads
        self._begun, self._go = threading.Event(), threading.Event()
        self.runs: list[int] = []

        def work(tx: Transaction) -> str:
            self.runs.append(threading.get_ident())
            made = tx.resources.create(patient("Leader")).id
            self._begun.set()
            assert self._go.wait(10)
            after(tx)
            return made

        self.answer: Future[str] = threads.submit(lambda: store.run(GATEWAY, NOW, work, brief=True))
        assert self._begun.wait(10)

    def joined_by(self, *works: Callable[[Transaction], Any]) -> list[Future[Any]]:
        """These come, in this order, and the leader goes on."""
        shared = self._store._database.shared
        assert shared is not None
        waiting: list[Future[Any]] = []
        for work in works:
            waiting.append(self._threads.submit(partial(self._store.run, GATEWAY, NOW, work, brief=True)))
            until(lambda: len(shared._queue) == len(waiting))
        self._go.set()
        wait([self.answer, *waiting], 20)
        return waiting


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadPoolExecutor]:
    monkeypatch.setattr(sharing, "SECONDS", 30.0)  # the leader is held back on purpose
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool


def create(family: str) -> Callable[[Transaction], str]:
    return lambda tx: tx.resources.create(patient(family)).id


def test_those_who_come_while_one_works_are_committed_with_it(store: Store, threads: ThreadPoolExecutor, ends: list[str]) -> None:
    led = Led(store, threads)
    others = led.joined_by(create("Ames"), create("Bohm"), create("Cole"))
    assert ends == ["BEGIN IMMEDIATE", "COMMIT"]
    assert len({led.answer.result(), *(other.result() for other in others)}) == 4
    assert families(store) == ["Ames", "Bohm", "Cole", "Leader"]


def test_nobody_is_answered_before_the_commit(store: Store, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    tell = kept._tell
    seen: list[bool] = []

    def slow(connection: Any, raw: Any, text: str) -> None:
        if text == "COMMIT":
            time.sleep(0.1)
            seen.extend(answer.done() for answer in answers)
        tell(connection, raw, text)

    answers: list[Future[Any]] = []
    led = Led(store, threads)
    answers.append(led.answer)
    monkeypatch.setattr(kept, "_tell", slow)
    answers += led.joined_by(create("Ames"))
    assert seen[0] is False
    assert not any(seen)
    assert families(store) == ["Ames", "Leader"]


def test_a_refusal_that_wrote_nothing_is_ones_own(store: Store, threads: ThreadPoolExecutor, ends: list[str]) -> None:
    held = write(store, "Held")
    ends.clear()

    def refused(tx: Transaction) -> None:
        tx.resources.create(patient("Again"), id=held)

    led = Led(store, threads)
    first, second, third = led.joined_by(create("Ames"), refused, create("Cole"))
    assert isinstance(second.exception(), IdTakenError)
    assert (first.exception(), third.exception(), led.answer.exception()) == (None, None, None)
    assert ends == ["BEGIN IMMEDIATE", "COMMIT"]
    assert families(store) == ["Ames", "Cole", "Held", "Leader"]


def test_a_failure_that_wrote_something_undoes_all_and_each_does_its_own_again(store: Store, threads: ThreadPoolExecutor) -> None:
    def broken(tx: Transaction) -> None:
        tx.resources.create(patient("Broken"))
        tx.cases.list()
        tx.resources.any("Patient")  # writes what waits
        raise ValueError("after it wrote")

    led = Led(store, threads)
    first, second, third = led.joined_by(create("Ames"), broken, create("Cole"))
    assert isinstance(second.exception(), ValueError)
    assert families(store) == ["Ames", "Cole", "Leader"]
    assert len(led.runs) == 2
    with store.snapshot(GATEWAY) as tx:
        assert all(tx.resources.read("Patient", one.result()) for one in (led.answer, first, third))


def test_a_commit_that_fails_is_tried_alone_and_nothing_is_there_twice(
    store: Store, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = kept._tell
    failed: list[bool] = []

    def once(connection: Any, raw: Any, text: str) -> None:
        if text == "COMMIT" and not failed:
            failed.append(True)
            raise sqlite3.OperationalError("disk I/O error")
        tell(connection, raw, text)

    led = Led(store, threads)
    monkeypatch.setattr(kept, "_tell", once)
    others = led.joined_by(create("Ames"), create("Bohm"))
    assert [one.exception() for one in (led.answer, *others)] == [None, None, None]
    assert families(store) == ["Ames", "Bohm", "Leader"]


def test_a_leader_that_fails_leaves_the_others_their_turn(store: Store, threads: ThreadPoolExecutor) -> None:
    def fails(_tx: Transaction) -> None:
        raise ValueError("the leader's own")

    led = Led(store, threads, fails)
    others = led.joined_by(create("Ames"), create("Bohm"))
    assert isinstance(led.answer.exception(), ValueError)
    assert [one.exception() for one in others] == [None, None]
    assert families(store) == ["Ames", "Bohm"]


def test_a_leader_that_is_ended_leaves_the_others_their_turn(store: Store, threads: ThreadPoolExecutor) -> None:
    def ended(_tx: Transaction) -> None:
        raise KeyboardInterrupt

    led = Led(store, threads)
    others = led.joined_by(create("Ames"), create("Bohm"))
    assert families(store) == ["Ames", "Bohm", "Leader"]
    led = Led(store, threads)
    first, second = led.joined_by(create("Cole"), ended)
    assert isinstance(led.answer.exception(), KeyboardInterrupt)
    assert isinstance(second.exception(), KeyboardInterrupt)
    assert first.exception() is None
    assert families(store) == ["Ames", "Bohm", "Cole", "Leader"]
    assert [one.exception() for one in others] == [None, None]


def test_one_sees_what_was_written_before_it_in_the_same_transaction(store: Store, threads: ThreadPoolExecutor) -> None:
    made: list[str] = []
    led = Led(store, threads)
    _, seen = led.joined_by(
        lambda tx: made.append(tx.resources.create(patient("Ames")).id),
        lambda tx: tx.resources.read("Patient", made[0]),
    )
    assert seen.result().id == made[0]


def test_what_was_written_but_not_committed_is_nothing_to_remember(store: Store, threads: ThreadPoolExecutor) -> None:
    led = Led(store, threads)
    (generation,) = led.joined_by(lambda tx: tx.resources.generation("Patient"))
    assert generation.result() is None
    assert store.run(GATEWAY, NOW, lambda tx: tx.resources.generation("Patient"), brief=True) == 1


def test_work_is_done_in_the_context_of_who_asked(store: Store, threads: ThreadPoolExecutor) -> None:
    name: ContextVar[str] = ContextVar("name", default="nobody")

    def asked() -> tuple[str, int, int]:
        name.set("asker")
        mine = threading.get_ident()
        there, thread = store.run(GATEWAY, NOW, lambda _tx: (name.get(), threading.get_ident()), brief=True)
        return there, thread, mine

    led = Led(store, threads)
    answer = threads.submit(asked)
    until(lambda: bool(store._database.shared and store._database.shared._queue))
    led.joined_by()
    there, thread, mine = answer.result(10)
    assert (there, thread) == ("asker", led.runs[0])
    assert mine != thread


def test_no_more_are_taken_on_than_others_can_wait_for(store: Store, monkeypatch: pytest.MonkeyPatch, ends: list[str]) -> None:
    monkeypatch.setattr(sharing, "SECONDS", 0.0)
    with ThreadPoolExecutor(THREADS) as pool:
        led = Led(store, pool)
        others = led.joined_by(create("Ames"), create("Bohm"))
        assert [one.exception() for one in others] == [None, None]
    assert ends == ["BEGIN IMMEDIATE", "COMMIT"] * 3


def test_who_waits_too_long_is_told_and_nothing_is_written(store: Store, threads: ThreadPoolExecutor) -> None:
    shared = store._database.shared
    assert shared is not None
    led = Led(store, threads)
    shared._wait = 0.05
    with pytest.raises(ConflictError, match="too long"):
        write(store, "Late")
    led.joined_by()
    assert families(store) == ["Leader"]


def test_a_transaction_inside_another_is_a_fault_at_once(store: Store) -> None:
    with pytest.raises(RuntimeError, match="inside another"):
        store.run(GATEWAY, NOW, lambda _tx: write(store, "Inner"), brief=True)
    with pytest.raises(RuntimeError, match="inside another"), store.transaction(GATEWAY, NOW):
        write(store, "Inner")
    assert write(store, "After")
    assert families(store) == ["After"]


def test_many_threads_write_with_fewer_commits_than_writes(store: Store, ends: list[str]) -> None:
    number = 200
    with ThreadPoolExecutor(THREADS) as pool:
        ids = set(pool.map(lambda n: write(store, f"P{n}"), range(number)))
    assert len(ids) == len(families(store)) == number
    assert ends.count("COMMIT") < number
