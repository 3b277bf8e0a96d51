"""Where every field went: packed with the message, unpacked in full, and told to the sender in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_gateway.pipeline import went as packing
from fhir_gateway.pipeline.went import report, summed_up, went
from mappers import v2
from mappers.result import Mapped, Unmapped
from profiles import conceptmaps
from tests import messages
from tests.pipeline.conftest import STAFF, Told

FIXTURES = Path(__file__).parents[2] / "fixtures/v2"


def mapped(raw: bytes) -> Mapped:
    return v2.map_message(v2.read(raw), conceptmaps.load(), v2.Site())


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*/*/input.hl7")), ids=lambda p: f"{p.parts[-3]}-{p.parts[-2]}")
def test_what_is_packed_is_unpacked_entry_for_entry(path: Path) -> None:
    ledger = mapped(path.read_bytes()).ledger
    kept, fields = went(ledger)
    assert sorted(map(str, report(kept.report).entries)) == sorted(map(str, ledger))
    assert sum(kept.counts.values()) == len(ledger)
    assert fields == {f"{e.where.segment}-{e.where.field}" for e in ledger if e.fate == "kept"}


def test_the_same_shape_of_message_is_packed_alike_whoever_it_is_about() -> None:
    one, other = (went(mapped(messages.referral(mrn=mrn, family=name)).ledger)[0] for mrn, name in (("1", "Ash"), ("2", "Birch")))
    assert one == other


def test_ten_thousand_results_are_packed_small_and_all_told() -> None:
    results = b"\r".join(b"OBX|%d|NM|718-7^Hb^LN||%d|g/dL|||||F" % (n, n) for n in range(1, 10_001))
    ledger = mapped(messages.blood_count() + results).ledger
    kept, _ = went(ledger)
    assert len(kept.report) < 50_000
    assert (len(report(kept.report).entries), report(kept.report).more) == (len(ledger), 0)


def test_beyond_the_bound_it_is_told_how_much_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MOST", 10)
    ledger = mapped(messages.blood_count(filler="L-77")).ledger
    packed = packing._packed(packing._groups(ledger))
    assert len(report(packed).entries) <= 10
    assert len(report(packed).entries) + report(packed).more == len(ledger)


def test_the_sender_is_told_in_one_line_of_bounded_length() -> None:
    assert summed_up([], []) == ""
    assert summed_up(["PID-31", "PID-4"], []) == "2 fields kept beside their elements: PID-4, PID-31"
    many = summed_up([f"PV1-{n}" for n in range(1, 50)], [Unmapped("0002", "X", "", "PID-16")])
    assert many.endswith("PV1-12 and 37 more; codes kept untranslated in PID-16")


def test_an_acknowledgement_says_what_was_kept_as_information(told: Told) -> None:
    code, _, texts = told.receives(messages.referral().replace(b"||||en\r", b"||||en|COHAB" + b"|" * 15 + b"Y\r"))
    assert code == "AA"
    assert any("PID-31" in text and "codes kept untranslated in PID-16" in text for text in texts)
    answer = told.answers(messages.referral("R2", mrn="2").replace(b"||||en\r", b"||||en" + b"|" * 16 + b"Y\r"))[-1]
    (line,) = [line for line in answer.split(b"\r") if b"PID-31" in line]
    assert line.split(b"|")[4] == b"I" and line.split(b"|")[3].startswith(b"0^")


def test_a_version_without_severities_is_told_nothing_it_could_take_for_an_error(told: Told) -> None:
    old = messages.referral().replace(b"|P|2.5.1", b"|P|2.3.1").replace(b"||||en\r", b"||||en" + b"|" * 16 + b"Y\r")
    code, _, texts = told.receives(old)
    assert code == "AA" and not any("PID-31" in text for text in texts)


def test_a_message_can_be_asked_what_became_of_it_and_the_store_which_messages_kept_a_field(told: Told) -> None:
    told.receives(messages.referral().replace(b"||||en\r", b"||||en" + b"|" * 16 + b"Y\r"))
    told.receives(messages.blood_count())
    with told.gateway.store.snapshot(STAFF) as tx:
        (line,) = tx.inbox.unmapped("PID-31")
        assert tx.inbox.unmapped("PID-30") == []
        assert ("PID-31", 1) in tx.inbox.kept_fields()
        entry = tx.inbox.get(line.id)
    assert entry is not None and entry.message_type == "REF^I12"
    rows = {row.field: row for row in told.gateway.messages.report(entry).rows}
    assert (rows["PID[1]-31"].fate, rows["PID[1]-7"].target) == ("kept", "Patient.birthDate")
