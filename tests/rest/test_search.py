"""Search at the edge: what a client can ask, page through, and mistype (R4 search.html)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from fhir_gateway.rest.common import LookedRoute
from fhir_gateway.store.errors import StepsSpentError
from fhir_gateway.validation import decode
from tests.rest.conftest import BASE, Api, issues, running

SYSTEM = "urn:oid:2.16.840.1.113883.19.5.1"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Seven patients in two families, and an order of one of them."""
    with running(f"sqlite:///{tmp_path_factory.mktemp('search')}/search.db", page_size_max=5) as api:
        for number in range(7):
            identifier = {"value": f"N{number}"} if number == 6 else {"system": SYSTEM, "value": f"N{number}"}
            family = "Müller" if number % 2 else "Marlowe"
            body = {"resourceType": "Patient", "id": f"p{number}", "identifier": [identifier], "name": [{"family": family}]}
            assert api.put(f"/fhir/Patient/p{number}", body).status_code == 201
        for status, code in (("active", "57133-1"), ("completed", "11529-5")):
            coding = {"coding": [{"system": "http://loinc.org", "code": code}]}
            api.made({"resourceType": "ServiceRequest", "status": status, "intent": "order", "code": coding, "subject": {"reference": "Patient/p1"}})
        yield api


def ids(api: Api, query: str) -> set[str]:
    return {resource["id"] for resource in api.found("Patient", query)}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (f"identifier={SYSTEM}|N1", {"p1"}),
        (f"identifier={SYSTEM}%7CN1", {"p1"}),
        ("identifier=N1", {"p1"}),
        ("identifier=|N6", {"p6"}),
        ("identifier=|N1", set()),
        (f"identifier={SYSTEM}|N1,{SYSTEM}|N2", {"p1", "p2"}),
        (f"identifier={SYSTEM}|N1&identifier={SYSTEM}|N2", set()),
        ("_id=p3", {"p3"}),
        ("_id=p3,p4,nobody", {"p3", "p4"}),
        ("family=muller&_count=3", {"p1", "p3", "p5"}),
        ("_lastUpdated=lt2000-01-01", set()),
        ("_lastUpdated=ge2000-01-01&_id=p0", {"p0"}),
    ],
)
def test_patients_are_found(clinic: Api, query: str, found: set[str]) -> None:
    assert ids(clinic, query) == found


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("patient=Patient/p1", 2),
        ("patient=p1", 2),
        ("subject=Patient/p1", 2),
        ("subject:Patient=p1", 2),
        ("subject=Patient/p2", 0),
        ("status=active", 1),
        ("status=active,completed", 2),
        ("code=57133-1", 1),
        ("code=http://loinc.org|57133-1", 1),
        ("code=http://loinc.org|", 2),
        ("code=http://snomed.info/sct|57133-1", 0),
        ("patient=p1&status=completed&code=11529-5", 1),
    ],
)
def test_orders_are_found(clinic: Api, query: str, number: int) -> None:
    assert len(clinic.found("ServiceRequest", query)) == number
    assert clinic.count("ServiceRequest", query) == number


def test_search_by_post_is_the_same_search(clinic: Api) -> None:
    form = f"identifier={quote(SYSTEM)}%7CN1".encode()
    posted = clinic.ask("POST", "/fhir/Patient/_search", form, content_type=FORM)
    assert [entry["resource"]["id"] for entry in decode(posted.content)["entry"]] == ["p1"]
    both = clinic.ask("POST", "/fhir/Patient/_search?identifier=N1", b"family=nobody", content_type=FORM)
    assert "entry" not in decode(both.content), "parameters of the address and of the form hold together"
    assert clinic.ask("POST", "/fhir/Patient/_search?_id=p1", b"", content_type=FORM).status_code == 200


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/fhir+json", 415),
        (b"\xff=1", FORM, 400),
        (b"_id=" + b"x" * 1_000_001, FORM, 413),
        (b"&".join([b"_id=1"] * 2000), FORM, 400),
    ],
)
def test_a_form_that_is_none_is_refused(clinic: Api, body: bytes, kind: str, status: int) -> None:
    response = clinic.ask("POST", "/fhir/Patient/_search", body, content_type=kind)
    assert response.status_code == status and issues(response)


def test_paging_by_next_reaches_everything_once_at_the_address_the_client_used(clinic: Api) -> None:
    clinic_address = "http://records.clinic.example:8443"
    address, seen = f"{clinic_address}/fhir/Patient?_count=2&_lastUpdated=ge2000-01-01", []
    while address:
        page = decode(clinic.get(address).content)
        seen += [entry["resource"]["id"] for entry in page["entry"]]
        links = {link["relation"]: link["url"] for link in page["link"]}
        assert all(url.startswith(f"{clinic_address}/fhir/Patient?") for url in links.values()), links
        assert all(entry["fullUrl"] == f"{clinic_address}/fhir/Patient/{entry['resource']['id']}" for entry in page["entry"])
        assert decode(clinic.get(links["self"]).content) == page, "self is the search that was done"
        address = links.get("next", "")
    assert sorted(seen) == [f"p{n}" for n in range(7)]


