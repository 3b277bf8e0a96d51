"""Kept messages mapped again by today's rules: only what comes out otherwise changes, and nothing anybody else has said. On both databases."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fhir_gateway.errors import ConflictError, GatewayError, NotFoundError
from fhir_gateway.pipeline import conflicts
from fhir_gateway.pipeline.codetables import _BOUND
from fhir_gateway.pipeline.replay import Outcome
from fhir_gateway.store.errors import NotFoundError as NotKept
from fhir_gateway.validation import encode
from mappers import v2
from mappers.result import Finding, Mapped, Refused
from profiles import conceptmaps
from tests import messages
from tests.pipeline.conftest import STAFF, Told
from tests.pipeline.test_codes import saves, translation

NUMBER = "urn:oid:2.16.840.1.113883.19.5.1|554321"


def married(made: str, code: str = "M", **patient: str) -> bytes:
    return messages.referral(made=made, **patient).replace(b"||||en\r", f"||||en|{code}\r".encode())


def replayed(told: Told) -> list[Outcome]:
    """Every processed message, oldest first."""
    with told.gateway.store.snapshot(STAFF) as tx:
        ids = sorted(line.id for line in tx.inbox.list("processed", 1000) if line.channel != "fhir")
    return [told.gateway.replay.one(id, "test") for id in ids]


def tried(told: Told) -> list[Outcome]:
    with told.gateway.store.snapshot(STAFF) as tx:
        ids = sorted(line.id for line in tx.inbox.list("processed", 1000) if line.channel != "fhir")
    return [told.gateway.replay.try_one(id) for id in ids]


def everything(told: Told) -> dict[str, Any]:
    """Every resource in its current version, by reference."""
    types = ("Patient", "ServiceRequest", "Task", "Coverage", "Condition", "DiagnosticReport", "Observation", "Provenance", "Organization",
             "Practitioner", "PractitionerRole", "MessageHeader", "Appointment", "Linkage")  # fmt: skip
    return {f"{r['resourceType']}/{r['id']}": r for type in types for r in told.found(type, _count="1000")}


def patient(told: Told) -> dict[str, Any]:
    (found,) = told.found("Patient", identifier=NUMBER)
    return found


def edits(told: Told, resource: dict[str, Any], **elements: Any) -> None:
    told.gateway.fhir.update(STAFF, resource["resourceType"], resource["id"], encode({**resource, **elements}), None)


def by_other_rules(monkeypatch: pytest.MonkeyPatch, change: Callable[[Mapped], None]) -> None:
    """From now on the mapper makes something else of every message."""
    real = v2.map_message

    def otherwise(*given: Any) -> Mapped:
        mapped = real(*given)
        change(mapped)
        return mapped

    monkeypatch.setattr(v2, "map_message", otherwise)


def of(mapped: Mapped, type: str) -> list[dict[str, Any]]:
    return [draft.resource for draft in mapped.drafts if draft.resource["resourceType"] == type]


def test_by_the_same_rules_nothing_changes_whatever_has_happened_since(told: Told) -> None:
    told.receives(married("20260910080000-0500"))
    told.receives(messages.pathology(status="P", reported="20260905090000-0500"))
    told.receives(messages.pathology(status="C", reported="20260906090000-0500", made="20260906090500-0500"))
    told.receives(messages.pathology(status="F", reported="20260905100000-0500"))
    told.receives(messages.blood_count())
    told.receives(messages.appointment("S12", "20260928090000-0500", made="20260910090000-0500"))
    told.receives(messages.referral("REF-9", mrn="118204", made="20260910090000-0500"))
    told.receives(messages.merge())
    told.receives(messages.two_patients("A37"))
    told.receives(messages.referral(event="I13", made="20260911090000-0500", question="second look"))
    told.receives(messages.withdrawal(made="20260912090000-0500"))
    edits(told, patient(told), gender="unknown")
    before = everything(told)
    assert [outcome.differences for outcome in tried(told)] == [()] * 11
    assert [outcome.differences for outcome in replayed(told)] == [()] * 11
    assert everything(told) == before


def test_a_changed_table_changes_just_the_elements_it_makes(told: Told) -> None:
    told.receives(married("20260910080000-0500"))
    before = everything(told)
    saves(told, translation("M", "T"))
    (tried_out,) = tried(told)
    assert everything(told) == before, "a dry run writes nothing"
    (outcome,) = replayed(told)
    assert outcome == tried_out
    (difference,) = outcome.differences
    assert [(c.path, c.before["coding"][0]["code"], c.after["coding"][0]["code"]) for c in difference.changes] == [("maritalStatus", "M", "T")]
    after = everything(told)
    changed = {name for name in after if after[name] != before.get(name)}
    assert {name.partition("/")[0] for name in changed} == {"Patient", "Provenance"}
    (provenance,) = (after[name] for name in changed if name.startswith("Provenance"))
    assert provenance["activity"]["text"] == "Mapped again"
    assert [target["reference"] for target in provenance["target"]] == [difference.reference]
    assert told.gateway.raw_message(STAFF, provenance["entity"][0]["what"]["reference"].removeprefix("Binary/"))
    (again,) = replayed(told)
    assert again.differences == ()
    assert everything(told) == after


def test_an_element_nobody_touched_since_changes_beside_one_a_person_edited(told: Told) -> None:
    told.receives(married("20260910080000-0500"))
    edits(told, patient(told), birthDate="1971-03-15")
    saves(told, translation("M", "T"))
    (outcome,) = replayed(told)
    assert not outcome.conflicting
    assert (patient(told)["birthDate"], patient(told)["maritalStatus"]["coding"][0]["code"]) == ("1971-03-15", "T")


@pytest.mark.parametrize("by", ["rest", "bundle"])
def test_what_was_edited_since_is_a_conflict_to_settle_and_stands_until_then(told: Told, by: str) -> None:
    told.receives(married("20260910080000-0500"))
    widowed = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "W"}]}
    if by == "rest":
        edits(told, patient(told), maritalStatus=widowed)
    else:
        held = {**patient(told), "maritalStatus": widowed}
        entry = {"resource": held, "request": {"method": "PUT", "url": f"Patient/{held['id']}"}}
        assert told.posts({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})[0] == 200
    before = patient(told)
    saves(told, translation("M", "T"))
    (outcome,) = replayed(told)
    assert outcome.conflicting and not outcome.changed
    replayed(told)
    assert patient(told) == before
    (task,) = told.found("Task", code="mapping-conflict")
    assert (task["status"], task["focus"]["reference"]) == ("requested", f"Patient/{before['id']}")


def test_a_conflict_kept_is_not_raised_again_and_one_taken_changes_the_resource(told: Told) -> None:
    told.receives(married("20260910080000-0500"))
    edits(told, patient(told), maritalStatus={"text": "widowed"})
    kept = saves(told, translation("M", "T"))
    replayed(told)
    (task,) = told.found("Task", code="mapping-conflict")
    told.gateway.settle_conflict(task["id"], "kept", "test")
    assert [outcome.differences for outcome in replayed(told)] == [()]
    assert patient(told)["maritalStatus"] == {"text": "widowed"}
    with pytest.raises(ConflictError):
        told.gateway.settle_conflict(task["id"], "mapped", "test")
    told.gateway.fhir.update(STAFF, "ConceptMap", kept["id"], encode({**translation("M", "L"), "id": kept["id"]}), None)
    (outcome,) = replayed(told)
    assert outcome.conflicting, "what is proposed now was never judged"
    told.gateway.settle_conflict(task["id"], "mapped", "test")
    assert patient(told)["maritalStatus"]["coding"][0]["code"] == "L"
    assert [outcome.differences for outcome in replayed(told)] == [()]


def test_a_conflict_that_is_none_cannot_be_settled(told: Told) -> None:
    told.receives(messages.referral())
    (task,) = told.found("Task")
    with pytest.raises(NotFoundError):
        told.gateway.settle_conflict(task["id"], "kept", "test")


def test_a_later_correction_is_not_undone(told: Told) -> None:
    told.receives(married("20260910080000-0500", "M"))
    told.receives(married("20260911080000-0500", "D"))
    saves(told, translation("M", "T"))
    replayed(told)
    assert patient(told)["maritalStatus"]["coding"][0]["code"] == "D"
    saves(told, translation("D", "L"))
    replayed(told)
    assert patient(told)["maritalStatus"]["coding"][0]["code"] == "L"


def test_what_two_messages_said_alike_becomes_what_the_later_one_says_now(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    told.receives(married("20260910080000-0500"))
    told.receives(married("20260911080000-0500"))

    def tell_the_day(mapped: Mapped) -> None:
        for resource in of(mapped, "Patient"):
            resource["maritalStatus"] = {"text": mapped.header.sent_at[:8]}

    by_other_rules(monkeypatch, tell_the_day)
    replayed(told)
    assert patient(told)["maritalStatus"] == {"text": "20260911"}
    assert [outcome.differences for outcome in replayed(told)] == [(), ()]


def test_a_field_that_has_an_element_now_leaves_its_extension(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    told.receives(messages.referral().replace(b"||||en\r", b"||||en" + b"|" * 12 + b"Y\r"))  # PID-27
    assert "extension" in patient(told)

    def veterans(mapped: Mapped) -> None:
        for resource in of(mapped, "Patient"):
            del resource["extension"]
            resource["generalPractitioner"] = [{"display": "Veterans Affairs"}]

    by_other_rules(monkeypatch, veterans)
    (outcome,) = replayed(told)
    assert [c.path.partition("[")[0] for c in outcome.differences[0].changes] == ["extension", "generalPractitioner"]
    assert "extension" not in patient(told)


def test_a_resource_new_rules_make_is_made_once_and_one_they_no_longer_make_is_named(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    told.receives(messages.pathology(number=None))
    with monkeypatch.context() as patch:

        def one_less(mapped: Mapped) -> None:
            gone = next(d for d in mapped.drafts if d.resource["resourceType"] == "Observation")
            mapped.drafts.remove(gone)
            for resource in of(mapped, "DiagnosticReport"):
                resource["result"] = [r for r in resource["result"] if r["reference"] != gone.full_url] or resource.pop("result")
            for resource in of(mapped, "Provenance"):
                resource["target"] = [t for t in resource["target"] if t["reference"] != gone.full_url]

        by_other_rules(patch, one_less)
        (outcome,) = replayed(told)
        assert any("no longer mapped" in one.note for one in outcome.differences)
        number = told.count("Observation")
    assert told.count("Observation") == number
    (outcome,) = replayed(told)
    assert not any(one.created for one in outcome.differences), "it is still here under its key"
    assert told.count("Observation") == number


def test_what_a_person_deleted_does_not_come_back(told: Told) -> None:
    told.receives(married("20260910080000-0500"))
    (coverage,) = told.found("Coverage")
    told.gateway.fhir.delete(STAFF, "Coverage", coverage["id"], None)
    saves(told, translation("M", "T"))
    (outcome,) = replayed(told)
    assert told.count("Coverage") == 0
    assert not any(one.created for one in outcome.differences)


def test_a_number_that_was_corrected_by_hand_is_not_claimed_back(told: Told) -> None:
    told.receives(married("20260910080000-0500"))
    held = patient(told)
    numbers = [{**i, "value": "777"} if i["value"] == "554321" else i for i in held["identifier"]]
    edits(told, held, identifier=numbers)
    assert [outcome.differences for outcome in replayed(told)] == [()]
    assert told.count("Patient") == 1
    told.receives(messages.blood_count())
    assert told.count("Patient") == 2, "the old number names somebody else by now"


def test_what_todays_rules_refuse_stays_as_it_is(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    told.receives(messages.referral())
    before = everything(told)

    def refuse(*_: Any) -> Mapped:
        raise Refused([Finding("error", "201", "event not supported")], "AR")

    monkeypatch.setattr(v2, "map_message", refuse)
    (outcome,) = replayed(told)
    assert outcome.refused == "event not supported"
    assert everything(told) == before


def test_a_replay_broken_off_is_finished_by_running_it_again(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        told.receives(messages.referral(f"REF-{n}", mrn=f"P{n}").replace(b"||||en\r", b"||||en|M\r"))
    saves(told, translation("M", "T"))
    real, calls = conflicts.unsettled, []

    def breaks(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*given)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(conflicts, "unsettled", breaks)
        replayed(told)
    replayed(told)
    assert [p["maritalStatus"]["coding"][0]["code"] for p in told.found("Patient")] == ["T"] * 3
    assert {p["meta"]["versionId"] for p in told.found("Patient")} == {"2"}


def test_a_case_is_judged_again_by_what_its_records_say_now(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology().replace(b"11529-5^Surgical pathology study^LN", b"SPATH^Surgical pathology^L"))
    assert told.item("pathology-report")["state"] != "accepted"

    def coded(mapped: Mapped) -> None:
        for resource in of(mapped, "DiagnosticReport"):
            resource["code"]["coding"].append({"system": "http://loinc.org", "code": "11529-5"})

    by_other_rules(monkeypatch, coded)
    replayed(told)
    assert told.item("pathology-report")["state"] == "accepted"


def test_a_fhir_bundle_is_not_replayed(told: Told) -> None:
    entry = {"resource": {"resourceType": "Basic", "code": {"text": "x"}}, "request": {"method": "POST", "url": "Basic"}}
    assert told.posts({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})[0] == 200
    with told.gateway.store.snapshot(STAFF) as tx:
        (line,) = tx.inbox.list()
    with pytest.raises(NotKept):
        told.gateway.replay.one(line.id)


def test_documents_and_promoted_results_told_in_any_order_replay_to_what_they_are(told: Told) -> None:
    made = [f"202609{day:02}110000-0500" for day in range(1, 8)]
    story = [
        messages.document("T10", "Replaced.", made=made[3], number="D-2", parent="D-1"),
        messages.document("T02", "First.", made=made[0], status="IP"),
        messages.document("T03", made=made[2]),
        messages.document("T08", "Edited.", made=made[1], status="IP"),
        messages.document("T06", "More.", made=made[4], number="D-3", parent="D-2"),
        messages.document("T11", made=made[5], number="D-3", parent="D-2"),
        messages.result("OBR|1||L-9^LAB|1^a|||||||||||||||||||||F", "OBX|1|NM|2^b||||||||U", made=made[2]),
        messages.result("OBR|1||L-9^LAB|1^a|||||||||||||||||||||P", "OBX|1|NM|2^b||5||||||P", made=made[1]),
        messages.result("OBR|1||L-9^LAB|1^a|||||||||||||||||||||F", made=made[4]),
    ]
    for message in story:
        assert told.receives(message)[0] == "AA"
    assert [outcome.differences for outcome in replayed(told)] == [()] * len(story)


GOLDEN = sorted((Path(__file__).parents[2] / "fixtures/v2").glob("*/*/input.hl7"))
EDITED = ("Patient", "Observation", "Coverage", "ServiceRequest", "Condition", "Practitioner", "DiagnosticReport")


@pytest.mark.parametrize("seed", [5])
def test_the_golden_pack_in_any_order_amid_edits_and_deletions_is_mapped_again_to_nothing_new(told: Told, seed: int) -> None:
    chance = random.Random(seed)
    for path in chance.sample(GOLDEN, len(GOLDEN)):
        told.answers(path.read_bytes())
        told.now += timedelta(seconds=chance.choice((0, 1)))
        held = told.found(chance.choice(EDITED), _count="200")
        if held and chance.random() < 0.4:
            with suppress(GatewayError):  # a case's referral is not to be deleted, nor moved at will
                meddles(told, chance, chance.choice(held))
    before = everything(told)
    assert [(outcome.differences, outcome.refused) for outcome in replayed(told) if outcome.differences or outcome.refused] == []
    assert everything(told) == before


def meddles(told: Told, chance: random.Random, resource: dict[str, Any]) -> None:
    """A person edits a resource, or deletes it."""
    if chance.random() < 0.2:
        told.gateway.fhir.delete(STAFF, resource["resourceType"], resource["id"], None)
    elif resource["resourceType"] == "Patient":
        edits(told, {key: value for key, value in resource.items() if key != "maritalStatus"}, gender=chance.choice(("other", "unknown")))
    else:
        edits(
            told,
            resource,
            language=chance.choice(("de", "fr")),
            **({"note": [{"text": "edited"}]} if resource["resourceType"] == "Observation" else {}),
        )


def test_mapping_again_ends_where_taking_everything_in_anew_would(tmp_path: Path) -> None:
    """The golden pack under scrambled tables: told of them first, or told last and mapped again."""
    chance = random.Random(7)
    order = chance.sample([path.read_bytes() for path in GOLDEN], len(GOLDEN))
    tables = encode(scrambled(chance))
    ends = []
    for first in (True, False):
        told = Told(f"sqlite:///{tmp_path}/{first}.db")
        if first:
            told.gateway.fhir.create(STAFF, "ConceptMap", tables, None)
        for message in order:
            told.answers(message)
            told.now += timedelta(seconds=1)
        if not first:
            told.gateway.fhir.create(STAFF, "ConceptMap", tables, None)
            assert any(outcome.changed for outcome in replayed(told))
        ends.append(Counter(plain(resource) for name, resource in everything(told).items() if not name.startswith(("Task", "Provenance"))))
        told.gateway.stop()
        told.executor.shutdown()
    assert ends[0] == ends[1]


def scrambled(chance: random.Random) -> dict[str, Any]:
    """Every shipped table with its targets shuffled, but those of a status, by which versions of a record are ordered."""
    groups = []
    for (source, into), key in sorted(conceptmaps.translating().items()):
        codes = {code: coding for code, coding in conceptmaps.load().codes(key).items() if coding.system == into}
        targets = sorted({coding.code for coding in codes.values()})
        elements = [{"code": code, "target": [{"code": chance.choice(targets), "equivalence": "equivalent"}]} for code in sorted(codes)]
        if into not in _BOUND and not key.startswith(("0201", "0396")):  # an Organization's telecom is never of use home (org-3)
            groups.append({"source": source, "target": into, "element": elements})
    return {"resourceType": "ConceptMap", "status": "active", "group": groups}


def plain(resource: dict[str, Any]) -> str:
    """Content without what the store gives: ids and versions; lists in one order."""
    content = {key: value for key, value in resource.items() if key not in ("id", "meta")}
    text = json.dumps(in_order(content), sort_keys=True, default=str)
    return re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "ID", text)


def in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: in_order(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return sorted(
            (in_order(item) for item in value), key=lambda item: re.sub(r"[0-9a-f-]{36}", "", json.dumps(item, sort_keys=True, default=str))
        )
    return value
