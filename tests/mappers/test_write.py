"""What we send in HL7 v2 reads back as what it was made from: with our own reader, by the tables of version 2.5.1, and with hl7apy."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hl7apy.parser import parse_message
from hypothesis import given
from hypothesis import strategies as st

from mappers import v2
from mappers.v2.escape import CONTROLS
from mappers.v2.write import er7, fields
from mappers.v2.write.mdm import mdm
from mappers.v2.write.omg import omg
from mappers.v2.write.osu import osu
from mappers.v2.write.rri import rri
from mappers.v2.write.segments import Standing, Subject
from mappers.v2.write.siu import siu
from profiles.canonical import sender_system
from tests.mappers.build import TABLES, only, resources
from tests.mappers.test_tables import FIXTURES

NOW = datetime(2026, 9, 14, 15, 30, tzinfo=timezone(timedelta(hours=-5)))
ENVELOPE = er7.Envelope(er7.Party("GATEWAY", "CLINIC"), er7.Party("EHR", "NORTHSIDE"), NOW, "OUT-1")
CASE = {"system": sender_system("CLINIC", "GATEWAY"), "value": "task-1", "assigner": {"display": "GATEWAY"}}
ACCEPTED = Standing("A", "SC", "IP")
PATIENT = {
    "resourceType": "Patient",
    "identifier": [
        {
            "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]},
            "system": "urn:oid:2.16.840.1.113883.19.5.1",
            "value": "MRN-554321",
            "assigner": {"display": "NORTHSIDE"},
        }
    ],
    "name": [{"family": "Marlowe", "given": ["Ines", "Aurelia"], "use": "official"}],
    "birthDate": "1971-03-14",
    "gender": "female",
}
REFERRAL = {
    "resourceType": "ServiceRequest",
    "id": "ref-1",
    "identifier": [
        {
            "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]},
            "system": sender_system("NORTHSIDE", "NORTHSIDE"),
            "value": "REF-1",
            "assigner": {"display": "NORTHSIDE"},
        }
    ],
}
SUBJECT = Subject(REFERRAL, PATIENT, CASE, {"name": [{"family": "Okafor", "given": ["Daniel"], "prefix": ["Dr"]}]})
NOTE = {
    "resourceType": "DocumentReference",
    "id": "note-2",
    "masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": "urn:uuid:0190c2a4-0000-7000-8000-000000000002"},
    "docStatus": "final",
    "type": {"coding": [{"system": "http://loinc.org", "code": "11488-4", "display": "Consult note"}]},
    "date": "2026-09-14T20:00:00.000Z",
    "content": [{"attachment": {"contentType": "text/html", "data": base64.b64encode(b"<!DOCTYPE html><p>Sch\xc3\xb6n</p>").decode()}}],
}
LINE = st.text(max_size=60).map(lambda t: CONTROLS.sub("", t.replace("\r\n", "\n").replace("\r", "\n")).strip()).filter(bool)
WORD = LINE.filter(lambda t: "\n" not in t)


def golden(case: str) -> Any:
    return v2.map_message(v2.read((FIXTURES / case / "input.hl7").read_bytes()), TABLES, v2.Site())


def told_of(result: Any) -> Subject:
    """The referral of a mapped REF with its patient and providers, as the store would give them."""
    by_url = {draft.full_url: draft.resource for draft in result.drafts}
    referral = next(r for r in by_url.values() if r["resourceType"] == "ServiceRequest" and "requester" in r)

    def person(reference: dict[str, Any]) -> dict[str, Any]:
        return by_url[by_url[reference["reference"]]["practitioner"]["reference"]]

    return Subject(referral, only(result, "Patient"), CASE, person(referral["requester"]), person(referral["performer"][0]))


def read_as(raw: bytes, written: str, event: str, sender: str | None = None) -> Any:
    """Mapped as a message of a type our reader takes: the segments are the same. sender: whose namespaces the numbers are in, ours when not said."""
    kind = f"{event}^{event.replace('^', '_')}"
    assert written.encode() in raw
    return v2.map_message(v2.read(raw.replace(written.encode(), kind.encode(), 1)), TABLES, v2.Site(sender=sender))


MESSAGES = {
    "RRI^I12^RRI_I12": rri(SUBJECT, ACCEPTED, ENVELOPE, notes=["we read it"]),
    "RRI^I15^RRI_I12": rri(SUBJECT, ACCEPTED, er7.Envelope(ENVELOPE.sender, ENVELOPE.receiver, NOW, "OUT-2", answers="Q-7"), event="I15"),
    "OSU^O51^OSU_O51": osu(SUBJECT, Standing("R", "OC", "CA"), ENVELOPE, reason="no sarcoma service here"),
    "OMG^O19^OMG_O19": omg(SUBJECT, Standing("A", "SC", "CM"), ENVELOPE, note=NOTE, author=SUBJECT.requester),
    "MDM^T02^MDM_T02": mdm(SUBJECT, Standing("A", "SC", "CM"), ENVELOPE, note=NOTE, author=SUBJECT.requester),
    "SIU^S12^SIU_S12": siu("S12", {"status": "booked", "start": "2026-09-24T13:00:00-04:00"}, SUBJECT, ENVELOPE),
}


@pytest.mark.parametrize("kind", MESSAGES)
def test_it_goes_from_us_to_the_sender_in_utf8_and_version_2_5_1(kind: str) -> None:
    raw = MESSAGES[kind]
    assert raw.endswith(b"\r")
    msh = v2.read(raw).segments[0]
    assert [msh.value(n) for n in (3, 4, 5, 6, 7)] == ["GATEWAY", "CLINIC", "EHR", "NORTHSIDE", "20260914153000-0500"]
    assert "^".join(msh.value(9, n) for n in (1, 2, 3)) == kind
    assert (msh.value(11), msh.value(12), msh.value(18)) == ("P", "2.5.1", "UNICODE UTF-8")


@pytest.mark.parametrize("kind", MESSAGES)
def test_every_segment_conforms_to_the_tables_of_its_version(kind: str) -> None:
    """Required fields are valued, nothing repeats or stands that may not."""
    assert v2.check(v2.read(MESSAGES[kind])) == []


@pytest.mark.parametrize("kind", [kind for kind in MESSAGES if not kind.startswith("OSU")])
def test_hl7apy_reads_the_same_segments(kind: str) -> None:
    """hl7apy knows no OSU_O51."""
    found = parse_message(MESSAGES[kind].decode(), find_groups=False)
    assert [segment.name for segment in found.children] == [segment.name for segment in v2.read(MESSAGES[kind]).segments]
    assert found.version == "2.5.1"


@pytest.mark.parametrize("kind", MESSAGES)
def test_the_referrals_number_and_ours_are_in_it(kind: str) -> None:
    message = v2.read(MESSAGES[kind])
    name, number = {"RRI": ("RF1", 6), "SIU": ("SCH", 26)}.get(kind[:3], ("ORC", 2))
    ours = {"RF1": 11, "SCH": 27, "ORC": 3}[name]
    (segment,) = message.named(name)
    assert segment.repetitions(number) == [["REF-1", "NORTHSIDE"]]
    assert segment.repetitions(ours) == [["task-1", "GATEWAY"]]


@pytest.mark.parametrize("case", ["ref_i12/breast-second-opinion", "ref_i13/breast-more-urgent"])
def test_a_referral_answered_by_rri_reads_back_as_itself(case: str) -> None:
    subject = told_of(golden(case))
    back = told_of(read_as(rri(subject, ACCEPTED, ENVELOPE), "RRI^I12^RRI_I12", "REF^I12", "NORTHSIDE"))
    for element in ("identifier", "name", "birthDate", "gender", "address", "telecom", "communication"):
        assert back.patient.get(element) == subject.patient.get(element), element
    for before, after in ((subject.requester, back.requester), (subject.performer, back.performer)):
        for element in ("identifier", "name", "telecom", "address"):
            assert after.get(element) == before.get(element), element
    for element in ("priority", "occurrencePeriod", "authoredOn", "code", "locationCode"):
        assert back.referral.get(element) == subject.referral.get(element), element
    assert back.referral["identifier"][0] == subject.referral["identifier"][0]
    said = {c["code"] for concept in back.referral["reasonCode"] for c in concept.get("coding", ())}
    assert said == {"S"}, "that a second opinion was asked for is said again"


def test_a_status_answer_names_the_question_it_answers() -> None:
    (msa,) = v2.read(MESSAGES["RRI^I15^RRI_I12"]).named("MSA")
    assert (msa.value(1), msa.value(2)) == ("AA", "Q-7")
    assert v2.read(MESSAGES["RRI^I12^RRI_I12"]).named("MSA") == []


def test_rri_says_the_standing_and_why() -> None:
    message = v2.read(rri(SUBJECT, Standing("P", "SC", "HD"), ENVELOPE, notes=["Pathology report missing", "Second line\nthird line"]))
    assert message.named("RF1")[0].repetitions(1) == [["P", "Pending", "HL70283"]]
    assert [note.value(3) for note in message.named("NTE")] == ["Pathology report missing", "Second line\nthird line"]


def test_a_report_on_its_way_is_announced_in_rf1_4() -> None:
    (rf1,) = v2.read(rri(SUBJECT, ACCEPTED, ENVELOPE, report=True)).named("RF1")
    assert rf1.value(4) == "WR"


def test_osu_says_order_control_status_and_reason() -> None:
    (orc,) = v2.read(MESSAGES["OSU^O51^OSU_O51"]).named("ORC")
    assert [orc.value(n) for n in (1, 5)] == ["OC", "CA"]
    assert orc.value(16, 2) == "no sarcoma service here"


def test_without_a_provider_the_clinic_stands_in_since_one_is_required() -> None:
    (prd,) = v2.read(rri(Subject(REFERRAL, PATIENT, CASE), ACCEPTED, ENVELOPE)).named("PRD")
    assert (prd.value(1), prd.value(2)) == ("RT", "CLINIC")


def test_a_referral_without_a_number_is_named_by_ours() -> None:
    (rf1,) = v2.read(rri(Subject({"resourceType": "ServiceRequest"}, PATIENT, CASE), ACCEPTED, ENVELOPE)).named("RF1")
    assert rf1.value(6) == "task-1"


@pytest.mark.parametrize(("event", "status"), [("S12", "booked"), ("S13", "booked"), ("S15", "cancelled"), ("S26", "noshow")])
def test_an_appointment_reads_back_as_itself(event: Any, status: str) -> None:
    first = golden("siu_s12/consultation-booked")
    held = only(first, "Appointment") | {"status": status}
    actors = {draft.full_url: draft.resource for draft in first.drafts}
    raw = siu(event, held, Subject(REFERRAL, only(first, "Patient"), CASE), ENVELOPE, actors=actors, notes=["Bring the slides"])
    result = v2.map_message(v2.read(raw), TABLES, v2.Site(sender="SECOND OPINION CLINIC"))
    back = only(result, "Appointment")
    for element in ("status", "start", "end", "minutesDuration", "identifier", "appointmentType", "serviceType", "reasonCode"):
        assert back.get(element) == held.get(element), element
    assert [b["identifier"]["value"] for b in back["basedOn"]] == ["REF-1", "task-1"]
    assert {p["name"][0]["family"] for p in resources(result, "Practitioner")} == {p["name"][0]["family"] for p in resources(first, "Practitioner")}
    assert {p["name"] for p in resources(result, "Location")} == {p["name"] for p in resources(first, "Location")}
    assert result.events[0].kind == {"S12": "book", "S13": "reschedule", "S15": "cancel", "S26": "noshow"}[event]


def test_people_and_places_known_by_display_only_are_named() -> None:
    seen = [{"actor": {"type": kind, "display": name}, "status": "accepted"} for kind, name in (("Practitioner", "Dr Lund"), ("Location", "Room 4"))]
    raw = siu("S12", {"status": "booked", "start": "2026-09-24T13:00:00Z", "participant": seen}, SUBJECT, ENVELOPE)
    message = v2.read(raw)
    assert message.named("AIP")[0].value(3, 2) == "Dr Lund"
    assert message.named("AIL")[0].value(3) == "Room 4"


def test_the_outcome_of_360x_carries_the_note_and_closes_the_order() -> None:
    message = v2.read(MESSAGES["OMG^O19^OMG_O19"])
    (orc,), (obr,) = message.named("ORC"), message.named("OBR")
    assert (orc.value(5), obr.value(4), obr.value(25)) == ("CM", "57133-1", "F")
    document = only(read_as(MESSAGES["OMG^O19^OMG_O19"], "OMG^O19^OMG_O19", "ORU^R01"), "DocumentReference")
    binary = only(read_as(MESSAGES["OMG^O19^OMG_O19"], "OMG^O19^OMG_O19", "ORU^R01"), "Binary")
    assert (document["type"]["coding"], document["docStatus"]) == (NOTE["type"]["coding"], "final")
    assert binary["data"] == NOTE["content"][0]["attachment"]["data"]
    assert binary["contentType"] == "text/html"


def test_an_outcome_whose_note_may_not_be_sent_says_so_and_no_more() -> None:
    message = v2.read(omg(SUBJECT, Standing("A", "SC", "CM"), ENVELOPE, note=None, notes=["not covered"]))
    assert message.named("OBX") == []
    assert message.named("NTE")[0].value(3) == "not covered"


def test_the_document_message_says_type_number_and_who_signed_when() -> None:
    (txa,) = v2.read(MESSAGES["MDM^T02^MDM_T02"]).named("TXA")
    assert [txa.value(n) for n in (2, 3, 17, 19)] == ["CN", "TEXT", "AU", "AV"]
    assert txa.value(12, 3) == "0190c2a4-0000-7000-8000-000000000002" or txa.value(12, 3).startswith("urn:uuid:")
    assert (txa.value(22, 2), txa.value(22, 15)) == ("Okafor", "20260914200000.000+0000")


def test_a_preliminary_note_is_not_signed() -> None:
    (txa,) = v2.read(mdm(SUBJECT, ACCEPTED, ENVELOPE, note=NOTE | {"docStatus": "preliminary"})).named("TXA")
    assert (txa.value(17), txa.raw(22), txa.raw(10)) == ("PA", "", "")


def test_a_document_that_replaces_another_names_it() -> None:
    message = v2.read(mdm(SUBJECT, ACCEPTED, ENVELOPE, note=NOTE, replaces={"id": "note-1"}))
    assert message.header.message_type == "MDM^T10"
    assert message.named("TXA")[0].value(13) == "note-1"


def test_plain_text_goes_as_formatted_text() -> None:
    words = "Diagnosis | confirmed\n^ second line & \\ third"
    plain = {"contentType": "text/plain; charset=utf-8", "data": base64.b64encode(words.encode()).decode()}
    (obx,) = v2.read(mdm(SUBJECT, ACCEPTED, ENVELOPE, note=NOTE | {"content": [{"attachment": plain}]})).named("OBX")
    assert (obx.value(2), obx.value(5)) == ("FT", words)


@given(WORD, WORD, WORD, LINE)
def test_any_name_and_note_survives(family: str, given_name: str, prefix: str, note: str) -> None:
    name = {"family": family, "given": [given_name], "prefix": [prefix]}
    subject = Subject(REFERRAL, PATIENT | {"name": [name]}, CASE, {"name": [name]})
    raw = rri(subject, ACCEPTED, ENVELOPE, notes=[note])
    message = v2.read(raw)
    assert [s.name for s in message.segments] == ["MSH", "RF1", "PRD", "PID", "NTE"]
    pid, prd, nte = (message.named(name)[0] for name in ("PID", "PRD", "NTE"))
    for segment, number in ((pid, 5), (prd, 2)):
        (repetition,) = segment.repetitions(number)
        assert [part.strip() for part in (repetition[0], repetition[1], repetition[4])] == [family, given_name, prefix]
    assert "\n".join(line for (line,) in nte.repetitions(3)).strip() == note


@given(st.binary(max_size=300))
def test_any_document_survives(data: bytes) -> None:
    attachment = {"contentType": "application/pdf", "data": base64.b64encode(data).decode()}
    raw = omg(SUBJECT, ACCEPTED, ENVELOPE, note=NOTE | {"content": [{"attachment": attachment}]})
    found = v2.read(raw).named("OBX")
    assert [base64.b64decode(obx.value(5, 5)) for obx in found] == ([data] if data else [])


@given(st.datetimes(timezones=st.just(UTC)).map(lambda d: d.replace(year=1900 + d.year % 200, microsecond=0, day=min(d.day, 28))))
def test_a_time_is_written_with_its_offset(moment: datetime) -> None:
    assert fields.ts(moment.isoformat()) == moment.strftime("%Y%m%d%H%M%S+0000") == er7.stamp(moment)


@pytest.mark.parametrize(("given_date", "written"), [("2026", "2026"), ("2026-09", "202609"), ("2026-09-01", "20260901"), (None, ""), ("soon", "")])
def test_a_date_keeps_its_precision(given_date: str | None, written: str) -> None:
    assert fields.ts(given_date) == written


DNS = {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0301", "code": "DNS"}]}, "value": "lab.example"}
IDENTIFIERS = [
    {"system": "urn:oid:2.16.840.1.113883.19.5", "value": "A^1"},
    {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "000-00-0000"},
    {"system": "urn:uuid:0190c2a4-0000-7000-8000-000000000002", "value": "7"},
    {"system": "https://example.org/numbers", "value": "7", "assigner": {"display": "Site & Co"}},
    {"system": sender_system("CLINIC", "A B"), "value": "7", "assigner": {"display": "A B"}},
    {"system": sender_system("CLINIC", ""), "value": "7"},
    {"system": sender_system("CLINIC", "lab.example"), "value": "7", "assigner": {"identifier": DNS, "display": "L"}},
]


@pytest.mark.parametrize("identifier", IDENTIFIERS, ids=lambda i: i["system"][:40])
def test_an_identifier_reads_back_with_its_system(identifier: dict[str, Any]) -> None:
    raw = rri(Subject(REFERRAL, PATIENT | {"identifier": [identifier]}, CASE), ACCEPTED, ENVELOPE)
    assert only(read_as(raw, "RRI^I12^RRI_I12", "REF^I12"), "Patient")["identifier"] == [identifier]


def test_a_text_that_looks_like_a_deletion_is_none() -> None:
    raw = rri(Subject(REFERRAL, PATIENT | {"name": [{"family": '""', "given": ["Ines"]}]}, CASE), ACCEPTED, ENVELOPE)
    (pid,) = v2.read(raw).named("PID")
    assert pid.repetitions(5) == [['""', "Ines"]] and b'""' not in raw
