"""Transactions and batches at the edge, on both databases: order, references, conditions, all or nothing, once only (R4 http.html#transaction)."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from fhir_gateway.validation import decode, encode
from tests.rest.conftest import BASE, HOST, JSON, STAFF, Api, issues, places, running

SYSTEM = "urn:oid:2.16.840.1.113883.19.5.1"


def patient(mrn: str = "", **more: Any) -> dict[str, Any]:
    identifier = {"identifier": [{"system": SYSTEM, "value": mrn}]} if mrn else {}
    return {"resourceType": "Patient", **identifier, "name": [{"family": "Marlowe"}], **more}


def condition(subject: str) -> dict[str, Any]:
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C50.411"}]}
    return {"resourceType": "Condition", "code": code, "subject": {"reference": subject}}


def post(resource: dict[str, Any], full_url: str = "", **request: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"fullUrl": full_url} if full_url else {}
    return {**entry, "resource": resource, "request": {"method": "POST", "url": resource["resourceType"], **request}}


def put(resource: dict[str, Any], url: str = "", **request: str) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": "PUT", "url": url or f"{resource['resourceType']}/{resource['id']}", **request}}


def ask(method: str, url: str, **request: str) -> dict[str, Any]:
    return {"request": {"method": method, "url": url, **request}}


def responses(api: Api, *entries: dict[str, Any], kind: str = "transaction", **more: Any) -> list[dict[str, Any]]:
    answer = api.sends(*entries, kind=kind, **more)
    assert answer.status_code == 200, answer.text
    bundle = decode(answer.content)
    assert bundle["type"] == f"{kind}-response"
    return list(bundle["entry"])


def target(entry: dict[str, Any]) -> str:
    """`Type/id` of what an entry wrote."""
    return str(entry["response"]["location"].partition("/_history/")[0])


def own() -> str:
    return uuid.uuid4().hex[:12]


# References


@pytest.mark.parametrize(
    ("full_url", "reference"),
    [
        ("urn:uuid:0d3f5f4e-52a5-4a8e-9d6c-7a1f0b5f2a11", "urn:uuid:0d3f5f4e-52a5-4a8e-9d6c-7a1f0b5f2a11"),
        ("urn:oid:2.25.26948442310652342", "urn:oid:2.25.26948442310652342"),
        ("https://ehr.example/r4/Patient/77", "https://ehr.example/r4/Patient/77"),
        ("https://ehr.example/r4/Patient/77", "Patient/77"),
        (f"{BASE}/Patient/77", "Patient/77"),
        (f"{BASE}/Patient/77", f"{BASE}/Patient/77"),
        ("", "Patient/77"),
    ],
)
@pytest.mark.parametrize("first", ["patient", "condition"])
def test_a_reference_finds_its_entry_whatever_its_form_and_place(either: Api, full_url: str, reference: str, first: str) -> None:
    entries = [post(patient(id="77"), full_url), post(condition(reference))]
    done = responses(either, *(entries if first == "patient" else entries[::-1]))
    made, about = done if first == "patient" else done[::-1]
    held = decode(either.get(f"/fhir/{target(about)}").content)
    assert held["subject"]["reference"] == target(made) != "Patient/77"


def test_a_relative_reference_is_read_beside_the_fullurl_it_stands_under(either: Api) -> None:
    """Two systems' records in one Bundle, both with a Patient/1."""
    entries = []
    for server in ("https://a.example/fhir", "https://b.example/fhir"):
        entries += [post(patient(name=[{"family": server}]), f"{server}/Patient/1"), post(condition("Patient/1"), f"{server}/Condition/1")]
    done = responses(either, *entries)
    for person, about in (done[0:2], done[2:4]):
        assert decode(either.get(f"/fhir/{target(about)}").content)["subject"]["reference"] == target(person)


def test_contained_and_foreign_references_and_canonical_urls_stay_as_they_are(either: Api) -> None:
    code = own()
    url = f"https://forms.example/fhir/Questionnaire/{code}"
    questionnaire = {"resourceType": "Questionnaire", "url": url, "status": "active"}
    about = {
        **condition("https://ehr.example/fhir/Patient/9"),
        "contained": [{"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Okafor"}]}],
        "asserter": {"reference": "#doc"},
        "extension": [{"url": url, "valueUri": "urn:uuid:1b671a64-40d5-491e-99b0-da01ff1f3341"}],
    }
    person = post(patient(), "urn:uuid:1b671a64-40d5-491e-99b0-da01ff1f3341")
    form, problem, found = responses(either, post(questionnaire, url), post(about), person)
    held = decode(either.get(f"/fhir/{target(problem)}").content)
    assert (held["subject"], held["asserter"]) == (about["subject"], about["asserter"])
    assert held["extension"] == [{"url": url, "valueUri": target(found)}]
    assert decode(either.get(f"/fhir/{target(form)}").content)["url"] == url, "a canonical url is a name, not an address"


