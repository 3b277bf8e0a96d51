"""What a validator must refuse, each with the place where it stands (FHIR.md, "What a validator must refuse")."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_gateway.validation import InvalidResourceError, decode, encode, validate

PATIENT: dict[str, Any] = {"resourceType": "Patient", "name": [{"family": "Marlowe", "given": ["Ines"]}], "birthDate": "1971-03-14"}
REQUEST: dict[str, Any] = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": {"reference": "Patient/1"}}
OBSERVATION: dict[str, Any] = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}


@pytest.mark.parametrize("resource", [PATIENT, REQUEST, OBSERVATION, {**PATIENT, "birthDate": "1971"}, {**PATIENT, "birthDate": "1971-03"}])
def test_legal_resources_have_no_faults(resource: dict[str, Any]) -> None:
    assert validate(resource) == []


REFUSED = {
    "unknown resourceType": ({"resourceType": "Patent"}, "resourceType", "not-supported"),
    "missing resourceType": ({"id": "1"}, "resourceType", "structure"),
    "unknown field": ({**PATIENT, "nickname": "x"}, "Patient.nickname", "structure"),
    "boolean as text": ({**PATIENT, "active": "true"}, "Patient.active", "structure"),
    "decimal as text": ({**OBSERVATION, "valueQuantity": {"value": "5"}}, "Observation.valueQuantity.value", "structure"),
    "null": ({**PATIENT, "gender": None}, "Patient.gender", "structure"),
    "empty text": ({**PATIENT, "name": [{"family": ""}]}, "Patient.name[0].family", "value"),
    "empty array": ({**PATIENT, "telecom": []}, "Patient.telecom", "structure"),
    "empty object": ({**PATIENT, "maritalStatus": {}}, "Patient.maritalStatus", "structure"),
    "array for a single": ({**PATIENT, "gender": ["female"]}, "Patient.gender", "structure"),
    "single for an array": ({**PATIENT, "name": {"family": "x"}}, "Patient.name", "structure"),
    "bad id characters": ({**PATIENT, "id": "a_b"}, "Patient.id", "value"),
    "long id": ({**PATIENT, "id": "x" * 65}, "Patient.id", "value"),
    "month 13": ({**PATIENT, "birthDate": "1971-13-01"}, "Patient.birthDate", "value"),
    "no such day": ({**PATIENT, "birthDate": "1971-02-30"}, "Patient.birthDate", "value"),
    "time without zone": ({**OBSERVATION, "effectiveDateTime": "2026-03-01T10:00:00"}, "Observation.effectiveDateTime", "value"),
    "time without seconds": ({**OBSERVATION, "effectiveDateTime": "2026-03-01T10:00Z"}, "Observation.effectiveDateTime", "value"),
    "date as instant": ({**OBSERVATION, "issued": "2026-03-01"}, "Observation.issued", "value"),
    "two value[x]": ({**OBSERVATION, "valueString": "a", "valueInteger": 1}, "Observation.valueInteger", "structure"),
    "missing required": ({"resourceType": "ServiceRequest", "status": "active", "intent": "order"}, "ServiceRequest.subject", "required"),
    "status binding": ({**REQUEST, "status": "bogus"}, "ServiceRequest.status", "code-invalid"),
    "intent binding": ({**REQUEST, "intent": "wish"}, "ServiceRequest.intent", "code-invalid"),
    "priority binding": ({**REQUEST, "priority": "soon"}, "ServiceRequest.priority", "code-invalid"),
    "gender binding": ({**PATIENT, "gender": "F"}, "Patient.gender", "code-invalid"),
    "purpose binding": (
        {
            "resourceType": "CoverageEligibilityRequest",
            "status": "active",
            "purpose": ["curiosity"],
            "patient": {"reference": "Patient/1"},
            "created": "2026-03-01",
            "insurer": {"reference": "Organization/1"},
        },
        "CoverageEligibilityRequest.purpose[0]",
        "code-invalid",
    ),
    "prr-1": ({**REQUEST, "orderDetail": [{"text": "x"}]}, "ServiceRequest.code", "invariant"),
    "identifier use binding": ({**PATIENT, "identifier": [{"use": "mine", "value": "1"}]}, "Patient.identifier[0].use", "code-invalid"),
    "task status binding": ({"resourceType": "Task", "status": "open", "intent": "order"}, "Task.status", "code-invalid"),
    "report status binding": (
        {"resourceType": "DiagnosticReport", "status": "done", "code": {"text": "x"}},
        "DiagnosticReport.status",
        "code-invalid",
    ),
    "reference to a wrong type": ({**REQUEST, "subject": {"reference": "Practitioner/1"}}, "ServiceRequest.subject.reference", "value"),
    "absolute reference to a wrong type": (
        {**REQUEST, "subject": {"reference": "https://ehr.example/fhir/Coverage/1"}},
        "ServiceRequest.subject.reference",
        "value",
    ),
    "unresolved contained": ({**REQUEST, "requester": {"reference": "#doc"}}, "ServiceRequest", "not-found"),
    "contained not referenced": ({**REQUEST, "contained": [{**PATIENT, "id": "p"}]}, "ServiceRequest.contained[0]", "invariant"),
    "fault inside contained": (
        {**REQUEST, "subject": {"reference": "#p"}, "contained": [{"resourceType": "Patient", "id": "p", "gender": "F"}]},
        "ServiceRequest.contained[0].gender",
        "code-invalid",
    ),
    "per-1": (
        {**PATIENT, "identifier": [{"value": "1", "period": {"start": "2026-02-01", "end": "2026-01-01"}}]},
        "Patient.identifier[0].period",
        "invariant",
    ),
    "obs-6": ({**OBSERVATION, "valueString": "x", "dataAbsentReason": {"text": "y"}}, "Observation.dataAbsentReason", "invariant"),
    "pat-1": ({**PATIENT, "contact": [{"gender": "female"}]}, "Patient.contact[0]", "invariant"),
    "qty-3": ({**OBSERVATION, "valueQuantity": {"value": 5, "code": "mg"}}, "Observation.valueQuantity.system", "invariant"),
    "extension with both": (
        {**PATIENT, "extension": [{"url": "urn:x:y", "valueString": "a", "extension": [{"url": "b", "valueString": "c"}]}]},
        "Patient.extension[0]",
        "invariant",
    ),
    "extension with neither": ({**PATIENT, "extension": [{"url": "urn:x:y"}]}, "Patient.extension[0]", "invariant"),
    "extension without url": ({**PATIENT, "extension": [{"valueString": "a"}]}, "Patient.extension[0].url", "required"),
    "script in the narrative": (
        {**PATIENT, "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>'}},
        "Patient.text.div",
        "invariant",
    ),
    "relative identifier.system": ({**PATIENT, "identifier": [{"system": "hospital", "value": "1"}]}, "Patient.identifier[0].system", "value"),
    "bdl-3": ({"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": PATIENT}]}, "Bundle.entry[0].request", "required"),
    "bdl-7": (
        {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"fullUrl": "urn:uuid:1", "resource": PATIENT}, {"fullUrl": "urn:uuid:1", "resource": PATIENT}],
        },
        "Bundle.entry[1].fullUrl",
        "duplicate",
    ),
    "fault inside an entry": (
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {**REQUEST, "status": "bogus"}}]},
        "Bundle.entry[0].resource.status",
        "code-invalid",
    ),
    "unknown type inside an entry": (
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {"resourceType": "Nothing"}}]},
        "Bundle.entry[0].resource.resourceType",
        "not-supported",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_fault_is_found_where_it_stands(name: str) -> None:
    resource, expression, code = REFUSED[name]
    found = [(issue.expression, issue.code) for issue in validate(resource)]
    assert (expression, code) in found, found


def test_every_fault_is_reported_not_only_the_first() -> None:
    issues = validate({**PATIENT, "gender": "F", "birthDate": "yesterday", "nickname": "x"})
    assert {i.expression for i in issues} == {"Patient.gender", "Patient.birthDate", "Patient.nickname"}


def test_a_primitive_extension_stands_in_for_a_value() -> None:
    absent = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
    assert validate({"resourceType": "Patient", "_birthDate": absent}) == []
    assert validate({"resourceType": "Patient", "name": [{"given": ["Ines", None], "_given": [None, absent]}]}) == []


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b'{"a":1,"a":2}', "twice"),
        (b"{", "line 1"),
        (b"[]", "object"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":"\xff"}', "UTF-8"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested"),
        (b"[" * 100_000, "nested"),
        (b"", "Not JSON"),
    ],
)
def test_what_is_not_one_clean_json_object_is_refused_in_words(raw: bytes, word: str) -> None:
    with pytest.raises(InvalidResourceError, match=word):
        decode(raw)


def test_a_byte_order_mark_is_tolerated_and_decimals_keep_their_digits() -> None:
    raw = b'{"resourceType":"Observation","valueQuantity":{"value":0.40},"x":1.000000000000000000001}'
    assert encode(decode(b"\xef\xbb\xbf" + raw)) == raw


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "code", "extension", "url", "contained", "status", "reference", "_name"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["name", "identifier", "contact", "contained", "extension", "birthDate", "text", "_birthDate", "entry"]),
        json_values,
        max_size=6,
    ),
    st.sampled_from(["Patient", "Bundle", "Observation"]),
)
def test_no_json_whatever_breaks_the_validator(body: dict[str, Any], kind: str) -> None:
    issues = validate({"resourceType": kind, **body})
    assert all(issue.text for issue in issues)


def test_a_reference_inside_an_entry_is_the_entrys_own_matter() -> None:
    inner = {**REQUEST, "requester": {"reference": "#doc"}, "contained": [{"resourceType": "Practitioner", "id": "doc"}]}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": inner}]}
    assert validate(bundle) == []
    broken = {**bundle, "entry": [{"resource": {**inner, "contained": [{"resourceType": "Practitioner", "id": "other"}]}}]}
    assert {(i.expression, i.code) for i in validate(broken)} == {
        ("Bundle.entry[0].resource", "not-found"),
        ("Bundle.entry[0].resource.contained[0]", "invariant"),
    }


@pytest.mark.parametrize(
    "name", ["Resource", "DomainResource", "SubscriptionTopic", "Citation", "TaskInput", "Period", "patient", "Patient.name", ""]
)
def test_what_is_no_resource_type_of_r4_is_not_known(name: str) -> None:
    (issue,) = validate({"resourceType": name})
    assert issue.expression == "resourceType"


@pytest.mark.parametrize(
    "raw", [rb'{"a":"\ud800"}', rb'{"\udc00":1}', b'{"a":' + b"1" * 5000 + b"}", b'{"a":1e99999999999999999999}', b"[" * 500 + b"]" * 500]
)
def test_what_could_not_be_written_again_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidResourceError):
        decode(raw)


def test_brackets_in_text_do_not_count_as_nesting() -> None:
    raw = b'{"a":"' + b"[{" * 200 + rb"\"[" + b'","b":[' + b",".join([b'{"c":[]}'] * 100) + b"]}"
    assert encode(decode(raw)) == raw


def test_control_characters_are_refused_and_line_breaks_are_not() -> None:
    (issue,) = validate({**PATIENT, "name": [{"family": "Mar\x00lowe"}]})
    assert (issue.expression, issue.code) == ("Patient.name[0].family", "value")
    assert validate({**OBSERVATION, "note": [{"text": "one\r\n\ttwo"}]}) == []


def test_two_contained_resources_may_not_share_an_id() -> None:
    """R4 resource.html#id and references.html#contained: `#x` has to mean one of them."""
    inner = {"resourceType": "Practitioner", "id": "d"}
    order = {"resourceType": "ServiceRequest", "status": "draft", "intent": "order", "subject": {"display": "x"}, "requester": {"reference": "#d"}}
    assert validate({**order, "contained": [inner]}) == []
    faults = validate({**order, "contained": [inner, {**inner, "active": True}]})
    assert [(fault.code, fault.expression) for fault in faults] == [("duplicate", f"ServiceRequest.contained[{n}].id") for n in (0, 1)]
