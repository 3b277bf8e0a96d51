"""How an answer looks: laid out for people, a summary, some elements; and the whole where nothing was said."""

from __future__ import annotations

import pytest

from fhir_gateway.validation import decode, validate
from tests.rest.conftest import Api, issues

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">Ines</div>'
PATIENT = {
    "resourceType": "Patient",
    "id": "looks",
    "text": {"status": "generated", "div": DIV},
    "name": [{"family": "Marlowe"}],
    "birthDate": "1971-03-14",
    "_birthDate": {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": "1971-03-14T05:00:00Z"}]},
    "maritalStatus": {"text": "Married"},
    "contact": [{"name": {"family": "Marlowe"}}],
}
OBSERVATION = {
    "resourceType": "Observation",
    "id": "looks",
    "status": "final",
    "code": {"text": "x"},
    "subject": {"reference": "Patient/looks"},
    "valueString": "y",
    "note": [{"text": "z"}],
}


@pytest.fixture(scope="module", autouse=True)
def held(api: Api) -> None:
    for resource in (PATIENT, OBSERVATION):
        assert api.put(f"/fhir/{resource['resourceType']}/looks", resource).status_code == 201


def elements(api: Api, query: str, type: str = "Patient") -> set[str]:
    """The elements of the resource, the same by read, by vread, by search and in a history."""
    read = decode(api.get(f"/fhir/{type}/looks?{query}").content)
    assert validate(read) == []
    assert read["meta"]["tag"][-1]["code"] == "SUBSETTED"
    assert decode(api.get(f"/fhir/{type}/looks/_history/1?{query}").content) == read
    for path in (f"/fhir/{type}?_id=looks&{query}", f"/fhir/{type}/looks/_history?{query}"):
        assert decode(api.get(path).content)["entry"][0]["resource"] == read
    return set(read) - {"resourceType", "id", "meta"}


def test_a_summary_has_what_the_standard_marks(api: Api) -> None:
    assert elements(api, "_summary=true") == {"name", "birthDate", "_birthDate"}
    assert elements(api, "_summary=true", "Observation") == {"status", "code", "subject", "valueString"}


def test_the_text_alone_or_the_data_alone(api: Api) -> None:
    assert elements(api, "_summary=text") == {"text"}
    assert elements(api, "_summary=text", "Observation") == {"status", "code"}
    assert elements(api, "_summary=data") == set(PATIENT) - {"resourceType", "id", "text"}


def test_elements_by_name_with_what_must_be_there(api: Api) -> None:
    assert elements(api, "_elements=name,birthDate") == {"name", "birthDate", "_birthDate"}
    assert elements(api, "_elements=Patient.name,Observation.note") == {"name"}
    assert elements(api, "_elements=value&_elements=note", "Observation") == {"status", "code", "valueString", "note"}
    assert elements(api, "_elements=nothing", "Observation") == {"status", "code"}


def test_the_whole_is_not_tagged(api: Api) -> None:
    for query in ("", "_summary=false", "_pretty=false"):
        assert "tag" not in decode(api.get(f"/fhir/Patient/looks?{query}").content)["meta"]


def test_pretty_is_the_same_in_lines(api: Api) -> None:
    for path in ("/fhir/Patient/looks", "/fhir/Patient?_id=looks", "/fhir/metadata", "/fhir/Patient/looks/_history"):
        plain = api.get(path)
        pretty = api.get(f"{path}{'&' if '?' in path else '?'}_pretty=true")
        assert "\n  " in pretty.text and "\n" not in plain.text
        assert int(pretty.headers["content-length"]) == len(pretty.content)
        assert decode(pretty.content).keys() == decode(plain.content).keys()
    raw = b'{"resourceType":"Observation","id":"pretty","status":"final","code":{"text":"x"},"valueQuantity":{"value":0.400}}'
    api.put("/fhir/Observation/pretty", raw)
    assert '"value": 0.400' in api.get("/fhir/Observation/pretty?_pretty=true").text


def test_what_no_looks_have_is_refused(api: Api) -> None:
    for path in ("/fhir/Patient/looks", "/fhir/Patient", "/fhir/Patient/_history"):
        response = api.get(f"{path}?_summary=most")
        assert response.status_code == 400 and issues(response), path


def test_a_write_answers_in_the_looks_asked_for(api: Api) -> None:
    response = api.put("/fhir/Patient/looks?_elements=name", PATIENT | {"active": True})
    assert response.status_code == 200 and set(decode(response.content)) == {"resourceType", "id", "meta", "name"}
    assert decode(api.get("/fhir/Patient/looks").content)["active"] is True


def test_a_refusal_is_laid_out_too(api: Api) -> None:
    plain, laid_out = api.get("/fhir/Patient?nickname=x"), api.get("/fhir/Patient?nickname=x&_pretty=true")
    assert (plain.status_code, laid_out.status_code) == (400, 400)
    assert b"\n  " in laid_out.content and b"\n" not in plain.content
    assert decode(laid_out.content) == decode(plain.content)