def test_a_page_address_made_for_another_search_is_refused(clinic: Api) -> None:
    first = decode(clinic.get("/fhir/Patient?_count=2&_sort=-_lastUpdated").content)
    cursor = parse_qs(urlsplit(next(link["url"] for link in first["link"] if link["relation"] == "next")).query)["_cursor"][0]
    for query in (f"_count=2&_cursor={cursor}", "_cursor=x", "_cursor="):
        response = clinic.get(f"/fhir/Patient?{query}")
        assert response.status_code == 400 and issues(response), query


def test_count_sets_the_page_and_the_settings_its_limit(clinic: Api) -> None:
    def length(query: str) -> int:
        return len(decode(clinic.get(f"/fhir/Patient?{query}").content).get("entry", ()))

    assert [length("_count=3"), length("_count=5"), length("_count=999"), length("")] == [3, 5, 5, 5]
    only_total = decode(clinic.get("/fhir/Patient?_count=0").content)
    assert (only_total["total"], "entry" in only_total) == (7, False)
    for bad in ("_count=x", "_count=-1", "_count=1.5"):
        assert clinic.get(f"/fhir/Patient?{bad}").status_code == 400, bad


def test_summary_count_and_totals(clinic: Api) -> None:
    bundle = decode(clinic.get("/fhir/Patient?_summary=count&family=Marlowe").content)
    assert (bundle["type"], bundle["total"], "entry" in bundle) == ("searchset", 4, False)
    assert decode(clinic.get("/fhir/Patient?_total=accurate&_count=1").content)["total"] == 7
    assert "total" not in decode(clinic.get("/fhir/Patient?_count=1").content)


@pytest.mark.parametrize(
    ("query", "suggestion"),
    [("identifer=N1", "identifier"), ("familly=x", "family"), ("_lastupdated=gt2020", "_lastUpdated"), ("_cuont=5", "_count"), ("zzzz=1", "")],
)
def test_a_mistyped_parameter_is_refused_with_the_right_one(clinic: Api, query: str, suggestion: str) -> None:
    response = clinic.get(f"/fhir/Patient?{query}")
    assert response.status_code == 400 and suggestion in issues(response)[0]["diagnostics"]


@pytest.mark.parametrize(
    "query", ["family:almost=x", "identifier:exact=x", "birthdate=yesterday", "_lastUpdated=2026-13", "_sort=colour", "_total=some"]
)
def test_a_modifier_or_value_that_means_nothing_is_refused(clinic: Api, query: str) -> None:
    response = clinic.get(f"/fhir/Patient?{query}")
    assert response.status_code == 400 and issues(response), query


def test_lenient_handling_ignores_and_says_so(clinic: Api) -> None:
    response = clinic.get("/fhir/Patient?identifer=N1&_id=p1&_elements=name", prefer="handling=lenient")
    bundle = decode(response.content)
    modes = {entry["search"]["mode"]: entry["resource"] for entry in bundle["entry"]}
    assert modes["match"]["id"] == "p1"
    assert ["'identifer'" in i["diagnostics"] for i in modes["outcome"]["issue"]] == [True]
    (link,) = bundle["link"]
    assert link == {"relation": "self", "url": f"{BASE}/Patient?_id=p1&_elements=name"}


@pytest.mark.parametrize("query", ["_summary=bogus", "_summary=text&_elements=name"])
def test_a_form_of_answer_that_means_nothing_is_refused(clinic: Api, query: str) -> None:
    response = clinic.get(f"/fhir/Patient?{query}")
    assert response.status_code == 400 and issues(response)[0]["code"] == "not-supported"


def test_the_looks_of_an_answer_are_no_search_parameters(clinic: Api) -> None:
    assert ids(clinic, "_format=json&_pretty=true&_id=p1") == {"p1"}


def test_what_is_found_is_the_resource_as_stored(clinic: Api) -> None:
    raw = (
        b'{"resourceType":"Observation","id":"exact","status":"final","code":{"text":"x"},'
        b'"valueQuantity":{"value":0.400},"effectiveDateTime":"2026-03-01T10:00:00.120-05:00"}'
    )
    assert clinic.put("/fhir/Observation/exact", raw).status_code == 201
    text = clinic.get("/fhir/Observation?_id=exact").text
    assert '"value":0.400' in text and "2026-03-01T10:00:00.120-05:00" in text
    found: dict[str, Any] = decode(text.encode())
    assert found["entry"][0]["search"] == {"mode": "match"}


def test_a_plain_search_that_takes_long_is_answered_all_the_same(clinic: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    given = list[int]()

    class Watched(StepsSpentError):
        def __init__(self, text: str) -> None:
            super().__init__(text)
            given.append(1)

    with monkeypatch.context() as patched:
        patched.setattr("fhir_gateway.rest.common._BRIEF_STEPS", 0)
        patched.setattr("fhir_gateway.store.kept.STRIDE", 1)
        patched.setattr("fhir_gateway.store.kept.StepsSpentError", Watched)
        slow = ids(clinic, "family=mü,mar")
    assert given == [1]
    assert slow == ids(clinic, "family=mü,mar") != set()


def test_a_route_takes_its_request_and_the_parts_of_its_address_alone() -> None:
    async def endpoint(request: Any, type: str, stray: str) -> None:
        """What FastAPI would look for in the query."""

    with pytest.raises(TypeError, match="endpoint must take the request and the parts"):
        LookedRoute("/fhir/{type}", endpoint)
