"""The rest of FHIR search: chains both ways, includes, orders, what is missing, numbers, texts, types of identifiers, several types, compartments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_gateway.security.principal import Principal
from fhir_gateway.validation import decode, encode, validate
from tests.rest.conftest import BASE, HOST, Api, issues, running

LOINC = "http://loinc.org"
V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"


def observation(id: str, patient: str, value: Any = None, code: str = "718-7", **more: Any) -> dict[str, Any]:
    valued = (
        {"valueQuantity": {"value": value, "unit": "g per dl", "system": "http://unitsofmeasure.org", "code": "g/dL"}} if value is not None else {}
    )
    coding = {"system": LOINC, "code": code, "display": "Haemoglobin in Blood"}
    made = {"resourceType": "Observation", "id": id, "status": "final", "code": {"coding": [coding], "text": "Hb venous"}}
    return made | {"subject": {"reference": f"Patient/{patient}"}} | valued | more


def patient(id: str, family: str, number: str, **more: Any) -> dict[str, Any]:
    kind = {"coding": [{"system": V2_0203, "code": "MR"}]}
    return {
        "resourceType": "Patient",
        "id": id,
        "identifier": [{"system": "urn:x:mrn", "value": number, "type": kind}],
        "name": [{"family": family}],
        "managingOrganization": {"reference": "Organization/north"},
    } | more


HELD: list[dict[str, Any]] = [
    {"resourceType": "Organization", "id": "north", "name": "Northside"},
    patient("ada", "Ånders", "1", birthDate="1971-03-14", gender="female"),
    patient("bob", "Brown", "2", birthDate="1960-01-01", gender="male", meta={"tag": [{"system": "urn:x:tag", "code": "vip"}], "profile": ["urn:x:p"]}),
    {**patient("eve", "Ciro", "3"), "managingOrganization": None},
    observation("o1", "ada", 5.4, effectiveDateTime="2026-03-01"),
    observation("o2", "ada", 12, effectiveDateTime="2026-01-01", performer=[{"reference": "Organization/north"}]),
    observation("o3", "bob", 100, code="2345-7", effectiveDateTime="2026-02-01"),
    observation("o4", "eve", None, code="2345-7", valueString="much"),
    {
        "resourceType": "DiagnosticReport",
        "id": "r1",
        "status": "final",
        "code": {"text": "Blood count"},
        "subject": {"reference": "Patient/ada"},
        "result": [{"reference": "Observation/o1"}, {"reference": "Observation/o2"}],
    },
    {"resourceType": "RiskAssessment", "id": "k1", "status": "final", "subject": {"reference": "Patient/ada"}, "prediction": [{"probabilityDecimal": 0.25}]},
]  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def clinic(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    from tests.databases import postgresql_url

    def filled(url: str) -> Iterator[Api]:
        with running(url, page_size_max=500) as api:
            for resource in HELD:
                body = {name: value for name, value in resource.items() if value is not None}
                response = api.put(f"/fhir/{resource['resourceType']}/{resource['id']}", body)
                assert response.status_code == 201, response.text
            yield api

    if request.param == "sqlite":
        yield from filled(f"sqlite:///{tmp_path_factory.mktemp('search')}/search.db")
    else:
        with postgresql_url() as url:
            yield from filled(url)


def asked(api: Api, path: str) -> dict[str, Any]:
    response = api.get(f"/fhir/{path}")
    assert response.status_code == 200, response.text
    bundle = decode(response.content)
    assert validate(bundle) == []
    return bundle


def found(api: Api, path: str, mode: str = "match") -> list[str]:
    """Ids of what is found, page by page."""
    ids: list[str] = []
    address = f"/fhir/{path}"
    while address:
        bundle = decode(api.get(address).content)
        ids += [entry["resource"]["id"] for entry in bundle.get("entry", ()) if entry["search"]["mode"] == mode]
        address = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    return ids


ASKED: list[tuple[str, str]] = [
    # chains
    ("Observation?subject:Patient.family=anders", "o1 o2"),
    ("Observation?patient.identifier=urn:x:mrn|2", "o3"),
    ("Observation?subject:Patient.organization.name=north", "o1 o2 o3"),
    ("Observation?subject:Patient.organization:Organization.name:exact=Northside&code=718-7", "o1 o2"),
    ("Observation?patient._id=eve", "o4"),
    ("Observation?subject:Patient.gender=male&_sort=_id", "o3"),
    ("DiagnosticReport?result.value-quantity=gt10", "r1"),
    ("DiagnosticReport?result:Observation.subject:Patient.family=ciro", ""),
    # reverse chains
    ("Patient?_has:Observation:patient:code=2345-7", "bob eve"),
    ("Patient?_has:Observation:patient:value-quantity=lt6", "ada"),
    ("Patient?_has:Observation:patient:code=2345-7&gender=male", "bob"),
    ("Patient?_has:Observation:patient:_has:DiagnosticReport:result:status=final", "ada"),
    ("Organization?_has:Patient:organization:_has:Observation:patient:code=2345-7", "north"),
    ("Observation?subject:Patient._has:DiagnosticReport:patient:status=final", "o1 o2"),
    # missing
    ("Patient?gender:missing=true", "eve"),
    ("Patient?gender:missing=false", "ada bob"),
    ("Patient?organization:missing=true", "eve"),
    ("Observation?value-quantity:missing=true", "o4"),
    ("Observation?date:missing=true&code=2345-7", "o4"),
    # not, text, of-type
    ("Patient?gender:not=male", "ada eve"),
    ("Patient?gender:not=male,female", "eve"),
    ("Observation?code:not=718-7&patient=bob", "o3"),
    ("Observation?code:text=haemo", "o1 o2 o3 o4"),
    ("Observation?code:text=HB%20VEN&patient=ada", "o1 o2"),
    ("DiagnosticReport?code:text=blood", "r1"),
    ("DiagnosticReport?code:text=count", ""),
    (f"Patient?identifier:of-type={V2_0203}|MR|2", "bob"),
    (f"Patient?identifier:of-type={V2_0203}|SS|2", ""),
    # quantities and numbers, by their digits
    ("Observation?value-quantity=5.4", "o1"),
    ("Observation?value-quantity=5", "o1"),
    ("Observation?value-quantity=5.40", "o1"),
    ("Observation?value-quantity=5.41", ""),
    ("Observation?value-quantity=12|http://unitsofmeasure.org|g/dL", "o2"),
    ("Observation?value-quantity=12||g/dL", "o2"),
    ("Observation?value-quantity=12||g%20per%20dl", "o2"),
    ("Observation?value-quantity=12||mg", ""),
    ("Observation?value-quantity=gt12", "o3"),
    ("Observation?value-quantity=ge12", "o2 o3"),
    ("Observation?value-quantity=lt12", "o1"),
    ("Observation?value-quantity=le12", "o1 o2"),
    ("Observation?value-quantity=ne12", "o1 o3"),
    ("Observation?value-quantity=ap110", "o3"),
    ("Observation?value-quantity=1e2", "o3"),
    ("Observation?combo-value-quantity=sa99", "o3"),
    (f"Observation?code-value-quantity={LOINC}%7C718-7$gt10||g/dL", "o2"),
    # a union of parameters, each way it can be asked
    ("Observation?combo-value-quantity:missing=true", "o4"),
    ("Observation?combo-value-quantity:missing=false&combo-code:missing=false", "o1 o2 o3"),
    ("Observation?combo-code=2345-7", "o3 o4"),
    ("Observation?combo-code:not=2345-7", "o1 o2"),
    ("Patient?_has:Observation:patient:combo-code=2345-7", "bob eve"),
    ("DiagnosticReport?result.combo-value-quantity=12", "r1"),
    ("RiskAssessment?probability=0.25", "k1"),
    ("RiskAssessment?probability=gt0.3", ""),
    # of every type
    ("Patient?_tag=urn:x:tag|vip", "bob"),
    ("Patient?_profile=urn:x:p", "bob"),
    ("Patient?_tag:missing=true", "ada eve"),
    # FHIRPath where a getter will not do
    ("Patient?deceased=true", ""),
    ("Patient?deceased=false", "ada bob eve"),
]


@pytest.mark.parametrize(("path", "wanted"), ASKED, ids=[path for path, _ in ASKED])
def test_what_is_found(clinic: Api, path: str, wanted: str) -> None:
    assert sorted(found(clinic, path)) == wanted.split()
    assert asked(clinic, f"{path}&_summary=count")["total"] == len(wanted.split())
    assert sorted(found(clinic, f"{path}&_count=1")) == wanted.split(), "also one by one"


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("Patient?_sort=family", "ada bob eve"),
        ("Patient?_sort=-family", "eve bob ada"),
        ("Patient?_sort=birthdate", "bob ada eve"),
        ("Patient?_sort=-birthdate", "ada bob eve"),
        ("Patient?_sort=gender,-family", "ada bob eve"),
        ("Patient?_sort=organization,-birthdate", "ada bob eve"),
        ("Patient?_sort=-_id", "eve bob ada"),
        ("Observation?_sort=code,-date", "o3 o4 o1 o2"),
        ("Observation?_sort=combo-code,-combo-value-quantity", "o3 o4 o2 o1"),
        ("Observation?_sort=code,date", "o3 o4 o2 o1"),
        ("Observation?_sort=value-quantity", "o1 o2 o3 o4"),
        ("Observation?_sort=-value-quantity&patient=ada", "o2 o1"),
        ("Observation?_sort=patient,_lastUpdated", "o1 o2 o3 o4"),
    ],
)
def test_the_order_is_the_one_asked_for_on_whatever_pages(clinic: Api, path: str, wanted: str) -> None:
    for count in (1, 2, 50):
        assert found(clinic, f"{path}&_count={count}") == wanted.split(), count


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("DiagnosticReport?_include=DiagnosticReport:result", "o1 o2"),
        ("DiagnosticReport?_include=DiagnosticReport:patient", "ada"),
        ("DiagnosticReport?_include=DiagnosticReport:subject:Patient&_include:iterate=Patient:organization", "ada north"),
        ("DiagnosticReport?_include=*", "ada o1 o2"),
        ("DiagnosticReport?_include=DiagnosticReport:subject:Group", ""),
        ("DiagnosticReport?_include=DiagnosticReport:*", "ada o1 o2"),
        ("Patient?_id=ada&_revinclude=Observation:patient", "o1 o2"),
        ("Patient?_id=ada&_revinclude=Observation:patient&_revinclude:iterate=DiagnosticReport:result", "o1 o2 r1"),
        ("Patient?_id=ada,bob&_revinclude=Observation:subject&_include=Patient:organization", "north o1 o2 o3"),
        ("Observation?patient=ada&_include=Observation:performer&_include=Observation:subject", "ada north"),
    ],
)
def test_what_is_included(clinic: Api, path: str, wanted: str) -> None:
    assert sorted(found(clinic, path, "include")) == wanted.split()


def test_a_search_over_several_types(clinic: Api) -> None:
    assert sorted(found(clinic, "?_type=Patient,Organization")) == ["ada", "bob", "eve", "north"]
    for count in (1, 2, 3):
        assert found(clinic, f"?_type=Organization,Patient&_count={count}") == ["north", "ada", "bob", "eve"]
    assert found(clinic, "?_id=ada") == ["ada"]
    assert found(clinic, "?_tag=urn:x:tag|vip&_type=Patient,Observation") == ["bob"]
    assert asked(clinic, "?_type=Patient,Organization&_summary=count")["total"] == 4
    posted = clinic.ask("POST", "/fhir/_search", b"_type=Patient&_id=ada", content_type="application/x-www-form-urlencoded")
    assert [entry["resource"]["id"] for entry in decode(posted.content)["entry"]] == ["ada"]
    for query in ("_type=Patent", "_type=Patient,Observation&family=x", "_cursor=x", "_cursor=7.&_type=Patient"):
        assert clinic.get(f"/fhir?{query}").status_code == 400, query


def test_a_search_in_the_compartment_of_a_patient(clinic: Api) -> None:
    assert sorted(found(clinic, "Patient/ada/Observation")) == ["o1", "o2"]
    assert found(clinic, "Patient/ada/Observation?date=2026-03-01") == ["o1"]
    assert sorted(found(clinic, "Patient/ada/Observation?_count=1")) == ["o1", "o2"]
    bundle = asked(clinic, "Patient/ada/DiagnosticReport?_include=DiagnosticReport:result")
    assert bundle["link"][0]["url"] == f"{BASE}/Patient/ada/DiagnosticReport?_include=DiagnosticReport%3Aresult"
    posted = clinic.ask("POST", "/fhir/Patient/ada/Observation/_search", b"date=2026-01-01", content_type="application/x-www-form-urlencoded")
    assert [entry["resource"]["id"] for entry in decode(posted.content)["entry"]] == ["o2"]
    assert clinic.get("/fhir/Patient/ada/Organization").status_code == 400, "an organization is nobody's"
    assert (
        sorted(found(clinic, "Patient/ada/*?_type=Observation,DiagnosticReport,RiskAssessment"))
        == sorted(found(clinic, "Patient/ada/*?_count=1"))
        == ["k1", "o1", "o2", "r1"]
    )
    assert found(clinic, "Patient/nobody/*") == [] and clinic.get("/fhir/Patient/ada/*?_type=Organization").status_code == 400
    assert clinic.get("/fhir/Patient/ada/Patent").status_code == 404
    assert decode(clinic.get("/fhir/Patient/ada/_history").content)["type"] == "history"


@pytest.mark.parametrize(
    "query",
    [
        "Observation?subject.family=x&subject.nothing=y",
        "Observation?subject:Patient.nothing=x",
        "Observation?code.family=x",
        "Observation?subject:Patent.family=x",
        "Observation?subject:Patient._lastUpdated=2026",
        "Patient?_has:Observation:code:code=x",
        "Patient?_has:Observation:patient=x",
        "Patient?_has:Patent:patient:code=x",
        "Patient?_has:Observation:patient:nothing=x",
        "Patient?gender:missing=perhaps",
        "Patient?_id:missing=true",
        "Patient?_id:not=x",
        "Patient?identifier:of-type=MR|1",
        "Observation?value-quantity=much",
        "Observation?code-value-quantity=718-7",
        "Observation?code-value-quantity:not=718-7$5",
        "Observation?value-quantity=5|g",
        "Observation?value-quantity=1e999",
        "RiskAssessment?probability=NaN",
        "Patient?_include=Patient:name",
        "Patient?_include=Patient",
        "Patient?_revinclude=Observation:code",
        "Patient?_revinclude=*",
        "Patient?_include:most=Patient:organization",
        "Patient?_sort=colour",
        "Observation?" + "subject:Patient.link:Patient." * 5 + "family=x",
    ],
)
def test_what_means_nothing_is_refused(clinic: Api, query: str) -> None:
    response = clinic.get(f"/fhir/{query}")
    assert response.status_code == 400 and issues(response), response.text


def test_a_cursor_of_another_order_is_refused(clinic: Api) -> None:
    bundle = asked(clinic, "Patient?_sort=family&_count=1")
    cursor = next(link["url"] for link in bundle["link"] if link["relation"] == "next").partition("_cursor=")[2]
    for query in ("_sort=-family", "_sort=birthdate", "_sort=family,gender", "gender=male", "_sort=_id"):
        assert clinic.get(f"/fhir/Patient?{query}&_cursor={cursor}").status_code == 400, query


def test_nobody_finds_by_a_chain_what_is_not_theirs(database_url: str) -> None:
    north, south = Principal("referrer", "NORTH", "n"), Principal("referrer", "SOUTH", "s")
    with running(database_url) as api:
        gateway = api.gateway

        def ids(who: Principal, type: str, *pairs: tuple[str, str]) -> list[str]:
            bundle = decode(encode(gateway.fhir.search(who, type, list(pairs), BASE)))
            return sorted(entry["resource"]["id"] for entry in bundle.get("entry", ()))

        whole = {"resourceType": "Patient", "id": "p", "name": [{"family": "Secret"}], "identifier": [{"system": "urn:x", "value": "1"}]}
        gateway.fhir.update(north, "Patient", "p", encode(whole), None)
        gateway.fhir.update(
            south, "Observation", "o", encode(observation("o", "p") | {"subject": {"reference": f"{HOST}/elsewhere/Patient/p"}}), None
        )
        with gateway.store.transaction(south, gateway.clock()) as tx:  # as if it had been let point there
            tx.resources.update({**observation("o", "p")})
        clinic = Principal("clinic", name="c")
        assert ids(clinic, "Observation", ("subject:Patient.family", "secret")) == ["o"]
        assert ids(south, "Observation", ("subject:Patient.family", "secret")) == []
        assert ids(south, "Observation", ("subject:Patient.family", "secret"), ("status", "final")) == []
        assert ids(clinic, "Patient", ("_has:Observation:patient:status", "final")) == ["p"]
        assert ids(north, "Patient", ("_has:Observation:patient:status", "final")) == []
        assert ids(north, "Patient", ("_has:Observation:patient:status", "final"), ("family", "secret")) == []
        assert ids(south, "Observation", ("_include", "Observation:subject")) == ["o"]
        assert ids(clinic, "Observation", ("_include", "Observation:subject")) == ["o", "p"]
        assert ids(north, "Patient", ("_revinclude", "Observation:subject")) == ["p"]
