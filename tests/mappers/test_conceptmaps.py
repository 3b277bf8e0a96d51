"""The translation tables: legal ConceptMaps, cheap to look up, replaceable code by code."""

from __future__ import annotations

import json

import pytest

from fhir_gateway.validation import validate
from profiles.conceptmaps import FOLDER, Coding, load

FILES = sorted(FOLDER.glob("v2-*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_concept_map_is_legal_and_says_where_it_comes_from(path):
    document = json.loads(path.read_text(encoding="utf-8"))
    assert validate(document) == []
    assert document["url"].endswith(path.stem)
    assert document["description"]
    elements = [e for g in document["group"] for e in g["element"]]
    assert len({e["code"] for e in elements}) == len(elements)
    for element in elements:
        (only,) = element["target"]
        assert only["equivalence"] == "equivalent" or only.get("comment") or document["description"].startswith("HL7 v2-to-FHIR guide")


def test_codes_are_found_exactly_and_without_regard_to_case():
    tables = load()
    assert tables.translate("0001-administrative-gender", "F").code == "female"
    assert tables.translate("0278-appointment-status", "BOOKED").code == "booked"
    assert tables.translate("0001-administrative-gender", "?") is None
    with pytest.raises(KeyError):
        tables.translate("9999-nothing", "F")


def test_one_code_can_be_overridden_without_touching_the_shipped_tables():
    mine = load().overriding("0001-administrative-gender", {"X": Coding("http://hl7.org/fhir/administrative-gender", "other")})
    assert mine.translate("0001-administrative-gender", "X").code == "other"
    assert mine.translate("0001-administrative-gender", "F").code == "female"
    assert load().translate("0001-administrative-gender", "X") is None


def test_every_status_letter_of_the_result_tables_is_translated():
    tables = load()
    for letter in "ABCDFINOPRSUVWX":
        assert tables.translate("0085-observation-status", letter), letter
    for letter in "OISAPCRFXMNYZ":
        assert tables.translate("0123-report-status", letter), letter
