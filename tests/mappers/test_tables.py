"""The engine: every valued field is mapped, kept or structural, and the ledger says which; the tables and the registry are what they claim to be."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

import mappers.v2.segments as segments_package
from mappers import v2
from mappers.result import Draft, Location, Refused
from mappers.v2 import dictionary
from mappers.v2.messages import registry
from mappers.v2.table import SegmentMap, field, keep, segment, takes, target
from tests.mappers.build import PID, TABLES, drafts, kept_values, mapped, message, only, resources

FOLDER = Path(segments_package.__file__).parent
FIXTURES = Path(__file__).parents[2] / "fixtures" / "v2"
MAPS = {
    f"{path.stem}.{name}": value
    for path in sorted(FOLDER.glob("*.py"))
    for name, value in vars(import_module(f"mappers.v2.segments.{path.stem}")).items()
    if isinstance(value, SegmentMap)
}


def test_a_field_without_a_row_is_kept_on_the_segments_resource_leaf_by_leaf():
    result = mapped(PID + "|" * 19 + "Y^^Z&zed")
    patient = only(result, "Patient")
    assert kept_values(patient) == {"PID-27.1": "Y", "PID-27.3.1": "Z", "PID-27.3.2": "zed"}
    assert {(e.fate, e.target) for e in result.ledger if e.where == Location("PID", 1, 27)} == {("kept", "Patient.extension")}


def test_a_component_nobody_uses_is_kept_on_the_element_it_came_with():
    patient = only(mapped("PID|1||1^^^H^MR^Unity~2^^^H^PI||Doe"), "Patient")
    assert kept_values(patient["identifier"][0]) == {"PID-3.6": "Unity"}
    assert kept_values(patient["identifier"][1]) == {}


def test_a_second_value_of_a_single_element_is_kept_under_its_repetition():
    assert kept_values(only(mapped(PID.replace("|F", "|F~M")), "Patient")) == {"PID-8(2)": "M"}


def test_an_unknown_segment_is_kept_on_the_provenance_with_its_number():
    provenance = only(mapped(PID, "ZPI|1|secret^recipe", "ZPI|2|again"), "Provenance")
    assert kept_values(provenance) == {"ZPI[1]-1": "1", "ZPI[1]-2.1": "secret", "ZPI[1]-2.2": "recipe", "ZPI[2]-1": "2", "ZPI[2]-2": "again"}


def test_an_explicit_null_deletes_the_element():
    result = mapped(PID.replace("19700101", '""'))
    assert drafts(result, "Patient")[0].deletes == ("birthDate",)
    assert "birthDate" not in only(result, "Patient")


def test_every_valued_field_is_in_the_ledger():
    read = v2.read((FIXTURES / "ref_i12/breast-second-opinion/input.hl7").read_bytes())
    result = v2.map_message(read, TABLES, v2.Site())
    told = {(e.where.segment, e.where.sequence, e.where.field) for e in result.ledger}
    for s in read.segments:
        for number, raw in enumerate(s.fields):
            if number and raw and (s.name, number) not in (("MSH", 1), ("MSH", 2)):
                assert (s.name, s.sequence, number) in told, f"{s.name}[{s.sequence}]-{number}"


def test_the_same_message_maps_to_the_same_drafts():
    raw = (FIXTURES / "oru_r01/pathology-pdf/input.hl7").read_bytes()
    one, two = (v2.map_message(v2.read(r), TABLES, v2.Site()) for r in (raw, raw.replace(b"\n", b"\r")))
    assert one.drafts == two.drafts


@pytest.mark.parametrize("name", MAPS)
def test_a_table_names_fields_the_standard_has(name):
    table = MAPS[name]
    for row in (*table.rows, *(r for t in table.targets for r in t.rows)):
        if not table.name.startswith("Z"):
            assert dictionary.field("2.8.2", row.segment, row.number) or (row.segment, row.number) in ADDED_IN_2_9, f"{row.segment}-{row.number}"


# hl7apy ends at 2.8.2; and its tables have neither AL1-6 (withdrawn) nor the delimiters
ADDED_IN_2_9 = {("TXA", 27), ("TXA", 28), ("ORC", 38), ("PID", 28), ("AL1", 6), ("EVN", 1), ("PV1", 52)}


@pytest.mark.parametrize("name", MAPS)
def test_no_field_is_both_mapped_and_silent(name):
    table = MAPS[name]
    silent = [r.number for r in table.rows]
    assert max(Counter(silent).values(), default=0) <= 1
    assert not set(silent) & {r.number for t in table.targets for r in t.rows}


@pytest.mark.parametrize("name", MAPS)
def test_whoever_keeps_a_field_says_why(name):
    assert all(r.why for r in MAPS[name].rows if r.fate == "kept")


def test_a_table_with_another_segments_row_is_refused():
    with pytest.raises(ValueError, match="PID-3 stands in the table of NK1"):
        segment("NK1", keep("PID-3", why="wrong table"))


def test_a_converter_that_gives_nothing_leaves_the_field_kept():
    @takes(1)
    def never(repetition, ctx):
        return None

    table = segment("ZZA", target("Basic", field("ZZA-1", "code", never)))
    result = mapped(PID)
    read = v2.read(message("ZZA|value"))
    from mappers.v2.context import Context, Site

    home = Draft({"resourceType": "Basic"}, "urn:x")
    table.map(read.segments[1], Context(read, TABLES, Site(), "HOSP", clock=result.drafts[0].clock), Basic=home)
    assert kept_values(home.resource) == {"ZZA-1": "value"}


def test_every_supported_type_has_fixtures_and_every_fixture_folder_a_type():
    folders = {p.name for p in FIXTURES.iterdir() if p.is_dir()}
    supported = {f"{kind}_{event}".lower().rstrip("_") for kind, event in registry.MESSAGES}
    assert folders <= supported
    modules = {entry.map.__module__.rsplit(".", 1)[1] for entry in registry.MESSAGES.values()}
    assert modules <= folders


@pytest.mark.parametrize(("event", "code", "component"), [("MFN^M02", "200", 1), ("ADT^A99", "201", 2), ("REF^I99", "201", 2), ("ORU^", "201", 2)])
def test_an_unsupported_type_is_refused_where_it_says_so(event, code, component):
    with pytest.raises(Refused) as refused:
        mapped(PID, event=event)
    assert refused.value.ack_code == "AR"
    finding = refused.value.findings[0]
    assert (finding.code, finding.where) == (code, Location("MSH", 1, 9, None, component))


@pytest.mark.parametrize(
    ("event", "segments", "missing"), [("REF^I12", ("RF1|P",), "PID"), ("ORU^R01", ("OBR|1",), "PID"), ("SIU^S12", (PID,), "SCH")]
)
def test_a_message_without_what_it_is_about_is_refused(event, segments, missing):
    with pytest.raises(Refused) as refused:
        mapped(*segments, event=event)
    assert refused.value.ack_code == "AE"
    assert (refused.value.findings[0].code, refused.value.findings[0].where) == ("100", Location(missing))


def test_report_names_every_field_and_what_became_of_it():
    rows = v2.report(mapped(PID, "ZPI|x"))
    assert ("PID[1]-3", "Patient identifier list", "mapped", "Patient.identifier[]") in [row[:4] for row in rows]
    assert [row.fate for row in rows if row.field == "ZPI[1]-1"] == ["kept"]


def test_a_bundle_names_the_message_and_creates_what_is_not_known_yet():
    bundle = v2.bundle(mapped(PID))
    assert bundle["identifier"] == {"system": "urn:second-opinion-gateway:sid:HOSP:message-control-id", "value": "C1"}
    assert bundle["timestamp"] == "2026-09-01T12:00:00-04:00"
    entry = next(e for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient")
    assert entry["request"] == {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:oid:2.16.840.1.113883.19.5.1|M1"}
    provenance = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Provenance")
    assert provenance["entity"][0]["what"]["identifier"]["system"] == v2.RAW_MESSAGE
    assert len(provenance["entity"][0]["what"]["identifier"]["value"]) == 64


def test_every_reference_points_into_the_message():
    result = v2.map_message(v2.read((FIXTURES / "ref_i12/breast-second-opinion/input.hl7").read_bytes()), TABLES, v2.Site())
    urls = {d.full_url for d in result.drafts}
    found = [u for d in result.drafts for u in _urns(d.resource)]
    assert found
    assert set(found) <= urls


def _urns(value):
    if isinstance(value, str):
        if value.startswith("urn:uuid:"):
            yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _urns(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _urns(inner)


def test_two_patients_in_one_message_keep_their_own_results():
    second = PID.replace("M1^", "M2^").replace("Ann", "Eve")
    result = mapped(PID, "OBR|1||A1|1^a", "OBX|1|ST|1^a||one||||||F", second, "OBR|1||B1|1^a", "OBX|1|ST|1^a||two||||||F")
    by_url = {d.full_url: d.resource for d in result.drafts}
    told = {by_url[o["subject"]["reference"]]["name"][0]["given"][0]: o["valueString"] for o in resources(result, "Observation")}
    assert told == {"Ann": "one", "Eve": "two"}
