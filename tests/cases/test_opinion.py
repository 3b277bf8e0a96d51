"""An opinion as given: what it must hold, what each fault is called and where it is, and that both forms are the same."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_gateway.cases import outcome
from fhir_gateway.cases.opinion import ELEMENTS, FINAL, MODES, VERDICTS, Opinion, OpinionError, is_opinion, read
from fhir_gateway.cases.opinionform import expression, flat_form
from fhir_gateway.pages.opinion import note_page, summary_page
from fhir_gateway.validation import validate
from tests.cases.story import ICD10CM, REFERRAL
from tests.cases.test_terms import codes

NOW = datetime(2026, 9, 29, 12, 0, tzinfo=UTC)
CODING = {"system": ICD10CM, "code": "C50.412", "display": "Upper-outer quadrant of left breast"}
GIVEN: dict[str, Any] = {
    "diagnosis": {"verdict": "changed", "code": CODING, "text": "left, not right"},
    "pathology": {"verdict": "major-discordance", "text": "lobular"},
    "stage": {"verdict": "changed", "text": "IIB"},
    "options": [{"text": "Surgery first", "preference": 2}, {"text": "Neoadjuvant <therapy>", "preference": 1}, {"code": CODING}],
    "trials": ["NCT01234567", "a registry study"],
    "mode": "records-only",
    "summary": "I would start with & treat <systemically>.\nThen operate.",
    "patientSummary": "There is time to decide.",
    "author": {"reference": "Practitioner/lind", "display": "Dr Maja Lindqvist"},
    "signed": "2026-09-28T15:00:00-05:00",
}
PAGE: dict[str, Any] = {"clinic": "The Clinic", "patient": "Ines Marlowe", "referral": "REF-1", "zone": UTC}


def faults(given: Any, interim: bool = False) -> list[tuple[str, str]]:
    with pytest.raises(OpinionError) as refused:
        read(given, interim=interim, now=NOW)
    return [(fault.where, fault.code) for fault in refused.value.faults]


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in GIVEN.items() if name not in names}


def opinion(**changes: Any) -> Opinion:
    return read(GIVEN | changes, interim=False, now=NOW)


def test_a_whole_opinion_is_read() -> None:
    found = opinion()
    assert found.diagnosis is not None and found.diagnosis.code == CODING
    assert [option.preference for option in found.options] == [2, 1, None]
    assert found.signed == datetime(2026, 9, 28, 20, 0, tzinfo=UTC)


def test_every_word_of_an_opinion_has_its_code() -> None:
    words = {word for verdicts in VERDICTS.values() for word in verdicts} | set(MODES)
    assert words < codes("opinion")
    typed = {o["type"]["coding"][0]["code"] for o in outcome.outputs(opinion())}
    assert typed < codes("opinion")
    assert set(outcome.DOCUMENTS) < codes("opinion")


def test_a_final_opinion_lacks_nothing_and_an_interim_one_little() -> None:
    assert faults({}) == [(name, "required") for name in FINAL]
    assert faults({}, interim=True) == [(name, "required") for name in ("summary", "author", "signed")]
    assert read(without("diagnosis", "pathology", "stage", "mode", "options"), interim=True, now=NOW).interim


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"diagnosis": {"verdict": "maybe"}}, ("diagnosis.verdict", "code-invalid")),
        ({"diagnosis": {"text": "?"}}, ("diagnosis.verdict", "required")),
        ({"diagnosis": "confirmed"}, ("diagnosis", "structure")),
        ({"diagnosis": {"verdict": "changed"}}, ("diagnosis.code", "required")),
        ({"diagnosis": {"verdict": "changed", "text": "another"}}, ("diagnosis.code", "required")),
        ({"diagnosis": {"verdict": "confirmed", "code": CODING}}, ("diagnosis.code", "business-rule")),
        ({"diagnosis": {"verdict": "changed", "code": {"code": "C50"}}}, ("diagnosis.code.system", "required")),
        ({"pathology": {"verdict": "confirmed"}}, ("pathology.verdict", "code-invalid")),
        ({"pathology": {"verdict": "concordant", "code": CODING}}, ("pathology.code", "structure")),
        ({"stage": {"verdict": "changed"}}, ("stage.code", "required")),
        ({"options": {"text": "x"}}, ("options", "structure")),
        ({"options": [{"text": "x"}, {}]}, ("options[1].text", "required")),
        ({"options": [{"text": "x", "preference": 0}]}, ("options[0].preference", "value")),
        ({"trials": ["NCT01234567", 7]}, ("trials[1]", "value")),
        ({"mode": "by telephone"}, ("mode", "code-invalid")),
        ({"summary": "  "}, ("summary", "value")),
        ({"summary": "a\x07b"}, ("summary", "value")),
        ({"author": {}}, ("author", "required")),
        ({"author": {"reference": "Patient/ines"}}, ("author.reference", "value")),
        ({"author": {"reference": "Practitioner/../x"}}, ("author.reference", "value")),
        ({"signed": "2026-09-28"}, ("signed", "value")),
        ({"signed": "2026-09-28T15:00:00"}, ("signed", "value")),
        ({"signed": "2026-10-28T15:00:00-05:00"}, ("signed", "business-rule")),
        ({"sumary": "misspelt"}, ("sumary", "structure")),
    ],
)
def test_every_fault_is_found_where_it_is(change: dict[str, Any], fault: tuple[str, str]) -> None:
    assert faults(GIVEN | change) == [fault]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from([*ELEMENTS, "verdict", "code", "text", "preference", "system", "reference"]), inner), max_leaves=12))  # fmt: skip
def test_whatever_is_given_is_an_opinion_or_has_faults(given: Any) -> None:
    try:
        read(given, interim=True, now=NOW)
    except OpinionError as refused:
        assert refused.faults


def parameters() -> dict[str, Any]:
    """The same opinion as Parameters."""
    kinds = {"verdict": "valueCode", "code": "valueCoding", "text": "valueString", "preference": "valuePositiveInt"}

    def parts(value: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"name": name, kinds[name]: inner} for name, inner in value.items()]

    return {
        "resourceType": "Parameters",
        "parameter": [
            *({"name": name, "part": parts(GIVEN[name])} for name in ("diagnosis", "pathology", "stage")),
            *({"name": "option", "part": parts(option)} for option in GIVEN["options"]),
            *({"name": "trial", "valueString": trial} for trial in GIVEN["trials"]),
            {"name": "mode", "valueCode": GIVEN["mode"]},
            {"name": "summary", "valueString": GIVEN["summary"]},
            {"name": "patientSummary", "valueString": GIVEN["patientSummary"]},
            {"name": "author", "valueReference": GIVEN["author"]},
            {"name": "signed", "valueDateTime": GIVEN["signed"]},
        ],
    }


def test_parameters_say_the_same_as_the_flat_form() -> None:
    assert validate(parameters()) == []
    flat, interim, _ = flat_form(parameters())
    assert (flat, interim) == (GIVEN, False)
    assert flat_form({"resourceType": "Parameters", "parameter": [{"name": "interim", "valueBoolean": True}]})[:2] == ({}, True)


def test_a_place_in_the_flat_form_has_its_fhirpath() -> None:
    _, _, places = flat_form(parameters())
    assert expression("diagnosis.verdict", places) == "Parameters.parameter[0].part[0].valueCode"
    assert expression("diagnosis.code.system", places) == "Parameters.parameter[0].part[1].valueCoding.system"
    assert expression("options[1].preference", places) == "Parameters.parameter[4].part[1].valuePositiveInt"
    assert expression("stage.code", places) == "Parameters.parameter[2]"
    assert expression("trials[1]", places) == "Parameters.parameter[7].valueString"
    assert expression("nothing.of.it", places) == "Parameters.parameter"


@pytest.mark.parametrize("inner", [False, True])
def test_an_element_given_twice_is_a_fault_at_the_second(inner: bool) -> None:
    mode = {"name": "mode", "valueCode": "in-person"}
    twice = [mode, mode] if not inner else [{"name": "stage", "part": [{"name": "text", "valueString": "I"}] * 2}]
    with pytest.raises(OpinionError) as refused:
        flat_form({"resourceType": "Parameters", "parameter": twice})
    assert refused.value.faults[0].where == ("Parameters.parameter[0].part[1]" if inner else "Parameters.parameter[1]")


def test_the_elements_are_outputs_of_a_task() -> None:
    task = {"resourceType": "Task", "status": "completed", "intent": "order", "output": outcome.outputs(opinion())}
    assert validate(task) == []
    assert outcome.of(task, "diagnosis") == {
        "type": {"coding": [{"system": "urn:second-opinion-gateway:CodeSystem:opinion", "code": "diagnosis"}]},
        "valueCodeableConcept": {
            "coding": [{"system": "urn:second-opinion-gateway:CodeSystem:opinion", "code": "changed"}],
            "text": "left, not right",
        },
    }
    said = outcome.of(task, "new-diagnosis")
    assert said is not None and said["valueCodeableConcept"]["coding"] == [CODING]
    trials = [o for o in task["output"] if o["type"]["coding"][0]["code"] == "trial"]
    assert [trial.get("valueIdentifier", {}).get("value") or trial["valueString"] for trial in trials] == GIVEN["trials"]


def test_a_document_is_legal_and_its_hash_is_of_its_bytes() -> None:
    made = outcome.document("note", opinion(), "<!DOCTYPE html>ü", id="note-1", referral=REFERRAL, clinic="C", now=NOW, replaces="note-0")
    assert validate(made) == []
    attachment = made["content"][0]["attachment"]
    data = base64.b64decode(attachment["data"])
    assert (attachment["size"], attachment["hash"]) == (len(data), base64.b64encode(hashlib.sha1(data).digest()).decode())
    assert made["authenticator"] == made["author"][0]
    assert made["relatesTo"][0]["target"]["reference"] == "DocumentReference/note-0"
    assert is_opinion(made) and not is_opinion(REFERRAL)
    interim = read(GIVEN, interim=True, now=NOW)
    early = outcome.document("note", interim, "x", id="note-2", referral=REFERRAL, clinic="C", now=NOW)
    assert (early["docStatus"], "authenticator" in early, "relatesTo" in early) == ("preliminary", False, False)


def test_the_note_says_everything_escaped_and_options_by_preference() -> None:
    page = note_page(opinion(), **PAGE)
    for said in (
        "Diagnosis changed",
        "Upper-outer quadrant of left breast (C50.412)",
        "major discordance",
        "IIB",
        "NCT01234567",
        "Dr Maja Lindqvist",
    ):
        assert said in page
    assert "treat &lt;systemically&gt;" in page and "<systemically>" not in page
    assert page.index("Neoadjuvant &lt;therapy&gt;") < page.index("Surgery first")


def test_the_patient_reads_plain_words_and_not_the_note() -> None:
    page = summary_page(opinion(), **PAGE)
    assert "There is time to decide." in page and "different one" in page and "Surgery first" in page
    for kept in ("systemically", "discordance", "C50.412 ", "left, not right", "lobular"):
        assert kept not in page
