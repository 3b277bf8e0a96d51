"""When a payer that does not answer is left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from fhir_gateway.coverage import circuit

NOW = datetime(2026, 9, 10, tzinfo=UTC)


def test_it_rests_after_three_failures_and_longer_after_each_further_one() -> None:
    failures, until, rests = 0, None, []
    for _ in range(5):
        failures, until = circuit.after_failure(failures, NOW)
        rests.append(until and until - NOW)
    assert rests == [None, None, timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]
    assert circuit.rests(failures, until, NOW) == until
    assert circuit.rests(failures, until, NOW + timedelta(minutes=4)) is None
    assert circuit.probing(failures) and not circuit.probing(0)


def test_a_payer_that_says_when_is_left_alone_until_then() -> None:
    """Retry-After goes before our own count, and is held to the longest rest."""
    failures, until = circuit.after_failure(0, NOW, 600)
    assert circuit.probing(failures) and circuit.rests(failures, until, NOW) == NOW + timedelta(minutes=10)
    assert circuit.after_failure(0, NOW, 10**9)[1] == NOW + circuit.LONGEST_REST
    assert circuit.after_failure(0, NOW, 0.0) == (1, None)


@given(st.integers(0, 10_000))
def test_no_rest_is_longer_than_the_longest(failures: int) -> None:
    _, until = circuit.after_failure(failures, NOW)
    assert until is None or until - NOW <= circuit.LONGEST_REST