def test_a_conditional_reference_finds_what_is_held_or_what_comes_with_it(either: Api) -> None:
    mrn = own()
    about = condition(f"Patient?identifier={SYSTEM}|{mrn}")
    person, first = responses(either, post(patient(mrn)), post(about))
    (second,) = responses(either, post(about))
    for entry in (first, second):
        assert decode(either.get(f"/fhir/{target(entry)}").content)["subject"]["reference"] == target(person)


@pytest.mark.parametrize(
    "reference",
    ["Patient?identifier=urn:x:y|nobody", "Patient?family=Marlowe", "Patient?nickname=x", "Patient?identifier=", "Patent?identifier=1"],
)
def test_a_conditional_reference_that_means_none_or_several_is_refused_where_it_stands(either: Api, reference: str) -> None:
    for _ in range(2):
        either.made(patient())
    before = either.count("Condition")
    response = either.sends(post(patient()), post(condition(reference)))
    assert response.status_code == 422 and places(response) == ["Bundle.entry[1].resource.subject.reference"], response.text
    assert either.count("Condition") == before


def test_dangling_references_are_refused_with_every_place_named(either: Api) -> None:
    stray = "urn:uuid:6f6f8c5e-2b62-44b1-8a51-0b8d1e2f9a77"
    urn = either.sends(post(patient()), post(condition(stray)), post({**condition(stray), "recorder": {"reference": stray}}))
    assert urn.status_code == 422
    assert places(urn) == [
        "Bundle.entry[1].resource.subject.reference",
        "Bundle.entry[2].resource.subject.reference",
        "Bundle.entry[2].resource.recorder.reference",
    ]
    for text in ("Patient/nobody", f"{BASE}/Patient/nobody", "Patient/nobody/_history/2"):
        local = either.sends(post(patient()), post(condition(text)))
        assert local.status_code == 422 and places(local) == ["Bundle.entry[1].resource.subject.reference"], text


def test_a_setting_lets_references_to_nothing_pass(tmp_path: Any) -> None:
    with running(f"sqlite:///{tmp_path}/relaxed.db", strict_references=False) as relaxed:
        assert relaxed.sends(post(condition("Patient/later"))).status_code == 200
        assert relaxed.post("/fhir/Condition", condition("Patient/later")).status_code == 201
        assert relaxed.sends(post(condition("urn:uuid:6f6f8c5e-2b62-44b1-8a51-0b8d1e2f9a77"))).status_code == 422, "a urn can name nothing later"


# Order, conditions, overlaps


def test_entries_are_done_in_their_order_and_answered_in_the_senders(either: Api) -> None:
    old, kept, new = own(), own(), own()
    either.put(f"/fhir/Patient/{old}", patient("SWAP", id=old))
    either.put(f"/fhir/Patient/{kept}", patient(id=kept))
    done = responses(
        either,
        ask("GET", f"Patient?identifier={SYSTEM}|SWAP"),
        put(patient(id=kept, active=True)),
        put(patient(id=new)),
        post(patient("SWAP")),
        ask("DELETE", f"Patient/{old}"),
        ask("GET", f"Patient/{kept}"),
        ask("GET", f"Patient/{kept}/_history/1"),
    )
    assert [entry["response"]["status"] for entry in done] == ["200 OK", "200 OK", "201 Created", "201 Created", "204 No Content", "200 OK", "200 OK"]
    (found,) = done[0]["resource"]["entry"]
    assert f"Patient/{found['resource']['id']}" == target(done[3]), "the search ran last, and saw the new one only"
    assert (done[5]["resource"]["active"], done[5]["response"]["etag"]) == (True, 'W/"2"')
    assert "active" not in done[6]["resource"]
    either.delete(f"/fhir/{target(done[3])}")


def test_a_deleted_resource_frees_its_number_for_the_one_that_comes_with_the_deletion(either: Api) -> None:
    mrn, old = own(), own()
    either.put(f"/fhir/Patient/{old}", patient(mrn, id=old))
    _, made = responses(either, ask("DELETE", f"Patient/{old}"), post(patient(mrn)))
    (again,) = responses(either, post(patient(mrn), ifNoneExist=f"identifier={SYSTEM}|{mrn}"))
    assert (target(again), again["response"]["status"]) == (target(made), "200 OK")


