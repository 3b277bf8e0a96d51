"""The rules of a transaction, word for word as R4 http.html#trules and bundle.html#references have them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from fhir_gateway.validation import decode
from tests.rest.conftest import BASE, JSON, Api, places

SYSTEM = "urn:x:bundle-rules"
XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'


def patient(number: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": number}], **more}


def observation(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **more}


def entry(method: str, url: str, resource: dict[str, Any] | None = None, full_url: str = "", **request: Any) -> dict[str, Any]:
    return {
        **({"fullUrl": full_url} if full_url else {}),
        **({"resource": resource} if resource else {}),
        "request": {"method": method, "url": url, **request},
    }


def done(api: Api, *entries: dict[str, Any], kind: str = "transaction") -> list[dict[str, Any]]:
    """The entries of the answer."""
    answer = api.sends(*entries, kind=kind)
    assert answer.status_code == 200, answer.text
    return list(decode(answer.content)["entry"])


def held(api: Api, answered: dict[str, Any]) -> dict[str, Any]:
    """The resource an entry became."""
    return decode(api.get(f"/fhir/{answered['response']['location'].partition('/_history')[0]}", accept=JSON).content)


def test_links_between_entries_are_replaced_in_every_place_they_may_stand(api: Api) -> None:
    """http.html#trules: references, elements of type uri and url, and `<a href>` and `<img src>` of the narrative; canonical elements are not replaced."""
    person, scan = f"urn:uuid:{uuid4()}", f"urn:uuid:{uuid4()}"
    div = f'<div {XHTML}><a href="{person}">x</a><img alt="y" src="{scan}"/>{person}</div>'
    values = {"valueUri": person, "valueUrl": scan, "valueString": person, "valueCanonical": person, "valueUuid": person}
    one = observation(
        subject={"reference": person},
        text={"status": "generated", "div": div},
        extension=[{"url": "urn:x:e", name: value} for name, value in values.items()],
    )
    order = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "order",
        "subject": {"reference": person},
        "instantiatesUri": [scan, "urn:x:y"],
    }
    made = done(
        api,
        entry("POST", "Patient", patient("L-1"), person),
        entry("POST", "Binary", {"resourceType": "Binary", "contentType": "text/plain", "data": "aGk="}, scan),
        entry("POST", "Observation", one),
        entry("POST", "ServiceRequest", order),
    )
    who, what = (f"{resource['resourceType']}/{resource['id']}" for resource in (held(api, made[0]), held(api, made[1])))
    kept = held(api, made[2])
    assert kept["text"]["div"] == f'<div {XHTML}><a href="{who}">x</a><img alt="y" src="{what}"/>{person}</div>'
    assert [extension[name] for name, extension in zip(values, kept["extension"], strict=True)] == [who, what, person, person, person]
    assert held(api, made[3])["instantiatesUri"] == [what, "urn:x:y"]


def test_a_reference_to_a_version_of_an_entry_follows_it(api: Api) -> None:
    """http.html#trules: version-specific references stay so and are assigned anew; bundle.html#references: the version is no part of the match."""
    there = "http://sender.example/fhir"
    made = done(
        api,
        entry("POST", "Patient", patient("V-1", id="77"), f"{there}/Patient/77"),
        entry("POST", "Observation", observation(subject={"reference": "Patient/77/_history/3"}), f"{there}/Observation/1"),
        entry("POST", "Observation", observation(subject={"reference": f"{there}/Patient/77/_history/3"})),
    )
    now = f"Patient/{held(api, made[0])['id']}/_history/1"
    assert [held(api, one)["subject"]["reference"] for one in made[1:]] == [now, now]


def test_one_identity_may_not_be_written_twice_by_condition(api: Api) -> None:
    """http.html#trules: identities, those resolved from conditions included, that overlap make the transaction fail."""
    where = f"Patient?identifier={SYSTEM}|T-1"
    refused = api.sends(entry("PUT", where, patient("T-1")), entry("PUT", where, patient("T-1", active=True)))
    assert refused.status_code == 422 and places(refused) == ["Bundle.entry[1].request.url"]
    assert api.count("Patient", f"identifier={SYSTEM}|T-1") == 0


def test_a_conditional_update_under_another_id_is_refused(api: Api) -> None:
    """http.html#cond-update: one match whose id is not the one in the resource: 400."""
    api.made(patient("O-1"))
    refused = api.sends(entry("PUT", f"Patient?identifier={SYSTEM}|O-1", patient("O-1", id="another")))
    assert refused.status_code == 400 and places(refused) == ["Bundle.entry[0].resource.id"]


@pytest.mark.parametrize("kind", ["transaction", "batch"])
def test_what_the_client_holds_is_not_sent_again(api: Api, kind: str) -> None:
    """bundle.html, Bundle.entry.request.ifNoneMatch and ifModifiedSince: 304 when nothing is new."""
    url = f"Patient/{api.made(patient('N-1'))['id']}"
    asked = (
        {"ifNoneMatch": 'W/"1"'},
        {"ifNoneMatch": 'W/"2"'},
        {"ifModifiedSince": "2999-01-01T00:00:00Z"},
        {"ifModifiedSince": "1999-01-01T00:00:00Z"},
    )
    answers = done(api, *(entry("GET", url, **one) for one in asked), kind=kind)
    assert [one["response"]["status"][:3] for one in answers] == ["304", "200", "304", "200"]
    assert ["resource" in one for one in answers] == [False, True, False, True]


