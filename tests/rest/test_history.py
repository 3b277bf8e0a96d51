"""Histories: of one resource, of a type, of everything; pages that nothing disturbs; nobody sees what is not theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_gateway.security.principal import Principal
from fhir_gateway.validation import decode, validate
from tests.rest.conftest import BASE, Api, issues, running

PATIENT = {"resourceType": "Patient", "gender": "female"}


@pytest.fixture
def clinic(database_url: str) -> Iterator[Api]:
    with running(database_url) as made:
        yield made


def history(api: Api, path: str) -> dict[str, Any]:
    response = api.get(path)
    assert response.status_code == 200, response.text
    bundle = decode(response.content)
    assert (bundle["type"], validate(bundle)) == ("history", [])
    return bundle


def versions(bundle: dict[str, Any]) -> list[tuple[str, str]]:
    """(method, etag) of every entry."""
    return [(entry["request"]["method"], entry["response"]["etag"]) for entry in bundle.get("entry", ())]


def walked(api: Api, path: str) -> list[str]:
    """Every version of every page, as `Type/id etag`."""
    found: list[str] = []
    while path:
        bundle = history(api, path)
        found += names(bundle)
        path = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    return found


def names(bundle: dict[str, Any]) -> list[str]:
    """Every version as `Type/id etag`; but the clinic's checklists, which are there from the start."""
    entries = [entry for entry in bundle.get("entry", ()) if "/PlanDefinition/" not in entry["fullUrl"]]
    return [f"{entry['fullUrl'].removeprefix(BASE + '/')} {entry['response']['etag']}" for entry in entries]


def test_every_version_of_a_resource_newest_first(clinic: Api) -> None:
    held = clinic.made(PATIENT)
    here = f"/fhir/Patient/{held['id']}"
    clinic.put(here, {**held, "active": True})
    clinic.delete(here)
    clinic.put(here, {**held, "active": False})
    bundle = history(clinic, f"{here}/_history")
    assert versions(bundle) == [("PUT", 'W/"4"'), ("DELETE", 'W/"3"'), ("PUT", 'W/"2"'), ("POST", 'W/"1"')]
    assert [entry.get("resource", {}).get("active") for entry in bundle["entry"]] == [False, None, True, None]
    assert bundle["entry"][1].keys() == {"fullUrl", "request", "response"}, "what was deleted has no content"
    assert decode(clinic.get(f"{here}/_history/2").content) == bundle["entry"][2]["resource"]
    assert clinic.get("/fhir/Patient/nobody/_history").status_code == 404


def test_pages_of_a_type_and_of_everything_have_every_version_once_while_more_arrives(clinic: Api) -> None:
    wanted: dict[str, list[str]] = {"Patient": [], "Basic": []}
    for number in range(7):
        for resource in (PATIENT, {"resourceType": "Basic", "code": {"text": "x"}}):
            held = clinic.made(resource)
            name = f"{held['resourceType']}/{held['id']}"
            wanted[held["resourceType"]].append(f'{name} W/"1"')
            if number % 2:
                clinic.put(f"/fhir/{name}", {**held, "language": "de"})
                wanted[held["resourceType"]].append(f'{name} W/"2"')
    assert sorted(walked(clinic, "/fhir/Patient/_history?_count=3")) == sorted(wanted["Patient"])
    everything = walked(clinic, "/fhir/_history?_count=4")
    assert sorted(everything) == sorted(wanted["Patient"] + wanted["Basic"])
    first = history(clinic, "/fhir/_history?_count=4")
    clinic.made(PATIENT)
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    seen = names(first) + walked(clinic, following)
    assert seen == everything


def test_since(clinic: Api) -> None:
    old = clinic.made(PATIENT)
    moment = old["meta"]["lastUpdated"]
    new = clinic.put(f"/fhir/Patient/{old['id']}", {**old, "active": True})
    newer = decode(new.content)["meta"]["lastUpdated"]
    assert len(walked(clinic, f"/fhir/_history?_since={moment}")) == 2
    if newer > moment:
        assert walked(clinic, f"/fhir/Patient/_history?_since={newer}") == [f'Patient/{old["id"]} W/"2"']
    assert walked(clinic, "/fhir/Patient/_history?_since=2999-01-01") == []
    assert len(walked(clinic, "/fhir/Patient/_history?_since=2020-01-01")) == 2


@pytest.mark.parametrize("query", ["_since=yesterday", "_count=many", "_cursor=x", "_cursor=W10", "family=x", "_sort=_id"])
def test_what_can_not_be_asked_of_a_history_is_refused(api: Api, query: str) -> None:
    for path in ("/fhir/_history", "/fhir/Patient/_history"):
        response = api.get(f"{path}?{query}")
        assert response.status_code == 400 and issues(response), query


def test_a_sender_sees_the_history_of_its_own(clinic: Api) -> None:
    ours, theirs = (Principal("referrer", name, name) for name in ("NORTHSIDE", "SOUTHSIDE"))
    from fhir_gateway.validation import encode

    made = clinic.gateway.fhir.create(ours, "Patient", encode(PATIENT), None).stored
    clinic.gateway.fhir.update(ours, "Patient", made.id, encode({**PATIENT, "id": made.id, "active": True}), None)
    for type, id in (("", ""), ("Patient", ""), ("Patient", made.id)):
        assert len(names(clinic.gateway.fhir.history(ours, type, id, [], BASE))) == 2
    assert names(clinic.gateway.fhir.history(theirs, "", "", [], BASE)) == []
    with clinic.gateway.store.snapshot(Principal("clinic")) as tx:
        clinic.gateway.store.flush_audit()
        assert [action for _, _, _, action in tx.audit.of("Patient", made.id)].count("found") == 6