def test_if_none_exist_takes_what_is_there_and_points_references_at_it(either: Api) -> None:
    mrn = own()
    held = either.made(patient(mrn))
    urn = "urn:uuid:2c1c7b1e-2f4e-4a55-8a44-1f7b6a0f6f10"
    person, about = responses(either, post(patient(mrn), urn, ifNoneExist=f"identifier={SYSTEM}|{mrn}"), post(condition(urn)))
    assert (person["response"]["status"], target(person), person["response"]["etag"]) == ("200 OK", f"Patient/{held['id']}", 'W/"1"')
    assert decode(either.get(f"/fhir/{target(about)}").content)["subject"]["reference"] == f"Patient/{held['id']}"


@pytest.mark.parametrize("key", ["identifier", "family"])
def test_two_entries_with_the_same_condition_make_one_resource(either: Api, key: str) -> None:
    mark = own()
    text = f"identifier={SYSTEM}|{mark}" if key == "identifier" else f"family={mark}"
    urns = [f"urn:uuid:{uuid.uuid4()}" for _ in range(2)]
    people = [post(patient(mark, name=[{"family": mark}]), urn, ifNoneExist=text) for urn in urns]
    done = responses(either, *people, *(post(condition(urn)) for urn in urns))
    assert [entry["response"]["status"] for entry in done[:2]] == ["201 Created", "200 OK"] and target(done[0]) == target(done[1])
    for entry in done[2:]:
        assert decode(either.get(f"/fhir/{target(entry)}").content)["subject"]["reference"] == target(done[0])


def test_several_matches_and_stale_versions_refuse_the_whole(either: Api) -> None:
    family = own()
    held = [either.made(patient(name=[{"family": family}])) for _ in range(2)]
    before = either.count("Patient")
    for entry in (
        post(patient(), ifNoneExist=f"family={family}"),
        put(patient(), f"Patient?family={family}"),
        ask("DELETE", f"Patient?family={family}"),
        put({**held[0], "active": True}, ifMatch='W/"7"'),
        ask("DELETE", f"Patient/{held[0]['id']}", ifMatch='W/"7"'),
    ):
        response = either.sends(post(patient()), entry)
        assert response.status_code == 412 and places(response) == ["Bundle.entry[1]"], response.text
    assert either.count("Patient") == before


def test_conditional_update_and_delete(either: Api) -> None:
    mrn = own()
    text = f"Patient?identifier={SYSTEM}|{mrn}"
    (made,) = responses(either, put(patient(mrn), text))
    (changed,) = responses(either, put(patient(mrn, active=True), text))
    assert (made["response"]["status"], changed["response"]["status"], target(made)) == ("201 Created", "200 OK", target(changed))
    (gone,) = responses(either, ask("DELETE", text))
    assert gone["response"]["status"] == "204 No Content" and either.get(f"/fhir/{target(made)}").status_code == 410
    (nothing,) = responses(either, ask("DELETE", text))
    assert nothing["response"]["status"] == "204 No Content"


@pytest.mark.parametrize("text", ["Patient?", "Patient?identifier=", "Patient?_summary=count&identifier=x", "Patient"])
def test_a_conditional_delete_that_asks_for_nothing_deletes_nothing(either: Api, text: str) -> None:
    either.made(patient("PRECIOUS"))
    before = either.count("Patient")
    assert either.sends(ask("DELETE", text)).status_code in (400, 422)
    assert either.count("Patient") == before


def test_overlapping_identities_are_refused(either: Api) -> None:
    one = own()
    either.put(f"/fhir/Patient/{one}", patient(one, id=one))
    for pair in (
        [put(patient(id=one, active=True)), put(patient(id=one, active=False))],
        [ask("DELETE", f"Patient/{one}"), put(patient(id=one))],
        [put(patient(one), f"Patient?identifier={SYSTEM}|{one}"), put(patient(id=one))],
        [ask("DELETE", f"Patient/{one}"), post(patient(one), ifNoneExist=f"identifier={SYSTEM}|{one}")],
    ):
        response = either.sends(*pair)
        assert response.status_code == 422 and places(response) == ["Bundle.entry[1].request.url"], response.text
    assert either.get(f"/fhir/Patient/{one}").headers["etag"] == 'W/"1"'


