"""Codes nobody translates: work for staff, resolved once, and what waited for it mapped again. On both databases, through the real gateway."""

from __future__ import annotations

import pytest

from fhir_gateway.errors import InvalidError, NotTheClinicError
from fhir_gateway.pipeline import Gateway
from fhir_gateway.pipeline.codetables import CONTEXT, SENDER
from fhir_gateway.security.principal import Principal
from fhir_gateway.store import LocalCode
from fhir_gateway.validation import encode
from tests import messages
from tests.partner import endpoint
from tests.pipeline.conftest import STAFF, Told
from tests.pipeline.test_chasing import sends
from tests.pipeline.test_subscriptions import kind, subscribes, subscription

MARITAL = "http://terminology.hl7.org/CodeSystem/v2-0002"
V3 = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"


def married(code: str = "COHAB", mrn: str = "554321", *, sender: str = "NORTHSIDE", number: str = "REF-1") -> bytes:
    """A referral whose PID-16 is a code of the sender's own making."""
    return messages.referral(number, sender=sender, mrn=mrn).replace(b"||||en\r", f"||||en|{code}^Cohabiting^L\r".encode())


def local_report(mrn: str = "554321", code: str = "SPATH^Surg path^L") -> bytes:
    return messages.pathology(mrn=mrn).replace(b"11529-5^Surgical pathology study^LN", code.encode())


def waiting(told: Told) -> list[LocalCode]:
    with told.gateway.store.snapshot(STAFF) as tx:
        return tx.codes.waiting()


def works(told: Told) -> None:
    """The worker, until there is nothing left to do."""
    while told.gateway.codework.round():
        pass


def translation(code: str, target: str, *, sender: str | None = "NORTHSIDE", source: str = MARITAL, into: str = V3) -> dict:
    context = {"code": {"system": CONTEXT, "code": "sender"}, "valueCodeableConcept": {"coding": [{"system": SENDER, "code": sender}]}}
    element = {"code": code, "target": [{"code": target, "equivalence": "equivalent"}]}
    made = {"resourceType": "ConceptMap", "status": "active", "group": [{"source": source, "target": into, "element": [element]}]}
    return made | ({"useContext": [context]} if sender else {})


def saves(told: Told, resource: dict, principal: Principal = STAFF) -> dict:
    return told.gateway.fhir.create(principal, "ConceptMap", encode(resource), None).stored.resource


def marital(told: Told, mrn: str = "554321") -> list[str]:
    (patient,) = told.found("Patient", identifier=f"urn:oid:2.16.840.1.113883.19.5.1|{mrn}")
    return [coding["code"] for coding in patient["maritalStatus"]["coding"]]


def test_a_code_nobody_translates_is_one_task_however_many_messages_hold_it(told: Told) -> None:
    for n in range(3):
        told.receives(married(mrn=f"P{n}", number=f"REF-{n}"))
    told.receives(married("LAT"))
    works(told)
    works(told)
    assert {(c.sender, c.map, c.code, c.field, c.messages) for c in waiting(told)} == {
        ("NORTHSIDE", "0002-marital-status", "COHAB", "PID-16", 3),
        ("NORTHSIDE", "0002-marital-status", "LAT", "PID-16", 1),
    }
    tasks = told.found("Task", code="urn:second-opinion-gateway:CodeSystem:task-code|code-translation", status="requested")
    assert [task["input"][3]["valueCoding"] for task in tasks] and len(tasks) == 2
    assert {task["input"][3]["valueCoding"]["code"] for task in tasks} == {"COHAB", "LAT"}


def test_once_it_is_said_what_a_code_means_all_that_waited_is_mapped_again(told: Told) -> None:
    for n in range(3):
        told.receives(married(mrn=f"P{n}", number=f"REF-{n}"))
    works(told)
    (code,) = waiting(told)
    told.gateway.codework.resolve(code.task or "", V3, "T", "Domestic partner", everywhere=False, who="test")
    works(told)
    assert [marital(told, f"P{n}") for n in range(3)] == [["T", "COHAB"]] * 3
    assert waiting(told) == []
    (task,) = told.found("Task", code="code-translation")
    assert task["status"] == "completed"
    versions = {p["id"]: p["meta"]["versionId"] for p in told.found("Patient")}
    works(told)
    assert {p["id"]: p["meta"]["versionId"] for p in told.found("Patient")} == versions, "once"


