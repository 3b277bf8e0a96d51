"""Versions 2.1 to 2.9 and those nobody published: every one is read; one without tables of its own by the nearest older, and that is said."""

from __future__ import annotations

import pytest

from fhir_gateway.validation import validate
from mappers import v2
from mappers.result import Location, Refused
from mappers.v2.dictionary import VERSIONS
from tests.mappers.build import PID, TABLES, only, resources

ODD = {"2.9": "2.8.2", "2.5.2": "2.5.1", "2.5+": "2.5", "2.10": "2.8.2", "2.7.1": "2.7", "3.0": "2.8.2", "1.0": "2.1", "": "2.5.1", "two": "2.5.1"}
BODIES = {
    "ADT^A08": ("EVN|A08|20260901", PID, "PV1|1|O|ONC"),
    "ORM^O01": (PID, "ORC|NW|P1^HOSP", "OBR|1|P1^HOSP||58410-2^CBC^LN"),
    "PIN^I07": (PID, "IN1|1|PPO|B1|Blue"),
    "RRI^I12": ("MSA|AA|1", "RF1|A|||||R1^HOSP", "PRD|RT|Lund^Ola", PID),
}


def read(kind: str, version: str, *segments: str):
    msh = f"MSH|^~\\&|APP|HOSP|GATEWAY|CLINIC|20260901120000-0400||{kind}|C1|P|{version}"
    return v2.map_message(v2.read("\r".join((msh, *segments, "")).encode()), TABLES, v2.Site())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", BODIES)
def test_every_published_version_is_read_as_itself(kind, version):
    result = read(kind, version, *BODIES[kind])
    assert [f for f in result.findings if f.code == "203"] == []
    assert [issue for draft in result.drafts for issue in validate(draft.resource)] == []
    assert only(result, "Patient")["name"][0]["family"] == "Doe"


@pytest.mark.parametrize(("version", "nearest"), ODD.items())
@pytest.mark.parametrize("kind", BODIES)
def test_any_other_is_read_by_the_nearest_and_that_is_recorded(kind, version, nearest):
    result = read(kind, version, *BODIES[kind])
    (finding,) = [f for f in result.findings if f.code == "203"]
    assert (finding.severity, finding.where) == ("warning", Location("MSH", 1, 12))
    assert finding.text.endswith(f"read as {nearest}")
    assert result.header.version == version


@pytest.mark.parametrize(
    ("kind", "segments", "made"),
    [
        ("ADT", ("EVN|A01|20260901", PID, "PV1|1|I"), "Encounter"),
        ("ORM", (PID, "ORC|NW|P1", "OBR|1|P1||58410-2^CBC^LN"), "ServiceRequest"),
        ("ORU", (PID, "OBR|1||F1|58410-2^CBC^LN|||20260901||||||||||||||||||F", "OBX|1|NM|718-7^Hb^LN||12"), "Observation"),
    ],
)
def test_version_2_1_knew_no_event_in_its_message_type(kind, segments, made):
    assert resources(read(kind, "2.1", *segments), made)


@pytest.mark.parametrize("version", ["2.3", "2.5.1", "2.8"])
def test_later_versions_must_say_the_event(version):
    with pytest.raises(Refused) as refused:
        read("ORM", version, PID, "ORC|NW|P1")
    assert (refused.value.ack_code, refused.value.findings[0].code) == ("AR", "201")


@pytest.mark.parametrize(
    "kind", ["ADT^A99", "ADT^A1", "ADT^A011", "ADT^a01", "ORM^O02", "OMG^O01", "OSU^O52", "RRI^I16", "PIN^I08", "RQA^I12", "ACK^XX"]
)
def test_a_near_miss_is_refused_and_named(kind):
    with pytest.raises(Refused) as refused:
        read(kind, "2.5.1", "MSA|AA|1", PID, "ORC|NW|P1", "RF1|A", "MRG|M2")
    assert (refused.value.ack_code, refused.value.findings[0].code, refused.value.findings[0].where) == ("AR", "201", Location("MSH", 1, 9, None, 2))


@pytest.mark.parametrize("kind", ["ADR^A19", "RRE^O12", "Adt^A01", "QRY^A19", "PGL^PC6"])
def test_a_type_nobody_maps_is_refused_as_a_type(kind):
    with pytest.raises(Refused) as refused:
        read(kind, "2.5.1", PID)
    assert (refused.value.ack_code, refused.value.findings[0].code) == ("AR", "200")