def test_all_or_nothing(either: Api) -> None:
    types = ("Patient", "Condition")
    before = [either.count(type) for type in types]
    urn = "urn:uuid:9f0e8a36-8a4e-4d8b-8b63-4f5f3ac0ed55"
    good = [post(patient(), urn), post(condition(urn))]
    for bad, status, place in (
        (post(patient(gender="F")), 422, "Bundle.entry[2].resource.gender"),
        (put(patient(id="x", active=True), ifMatch='W/"3"'), 412, "Bundle.entry[2]"),
        (ask("GET", "Patient/nobody"), 404, "Bundle.entry[2]"),
        (ask("GET", "Patient?nickname=x"), 400, "Bundle.entry[2]"),
        (ask("PATCH", "Patient/1"), 422, "Bundle.entry[2].resource"),
        (ask("DELETE", "Patent/1"), 422, "Bundle.entry[2].request.url"),
        (post(patient(), ifNoneExist="nickname=x"), 400, "Bundle.entry[2]"),
        (put(patient(id="a"), "Patient/b"), 422, "Bundle.entry[2].resource.id"),
        (put(patient(), "Patient/a_b"), 422, "Bundle.entry[2].request.url"),
        ({"request": {"method": "POST", "url": "Patient"}}, 422, "Bundle.entry[2].resource"),
        ({"resource": patient(), "request": {"method": "POST", "url": "Condition"}}, 422, "Bundle.entry[2].resource.resourceType"),
        ({"resource": patient()}, 422, "Bundle.entry[2].request"),
        (post(condition("Patient/nobody")), 422, "Bundle.entry[2].resource.subject.reference"),
    ):
        response = either.sends(*good, bad)
        assert response.status_code == status and place in places(response), response.text
    assert [either.count(type) for type in types] == before


def test_every_failing_entry_is_named(either: Api) -> None:
    response = either.sends(ask("PATCH", "Patient/1"), post(patient()), ask("DELETE", "Patent/1"), ask("PUT", "Patient/1/2/3"))
    assert response.status_code == 422
    assert {place.split(".")[1] for place in places(response)} == {"entry[0]", "entry[2]", "entry[3]"}


def test_a_thousand_entries_and_not_one_more(either: Api) -> None:
    urn = "urn:uuid:7c3f5a5e-4f2d-4a90-9a63-2f1f6c9d0b11"
    entries = [post(patient(), urn), *(post(condition(urn)) for _ in range(999))]
    done = responses(either, *entries)
    assert len(done) == 1000 and len({target(entry) for entry in done}) == 1000
    assert either.count("Condition", f"patient={target(done[0])}") == 999
    over = either.sends(*entries, post(patient()))
    assert over.status_code == 413 and places(over) == ["Bundle.entry"]


# Once only, and kept


def test_a_bundle_with_an_identifier_that_comes_again_changes_nothing(either: Api) -> None:
    for kind in ("transaction", "batch"):
        family = own()
        identifier = {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid.uuid4()}"}
        bundle = {"resourceType": "Bundle", "identifier": identifier, "type": kind, "entry": [post(patient(name=[{"family": family}]))]}
        first, second = either.post("/fhir", bundle), either.post("/fhir", bundle)
        assert (first.status_code, second.status_code) == (200, 200) and first.content == second.content, kind
        assert either.count("Patient", f"family={family}") == 1
        changed = {**bundle, "entry": [*bundle["entry"], post(patient(name=[{"family": family}]))]}  # type: ignore[misc]
        assert either.post("/fhir", changed).status_code == 200, "the same identifier with other content is another Bundle"
        assert either.count("Patient", f"family={family}") == 3


def test_a_bundle_without_an_identifier_is_new_every_time(either: Api) -> None:
    family = own()
    for _ in range(2):
        responses(either, post(patient(name=[{"family": family}])))
    assert either.count("Patient", f"family={family}") == 2


def test_a_refused_bundle_is_kept_and_done_when_it_can_be(either: Api) -> None:
    late, identifier = own(), {"system": "urn:x:y", "value": own()}
    refused = either.sends(post(condition(f"Patient/{late}")), identifier=identifier)
    assert refused.status_code == 422
    line = either.inbox("refused")[0]
    assert (line.message_type, line.control_id) == ("Bundle/transaction", f"urn:x:y|{identifier['value']}")
    assert line.findings[0]["where"] == "Bundle.entry[0].resource.subject.reference"
    assert decode(either.get(f"/fhir/Binary/{line.id}", accept=JSON).content)["contentType"] == "application/fhir+json"
    kept = either.get(f"/fhir/Binary/{line.id}")
    assert kept.content == encode(
        {"resourceType": "Bundle", "type": "transaction", "identifier": identifier, "entry": [post(condition(f"Patient/{late}"))]}
    )
    either.put(f"/fhir/Patient/{late}", patient(id=late))
    assert either.sends(post(condition(f"Patient/{late}")), identifier=identifier).status_code == 200
    assert either.count("Condition", f"patient={late}") == 1