def test_a_write_may_ask_that_nothing_is_there(api: Api) -> None:
    """bundle.html, Bundle.entry.request.ifMatch and ifNoneMatch: as the headers of the same names."""
    there = api.made(patient("N-2"))
    url = f"Patient/{there['id']}"
    assert api.sends(entry("PUT", url, {**there, "active": True}, ifNoneMatch="*")).status_code == 412
    done(api, entry("PUT", url, {**there, "active": True}, ifMatch='W/"9", W/"1"'))
    odd = api.sends(entry("PUT", url, {**there, "active": False}, ifMatch="odd"))
    assert odd.status_code in (412, 422) and places(odd) == ["Bundle.entry[0].request.ifMatch"]


def test_a_reference_by_our_whole_address_is_to_what_is_held_here(api: Api) -> None:
    """references.html#literal: absolute or relative, it is the same resource; so it must be there, and is found by either form."""
    who = f"Patient/{api.made(patient('R-1'))['id']}"
    made = api.made(observation(subject={"reference": f"{BASE}/{who}"}))
    assert made["subject"] == {"reference": who}
    assert [one["id"] for one in api.found("Observation", f"subject={BASE}/{who}")] == [made["id"]]
    refused = api.post("/fhir/Observation", observation(subject={"reference": f"{BASE}/Patient/nobody"}))
    assert refused.status_code == 422 and places(refused) == ["Observation.subject.reference"]


def test_a_reference_by_condition_needs_a_transaction(api: Api) -> None:
    """http.html#trules: conditional references are resolved in transactions; kept as it is, one would be a reference to nothing."""
    refused = api.post("/fhir/Observation", observation(subject={"reference": f"Patient?identifier={SYSTEM}|R-1"}))
    assert refused.status_code == 422 and places(refused) == ["Observation.subject.reference"]


@pytest.mark.parametrize("kind", ["transaction", "batch"])
def test_whatever_can_be_read_can_be_read_in_a_bundle(api: Api, kind: str) -> None:
    """http.html#transaction: a GET entry is a read, a vread, a history or a search, in a compartment too."""
    who = api.made(patient(f"G-{kind}"))["id"]
    api.made(observation(subject={"reference": f"Patient/{who}"}))
    api.put(f"/fhir/Patient/{who}", patient(f"G-{kind}", id=who, active=True))
    urls = {
        f"Patient/{who}/_history?_count=1&_format=json": ("history", 1),
        f"Patient/{who}/_history": ("history", 2),
        "Patient/_history?_count=2": ("history", 2),
        "_history?_count=2": ("history", 2),
        f"Patient/{who}/Observation?status=final": ("searchset", 1),
        f"Patient/{who}/Observation?status=amended": ("searchset", 0),
        f"Patient?identifier={SYSTEM}|G-{kind}": ("searchset", 1),
    }
    answers = done(api, *(entry("GET", url) for url in urls), kind=kind)
    assert [(one["resource"]["type"], len(one["resource"].get("entry", ()))) for one in answers] == list(urls.values())
    (version,) = done(api, entry("GET", f"Patient/{who}/_history/1"), kind=kind)
    assert version["resource"]["meta"]["versionId"] == "1"
    (head,) = done(api, entry("HEAD", f"Patient/{who}/_history"), kind=kind)
    assert "resource" not in head


def test_a_read_of_nothing_in_a_batch_is_told_in_its_place(api: Api) -> None:
    """http.html#brules: each entry of a batch has an outcome of its own."""
    urls = ("Patient/nobody/_history", "Patient/nobody", "Nobody/_history", "Patient/a/b/c/d", "Patient/a_b/_history", "metadata")
    answers = done(api, *(entry("GET", url) for url in urls), kind="batch")
    assert [one["response"]["status"] for one in answers] == ["404", "404", "405", "405", "422", "405"]
    assert all(one["response"]["outcome"]["issue"] for one in answers)


def test_what_was_written_comes_back_when_it_is_preferred(api: Api) -> None:
    """http.html#ops: `Prefer: return=` is honoured for a transaction as for a single write; the same Bundle again gets the same answer."""
    made = api.made(patient("W-1"))
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "identifier": {"system": SYSTEM, "value": "W"},
        "entry": [
            entry("POST", "Patient", patient("W-2")),
            entry("POST", "Patient", patient("W-1"), ifNoneExist=f"identifier={SYSTEM}|W-1"),
            entry("DELETE", "Patient/nobody"),
        ],
    }
    whole = api.post("/fhir", bundle, prefer="return=representation")
    new, found, gone = decode(whole.content)["entry"]
    assert new["resource"] == held(api, new) and found["resource"] == made and "resource" not in gone
    assert api.post("/fhir", bundle, prefer="return=representation").content == whole.content
    assert all("resource" not in one for one in decode(api.post("/fhir", bundle, prefer="return=minimal").content)["entry"])
