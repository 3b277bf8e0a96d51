"""A checklist as a table: everything is in it, nothing is lost on the way back, and what can't be read is named by line and column."""

from __future__ import annotations

import copy
import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_gateway.cases import listfile, ways
from fhir_gateway.cases.notation import NotationError, read_coding, write_coding
from fhir_gateway.cases.sheet import COLUMNS, unshown
from profiles import plandefinitions

Json = dict[str, Any]
LISTS = sorted(plandefinitions.load())
FROM_ELSEWHERE = ("id", "status", "experimental", "publisher", "description", "usage", "copyright", "url", "name", "type", "resourceType")


def plan(name: str = "breast") -> Json:
    return copy.deepcopy(plandefinitions.load()[name])


def table(*changes: tuple[str, str, str], name: str = "breast", held: Json | None = None, without: str = "") -> str:
    """The table of a list with some cells changed: (item, column, text)."""
    rows = list(csv.DictReader(io.StringIO(listfile.write({name: held or plan(name)}), newline="")))
    for item, column, text in changes:
        next(row for row in rows if row["id"] == item)[column] = text
    out = io.StringIO()
    writer = csv.DictWriter(out, [column for column in COLUMNS if column != without], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def read(text: str, held: Json | None = None) -> Json:
    """The plan a table makes of the shipped breast list."""
    made = listfile.read(text, {"breast": held or plan()})
    assert made.faults == []
    return made.plans["breast"]


def action(made: Json, item: str) -> Json:
    return next(one for one in made["action"] if one["id"] == item)


@pytest.mark.parametrize("name", LISTS)
def test_everything_the_rules_read_is_in_the_table(name: str) -> None:
    shipped = plan(name)
    assert unshown(shipped) == []
    made = listfile.read(listfile.write({name: shipped}), {})  # into nothing: the table alone has to say it all
    assert made.faults == []
    assert {**made.plans[name], **{key: shipped[key] for key in FROM_ELSEWHERE if key in shipped}} == shipped


@pytest.mark.parametrize("name", LISTS)
def test_export_import_export_is_the_same_file(name: str) -> None:
    first = listfile.write({name: plan(name)})
    held = {name: plan(name)}
    assert listfile.write(listfile.read(first, held).plans) == first
    assert listfile.read(first, held).plans[name] == plan(name)


def test_a_spreadsheets_semicolons_and_byte_order_mark_are_read() -> None:
    rows = list(csv.reader(io.StringIO(table(), newline="")))
    out = io.StringIO()
    csv.writer(out, delimiter=";").writerows(rows)
    assert read("\ufeff" + out.getvalue()) == plan()


def test_a_number_changed_in_its_column_changes_every_way() -> None:
    made = action(read(table(("mammography-report", "recency days", "90"))), "mammography-report")
    assert [way["dateFilter"][0]["valueDuration"]["value"] for way in made["input"]] == [90, 90]
    assert "dateFilter" not in action(read(table(("mammography-report", "recency days", ""))), "mammography-report")["input"][0]


def test_a_code_added_to_an_item_is_looked_for_in_every_way_that_takes_its_codes() -> None:
    codes = "\n".join(write_coding(concept["coding"][0]) for concept in action(plan(), "mammography-report")["code"])
    made = action(read(table(("mammography-report", "codes", f"{codes}\nLOINC#38070-9 MG Breast - left Views"))), "mammography-report")
    assert all(way["codeFilter"][0]["code"][-1]["code"] == "38070-9" for way in made["input"])


def test_a_way_may_differ_from_its_item() -> None:
    line = "Observation; code = LOINC#2857-1; status = final; within 30 days; at least 3; counts when value.exists()"
    made = action(read(table(("er", "ways", f"DiagnosticReport; code = codes\n{line}"))), "er")
    observation = made["input"][1]
    assert [one["path"] for one in observation["codeFilter"]] == ["code", "status"]
    assert (observation["dateFilter"][0]["valueDuration"]["value"], observation["limit"]) == (30, 3)
    assert observation["extension"][0]["valueExpression"]["expression"] == "value.exists()"


def test_a_row_taken_out_is_a_record_no_longer_asked_for_and_a_row_added_is_asked_for() -> None:
    rows = table().split("\r\nbreast,mammography-report")
    assert "mammography-report" not in {
        one["id"] for one in read(rows[0] + "\r\nbreast,mammography-images" + rows[1].partition("\r\nbreast,mammography-images")[2])["action"]
    }
    added = "breast,clip-report,,Clip placement,report,must,LOINC#11529-5,DiagnosticReport; code = codes\r\n"
    assert action(read(table() + added), "clip-report")["input"][0]["type"] == "DiagnosticReport"


def test_what_the_table_has_no_column_for_stays() -> None:
    held = plan()
    held["action"][0] |= {
        "textEquivalent": "Ask for the originals",
        "documentation": [*held["action"][0]["documentation"], {"type": "citation", "citation": "A second"}],
    }
    held["action"][0]["input"][0]["mustSupport"] = ["code"]
    assert unshown(held) == [("mammography-report", "documentation"), ("mammography-report", "input"), ("mammography-report", "textEquivalent")]
    assert read(table(held=held), held) == held
    changed = action(read(table(("mammography-report", "title", "Mammography"), held=held), held), "mammography-report")
    assert {**changed, "title": held["action"][0]["title"]} == held["action"][0]


def test_a_column_left_out_says_nothing() -> None:
    assert read(table(without="citation")) == plan()


def test_a_new_list_is_made_of_a_table_alone() -> None:
    text = "group,id,version,title,kind,required,codes,ways,derives from\n" + "kidney,,1,Kidney,list,,ICD10CM#C64,,base\n"
    made = listfile.read(text + "kidney,ct,,CT report,report,must,LOINC#24628-0,DiagnosticReport; code = codes,\n", {})
    assert made.faults == []
    kidney = made.plans["kidney"]
    assert (kidney["url"], kidney["name"]) == ("urn:second-opinion-gateway:PlanDefinition:kidney", "KidneySecondOpinionRecords")
    assert kidney["useContext"][0]["valueCodeableConcept"]["coding"][0]["code"] == "C64"
    assert [one["id"] for one in kidney["action"]] == ["ct"]


@pytest.mark.parametrize(
    ("item", "column", "text", "words"),
    [
        ("", "version", "", "is empty"),
        ("", "codes", "C50, C51", "is no code"),
        ("", "lead time", "a week", "no whole number"),
        ("er", "id", "pr", "already"),
        ("er", "kind", "list", "only the row of the list itself"),
        ("er", "kind", "paper", "none of document"),
        ("er", "required", "maybe", "none of must"),
        ("er", "codes", "ER", None),
        ("er", "codes", "LOIN#1-2", "no code system"),
        ("er", "ways", "observation; code = codes", "no resource type"),
        ("er", "ways", "Observation; codes", "is not understood"),
        ("er", "ways", "Observation; code = codes\n[a] Part", "not both"),
        ("er", "accept status", "final", "is not understood"),
        ("er", "recency days", "-3", "no whole number"),
        ("er", "condition", "true", "needs its FHIRPath"),
        ("er", "sensitive", "perhaps", "none of yes, no"),
        ("er", "title", " ", "is empty"),
        ("er", "group", "breast cancer", "names no list"),
    ],
)
def test_a_cell_that_cant_be_read_is_named_by_line_and_column(item: str, column: str, text: str, words: str | None) -> None:
    changed = table((item, column, text))
    made = listfile.read(changed, {"breast": plan()})
    if words is None:  # a code of no system is a code
        assert made.faults == []
        return
    (fault,) = made.faults
    assert (fault.column, words in fault.text) == ("question id" if column == "condition" else column, True), fault
    row = "breast,pr," if column == "id" else "breast cancer,er," if column == "group" else f"breast,{item},"
    before = changed.rpartition(row)[0] if column == "id" else changed.partition(row)[0]
    assert fault.line == before.count("\n") + 1


def test_a_header_that_is_not_ours_is_named() -> None:
    faults = listfile.read("group,id,titel,title,title\n", {}).faults
    assert [str(fault) for fault in faults] == [
        "line 1, column titel: is no column; is title meant?",
        "line 1, column title: is there twice",
        "line 1, column title: is there twice",
    ]
    assert listfile.read("", {}).faults
    assert [fault.line for fault in listfile.read('group,id\nbreast,"unclosed\n', {}).faults] == [2]


def test_a_comma_outside_quotes_is_noticed() -> None:
    (fault,) = listfile.read("group,id,title,version\nbreast,,Records, all of them,1\n", {"breast": plan()}).faults
    assert (fault.line, "outside quotes" in fault.text) == (2, True)


@given(st.text(max_size=400))
def test_any_file_makes_plans_or_located_faults(text: str) -> None:
    made = listfile.read(f"group,id,version,title,kind,ways,codes\n{text}", {"breast": plan()})
    assert all(fault.line >= 1 and fault.column for fault in made.faults)


CODES = st.fixed_dictionaries(
    {"code": st.from_regex(r"[A-Za-z0-9.\-]{1,12}", fullmatch=True)},
    optional={
        "system": st.sampled_from(["http://loinc.org", "http://terminology.hl7.org/CodeSystem/v2-0074", "urn:oid:1.2.3", "https://x.example/cs"]),
        "display": st.from_regex(r"[A-Za-z0-9/&.+\-]{1,8}( [A-Za-z0-9/&.+\-]{1,8}){0,3}", fullmatch=True),
    },
)


@given(CODES)
def test_a_code_is_read_as_it_was_written(coding: Json) -> None:
    assert read_coding(write_coding(coding)) == coding


@given(st.lists(CODES, max_size=3), st.lists(CODES, min_size=1, max_size=4), st.none() | st.integers(1, 999), st.none() | st.integers(2, 9))
def test_a_way_is_read_as_it_was_written(own: list[Json], codes: list[Json], days: int | None, count: int | None) -> None:
    common = ways.Shared(tuple(own), 30, None, {"Observation.status": ("final",)})
    line = "Observation; code = " + ", ".join(map(write_coding, codes)) + (f"; within {days} days" if days else "; of any age")
    made = ways.read_ways(line + (f"; at least {count}" if count else ""), common)
    assert ways.read_ways(ways.write_ways(made, common), common) == made


@given(st.text(max_size=120))
def test_any_line_is_a_way_or_refused(text: str) -> None:
    try:
        made = ways.read_ways(text, ways.Shared())
    except NotationError as fault:
        assert str(fault)
    else:
        assert made.keys() <= {"input", "action"}