def test_staff_may_retry_a_refused_bundle(either: Api) -> None:
    late = own()
    assert either.sends(post(condition(f"Patient/{late}"))).status_code == 422
    line = either.inbox("refused")[0]
    either.put(f"/fhir/Patient/{late}", patient(id=late))
    assert either.gateway.retry(line.id).state == "processed"
    assert either.count("Condition", f"patient={late}") == 1


def test_a_bundle_put_aside_by_staff_stays_so_and_its_sender_is_told(either: Api) -> None:
    identifier = {"system": "urn:x:y", "value": own()}
    bundle = [post(condition(f"Patient/{own()}"))]
    assert either.sends(*bundle, identifier=identifier).status_code == 422
    either.gateway.discard(either.inbox("refused")[0].id)
    again = either.sends(*bundle, identifier=identifier)
    assert again.status_code == 409 and "put aside" in issues(again)[0]["diagnostics"]


@pytest.mark.parametrize("kind", ["document", "message", "collection", "searchset", "history", "transaction-response", "bogus", None, 5, {"a": 1}])
def test_a_bundle_of_another_kind_is_refused_and_kept(either: Api, kind: Any) -> None:
    response = either.post("/fhir", {"resourceType": "Bundle", "type": kind, "entry": [{"resource": patient()}]})
    assert response.status_code == 422 and places(response) == ["Bundle.type"]
    with either.gateway.store.snapshot(STAFF) as tx:
        entry = tx.inbox.get(either.inbox("refused")[0].id)
    assert entry is not None and encode(kind) in entry.raw


# Batch


def test_each_entry_of_a_batch_stands_alone(either: Api) -> None:
    family = own()
    done = responses(
        either,
        post(patient(name=[{"family": family}])),
        post(patient(gender="F")),
        ask("GET", "Patient/nobody"),
        post(condition("urn:uuid:9f0e8a36-8a4e-4d8b-8b63-4f5f3ac0ed55")),
        ask("GET", "Patient?nickname=x"),
        ask("PATCH", "Patient/1"),
        {"resource": {"resourceType": "Patent"}, "request": {"method": "POST", "url": "Patient"}},
        ask("GET", f"Patient?family={family}"),
        ask("HEAD", "metadata"),
        kind="batch",
    )
    assert [entry["response"]["status"][:3] for entry in done] == ["201", "422", "404", "422", "400", "422", "422", "200", "405"]
    assert done[7]["resource"]["entry"][0]["resource"]["name"][0]["family"] == family
    outcomes = [entry["response"]["outcome"]["issue"][0] for entry in (done[1], done[3], done[5])]
    assert [issue["expression"] for issue in outcomes] == [
        ["Bundle.entry[1].resource.gender"],
        ["Bundle.entry[3].resource.subject.reference"],
        ["Bundle.entry[5].resource"],
    ]
    assert either.inbox("processed")[0].message_type == "Bundle/batch"


def test_a_batch_without_entries_and_one_with_a_broken_shell(either: Api) -> None:
    assert decode(either.post("/fhir", {"resourceType": "Bundle", "type": "batch"}).content) == {"resourceType": "Bundle", "type": "batch-response"}
    for entry in (
        "x",
        [],
        [5],
        [{"request": {"method": "GET"}}],
        [{"request": 7}],
        [{"resource": patient()}],
        [{"request": {"method": "SEND", "url": "Patient"}}],
    ):
        response = either.post("/fhir", {"resourceType": "Bundle", "type": "batch", "entry": entry})
        assert response.status_code == 422 and issues(response), entry


def test_the_addresses_in_the_answer_are_the_clients_own(either: Api) -> None:
    answer = either.post("http://records.clinic.example:8443/fhir", {"resourceType": "Bundle", "type": "transaction", "entry": [post(patient())]})
    (entry,) = decode(answer.content)["entry"]
    assert entry["fullUrl"].startswith("http://records.clinic.example:8443/fhir/Patient/")
    assert HOST not in answer.text