def test_what_is_said_for_one_sender_is_not_said_for_another(told: Told) -> None:
    saves(told, translation("COHAB", "T"))
    told.receives(married(mrn="N1"))
    told.receives(married(mrn="S1", sender="SOUTHSIDE", number="REF-2"))
    assert marital(told, "N1") == ["T", "COHAB"]
    assert marital(told, "S1") == ["COHAB"]
    assert [(c.sender, c.code) for c in waiting(told)] == [("SOUTHSIDE", "COHAB")]


def test_a_senders_own_map_stands_over_the_map_for_all_and_both_over_the_shipped_one(told: Told) -> None:
    saves(told, translation("M", "T", sender=None))
    saves(told, translation("M", "L"))
    told.receives(married("M", mrn="N1"))
    told.receives(married("M", mrn="S1", sender="SOUTHSIDE", number="REF-2"))
    assert (marital(told, "N1")[0], marital(told, "S1")[0]) == ("L", "T")


def test_a_senders_own_report_code_closes_its_item_once_it_is_known_what_it_is(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(local_report())
    works(told)
    assert told.item("pathology-report")["state"] != "accepted"
    (code,) = waiting(told)
    assert (code.map, code.code, code.field) == ("urn:second-opinion-gateway:sid:PATHLAB:L", "SPATH", "OBR-4")
    told.gateway.codework.resolve(str(code.pk), "http://loinc.org", "11529-5", "Surgical pathology study", everywhere=False, who="test")
    works(told)
    assert told.item("pathology-report")["state"] == "accepted"
    assert told.count("DiagnosticReport") == 1, "its key did not change with its code's translation"


def test_a_code_said_to_mean_nothing_elsewhere_is_not_asked_about_again(told: Told) -> None:
    told.receives(married())
    works(told)
    (code,) = waiting(told)
    told.gateway.codework.resolve(str(code.pk), "", "", "", everywhere=True, who="test")
    works(told)
    told.receives(married(mrn="P9", number="REF-9"))
    works(told)
    assert waiting(told) == []
    assert marital(told) == ["COHAB"]


def test_a_code_that_is_wanted_again_opens_its_task_again(told: Told) -> None:
    told.receives(married())
    works(told)
    (code,) = waiting(told)
    made = told.gateway.codework.resolve(str(code.pk), V3, "T", "", everywhere=False, who="test")
    works(told)
    told.gateway.fhir.delete(STAFF, "ConceptMap", made.id, None)
    told.receives(married(mrn="P9", number="REF-9"))
    works(told)
    (task,) = told.found("Task", code="code-translation")
    assert (task["id"], task["status"]) == (code.task, "requested")


def test_an_open_map_that_cannot_be_used_is_refused_with_its_place(told: Told) -> None:
    gender = ("http://terminology.hl7.org/CodeSystem/v2-0001", "http://hl7.org/fhir/administrative-gender")
    with pytest.raises(InvalidError) as fault:
        saves(told, translation("X", "nonbinary", source=gender[0], into=gender[1]))
    assert [issue.expression for issue in fault.value.issues] == ["ConceptMap.group[0].element[0].target[0].code"]
    with pytest.raises(InvalidError) as fault:
        saves(told, translation("X", "1", source=gender[0], into="http://snomed.info/sct"))
    assert [issue.expression for issue in fault.value.issues] == ["ConceptMap.group[0].target"]
    nameless = translation("COHAB", "T")
    nameless["useContext"][0]["valueCodeableConcept"] = {"text": "Northside"}
    with pytest.raises(InvalidError) as fault:
        saves(told, nameless)
    assert [issue.expression for issue in fault.value.issues] == ["ConceptMap.useContext[0]"]
    saves(told, {**nameless, "status": "draft"})


def test_a_sender_may_not_say_what_codes_mean(told: Told) -> None:
    with pytest.raises(NotTheClinicError):
        saves(told, translation("COHAB", "T"), Principal("referrer", "NORTHSIDE"))


def test_a_map_of_other_things_changes_no_mapping(told: Told) -> None:
    saves(told, translation("C50.411", "254837009", sender=None, source="http://hl7.org/fhir/sid/icd-10-cm", into="http://snomed.info/sct"))
    told.receives(messages.referral())
    (condition,) = told.found("Condition")
    assert [coding["code"] for coding in condition["code"]["coding"]] == ["C50.411"]


def test_a_sender_that_fills_a_coded_field_with_text_does_not_bury_the_staff(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhir_gateway.pipeline.codework.MOST_TASKS", 2)
    for n in range(4):
        told.receives(married(f"TEXT{n}", mrn=f"P{n}", number=f"REF-{n}"))
    works(told)
    works(told)
    assert told.count("Task", code="code-translation") == 2
    assert len(waiting(told)) == 4


def test_a_round_broken_off_between_two_messages_is_finished_by_the_next(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        told.receives(married(mrn=f"P{n}", number=f"REF-{n}"))
    works(told)
    (code,) = waiting(told)
    told.gateway.codework.resolve(str(code.pk), V3, "T", "", everywhere=False, who="test")
    real, calls = told.gateway.casework.__class__.after, []

    def breaks(self, tx, written, at):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, tx, written, at)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(told.gateway.casework.__class__, "after", breaks)
        told.gateway.codework.round()
    (left,) = waiting(told)
    assert left.messages == 2
    works(told)
    assert [marital(told, f"P{n}") for n in range(3)] == [["T", "COHAB"]] * 3
    assert {p["meta"]["versionId"] for p in told.found("Patient")} == {"2"}


def test_maps_and_what_they_wait_for_are_found_by_search(told: Told) -> None:
    made = saves(told, translation("COHAB", "T"))
    by = {"context": f"{SENDER}|NORTHSIDE", "source-code": "COHAB", "source-system": MARITAL, "target-code": "T", "status": "active"}
    for name, value in by.items():
        assert [found["id"] for found in told.found("ConceptMap", **{name: value})] == [made["id"]], name


def test_a_process_that_has_not_heard_of_a_map_maps_by_it_all_the_same(told: Told) -> None:
    """Several processes serve one database; what one of them saved holds for all from its commit on."""
    other = Gateway(told.gateway.settings, told.executor, clock=lambda: told.now)
    told.receives(married(mrn="P1"))
    other.fhir.create(STAFF, "ConceptMap", encode(translation("COHAB", "T")), None)
    told.receives(married(mrn="P2", number="REF-2"))
    assert marital(told, "P2") == ["T", "COHAB"]
    works(told)
    assert marital(told, "P1") == ["T", "COHAB"]
    other.stop()


def test_a_map_of_a_table_that_is_no_longer_there_keeps_no_message_out(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    saves(told, translation("COHAB", "T"))

    def gone(_: object) -> str:
        raise LookupError("no such table")

    monkeypatch.setattr("fhir_gateway.pipeline.codetables.table_of", gone)
    told.gateway.messages.codes._kept = (0, told.gateway.messages.codes._kept[1])
    assert told.receives(married())[0] == "AA"


def test_staff_who_subscribed_are_told_of_a_code_to_translate(told: Told) -> None:
    with endpoint() as hook:
        subscribes(told, subscription(hook, "Task?code=code-translation"))
        told.receives(married())
        works(told)
        sends(told)
        assert [kind(post.json) for post in hook.posts] == ["handshake", "event-notification"]


def test_text_in_a_coded_field_fills_no_table_without_end(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhir_gateway.store.codes.MOST_OF_SENDER", 2)
    for n in range(4):
        assert told.receives(married(f"TEXT{n}", mrn=f"P{n}", number=f"REF-{n}"))[0] == "AA"
    assert [code.code for code in waiting(told)] == ["TEXT0", "TEXT1"]
    told.receives(married("TEXT0", mrn="P9", number="REF-9"))
    assert [code.messages for code in waiting(told)] == [2, 1]
