"""The outbox: each thing once, by one worker at a time, again when it failed."""

from __future__ import annotations

from fhir_gateway.store import Store, Transaction
from tests.store.people import CLINIC, NOW, later
from tests.store.test_keys import in_threads


def leased(tx: Transaction, n: int = 10, worker: str = "w1", minutes: float = 0) -> list[str]:
    """The keys a worker gets."""
    return [job.key for job in tx.outbox.lease(later(minutes=minutes), n, 60, worker)]


def test_nothing_is_queued_twice(tx: Transaction) -> None:
    assert tx.outbox.put("notify", "case-1/accepted", {"to": "NORTHSIDE"})
    assert not tx.outbox.put("notify", "case-1/accepted", {"to": "NORTHSIDE"})
    job = tx.outbox.lease(NOW, 10, 60, "w1")[0]
    assert (job.kind, job.payload, job.attempts) == ("notify", {"to": "NORTHSIDE"}, 1)
    assert tx.outbox.done(job.pk, "w1")
    assert not tx.outbox.put("notify", "case-1/accepted", {"to": "NORTHSIDE"})
    assert leased(tx, minutes=60) == []


def test_things_are_done_when_they_are_due_oldest_first(tx: Transaction) -> None:
    tx.outbox.put("remind", "late", None, due_at=later(hours=2))
    tx.outbox.put("notify", "second", None, due_at=later(minutes=-1))
    tx.outbox.put("notify", "first", None, due_at=later(minutes=-2))
    assert leased(tx, n=1) == ["first"]
    assert leased(tx) == ["second"]
    assert leased(tx, minutes=121) == ["first", "second", "late"]
    assert [job.key for job in tx.outbox.lease(later(days=1), 10, 60, "w1", kinds=["remind"])] == ["late"]


def test_a_worker_that_died_loses_its_lease(tx: Transaction) -> None:
    tx.outbox.put("notify", "a", None)
    job = tx.outbox.lease(NOW, 1, 60, "w1")[0]
    assert leased(tx, worker="w2") == []
    assert leased(tx, worker="w2", minutes=2) == ["a"]
    assert not tx.outbox.done(job.pk, "w1")
    assert not tx.outbox.fail(job.pk, "w1", "too late", later(days=1))
    assert tx.outbox.done(job.pk, "w2")


def test_a_failure_is_tried_again_later_or_given_up(store: Store) -> None:
    with store.transaction(CLINIC, NOW) as tx:
        tx.outbox.put("notify", "a", None)
        job = tx.outbox.lease(NOW, 1, 60, "w1")[0]
        assert tx.outbox.fail(job.pk, "w1", "refused the connection", later(minutes=5))
        assert leased(tx, minutes=4) == []
        again = tx.outbox.lease(later(minutes=5), 1, 60, "w1")[0]
        assert again.attempts == 2
        assert tx.outbox.fail(again.pk, "w1", "x" * 9000, None)
        assert leased(tx, minutes=999) == []
    assert store.statistics(later(days=1)).outbox_dead == 1


def test_workers_share_the_work_without_waiting_for_each_other(store: Store) -> None:
    with store.transaction(CLINIC, NOW) as tx:
        for n in range(40):
            tx.outbox.put("notify", f"k{n:02d}", None)
    got = in_threads(4, lambda n: store.run(CLINIC, NOW, lambda tx: leased(tx, n=10, worker=f"w{n}")))
    keys = [key for keys in got for key in keys]
    assert len(keys) == len(set(keys))
    with store.transaction(CLINIC, NOW) as tx:
        rest = leased(tx, n=100)
    assert {*keys, *rest} == {f"k{n:02d}" for n in range(40)}


def test_a_lane_is_done_in_order_and_what_fails_holds_up_what_is_behind_it_only(tx: Transaction) -> None:
    for name in ("a1", "a2", "a3"):
        tx.outbox.put("reply", name, None, lane="a")
    tx.outbox.put("reply", "b1", None, lane="b")
    first, second, third, other = tx.outbox.lease(NOW, 10, 60, "w1")
    assert [job.key for job in (first, second, third, other)] == ["a1", "a2", "a3", "b1"]
    tx.outbox.fail(first.pk, "w1", "away", later(minutes=5))
    assert tx.outbox.release(second.pk, "w1") and tx.outbox.release(third.pk, "w1")
    assert leased(tx, worker="w2", minutes=2) == ["b1"], "b1's lease has run out; a2 and a3 wait for a1"
    assert [job.attempts for job in tx.outbox.lease(later(minutes=6), 10, 60, "w3") if job.key == "a1"] == [2]
    assert leased(tx, worker="w4", minutes=6) == [], "a1 is in another worker's hands"
    assert leased(tx, worker="w4", minutes=8) == ["b1", "a1"]


def test_what_is_done_by_other_means_is_found_by_its_name_and_settled(tx: Transaction) -> None:
    tx.outbox.put("ask", "ask/1/1", {"n": 1})
    job = tx.outbox.find(["ask/0/1", "ask/1/1"])
    assert job is not None and job.payload == {"n": 1} and tx.outbox.find(["ask/2/1"]) is None
    assert leased(tx) == ["ask/1/1"]
    tx.outbox.settle(job.pk)
    assert leased(tx, minutes=60) == [] and not tx.outbox.done(job.pk, "w1")
    tx.outbox.settle(job.pk, "not now", later(minutes=5))
    assert leased(tx) == [] and leased(tx, minutes=6) == ["ask/1/1"]
