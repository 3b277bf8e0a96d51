"""A payer at every address of the FHIR API: what it gets is its own, what it may write is two types, and refusals say nothing about what is held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from fhir_gateway.coverage.payer import Name, Payer
from fhir_gateway.errors import ConflictError, InvalidError, NotFoundError, TransitionError
from fhir_gateway.pipeline.payerview import resolver
from fhir_gateway.rest import common, instances, operations, routes, system, types
from fhir_gateway.security.principal import Principal
from fhir_gateway.validation import decode, encode
from profiles.payerview import VIEWS
from tests import messages
from tests.rest.conftest import STAFF, Api, issues, running

BLUE, GREEN = Principal("payer", "blue", "blue-system"), Principal("payer", "green", "green-system")
PAYERS = (Payer("blue", "Blue Plan", (Name("", "BLUE01"),)), Payer("green", "Green Plan", (Name("", "GREEN01"),)))
As = Callable[[Principal], None]
Json = dict[str, Any]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A case of a member of Blue Plan with records of all kinds, and another patient's, who is with Green Plan."""
    with running(f"sqlite:///{tmp_path_factory.mktemp('payer')}/payer.db") as made:
        made.gateway.store.knows_payers(lambda _: resolver(PAYERS))
        other = messages.referral("REF-2", mrn="777", family="Olafson", given="Olaf", born="19600101")
        for message in (
            messages.referral(),
            messages.pathology(),
            messages.blood_count(),
            messages.document("T02", "Her history, in words", made="20260911090000-0500"),
            messages.appointment("S12", "20261001090000-0500", made="20260912090000-0500"),
            other.replace(b"BLUE01^^^NAIC|Blue Plan", b"GREEN01^^^NAIC|Green Plan").replace(b"M-554321", b"M-000777"),
        ):
            assert made.v2(message) == "AA"
        yield made


@pytest.fixture
def as_(monkeypatch: pytest.MonkeyPatch) -> Iterator[As]:
    """Whose requests these are."""

    def become(principal: Principal) -> None:
        for module in (common, instances, operations, system, types):
            monkeypatch.setattr(module, "principal_of", lambda _request: principal)

    yield become


def held(api: Api) -> dict[str, Json]:
    """Everything there is, by `Type/id`."""
    found: dict[str, Json] = {}
    page = decode(encode(api.gateway.fhir.search(STAFF, "", [("_count", "1000")], "http://x")))
    for entry in page["entry"]:
        found[f"{entry['resource']['resourceType']}/{entry['resource']['id']}"] = entry["resource"]
    return found


def one(api: Api, type: str, **elements: str) -> Json:
    """The resource of Ines of a type."""
    return next(
        resource
        for name, resource in held(api).items()
        if name.startswith(f"{type}/") and all(v in str(resource.get(k)) for k, v in elements.items())
    )


def given(response: httpx.Response) -> list[Json]:
    """Every resource in an answer."""

    def within(value: Any) -> Iterator[Json]:
        if isinstance(value, dict):
            if "resourceType" in value and "id" in value:
                yield value
            value = list(value.values())
        for part in value if isinstance(value, list) else ():
            yield from within(part)

    return list(within(decode(response.content))) if response.content.startswith(b"{") else []


def test_a_payer_reads_the_member_the_plan_and_the_service(told: Api, as_: As) -> None:
    patient, plan, service = (
        one(told, "Patient", name="Marlowe"),
        one(told, "Coverage", subscriberId="M-554321"),
        one(told, "ServiceRequest", identifier="REF-1"),
    )
    as_(BLUE)
    seen = {type: told.found(type) for type in VIEWS}
    assert {type: [r["id"] for r in of] for type, of in seen.items() if of} == {
        "Patient": [patient["id"]],
        "Coverage": [plan["id"]],
        "ServiceRequest": [service["id"]],
    }
    assert seen["Patient"][0].keys() == {"resourceType", "id", "meta", "identifier", "name", "gender", "birthDate"}
    assert [i["value"] for i in seen["Patient"][0]["identifier"]] == ["M-554321"]
    assert seen["ServiceRequest"][0]["occurrenceDateTime"].startswith("2026-10-01T14:00")
    assert seen["ServiceRequest"][0].keys() <= {"resourceType", "id", "meta", "status", "intent", "category", "code", "subject", "occurrenceDateTime"}
    whole = told.get(f"/fhir/Patient/{patient['id']}/$everything")
    assert whole.status_code == 200, whole.text
    assert {r["id"] for r in given(whole)} == {patient["id"], plan["id"], service["id"]} and b"1 Elm St" not in whole.content
    assert told.get(f"/fhir/Patient/{patient['id']}/Coverage").json()["entry"][0]["resource"]["id"] == plan["id"]


def test_a_payer_that_was_asked_nothing_is_shown_no_document(told: Api) -> None:
    letter = one(told, "DocumentReference")
    with pytest.raises(InvalidError, match="has not been asked"):
        told.gateway.releases.release(STAFF, "REF-1", f"DocumentReference/{letter['id']}", "blue")


ADDRESSES = sorted(
    (method, route.path)  # type: ignore[attr-defined]
    for route in routes.router.routes
    for method in route.methods  # type: ignore[attr-defined]
    if route.path not in ("/fhir/metadata", "/fhir/.well-known/smart-configuration")  # type: ignore[attr-defined]
)
BODIES: dict[str, tuple[Any, str]] = {
    "/fhir": ({"resourceType": "Bundle", "type": "transaction", "entry": [{"request": {"method": "GET", "url": "Patient"}}]}, ""),
    "/fhir/": ({"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "Patient"}}]}, ""),
    "/fhir/$process-message": ({"resourceType": "Bundle", "type": "message"}, ""),
    "/fhir/Patient/$match": ({"resourceType": "Patient", "name": [{"family": "Marlowe"}], "birthDate": "1971-03-14"}, ""),
    "/fhir/ServiceRequest/$completeness": ({"resourceType": "Bundle", "type": "collection", "entry": []}, ""),
}


def body_for(method: str, path: str, resource: Json) -> tuple[Any, dict[str, str]]:
    if method == "PATCH":
        return b'{"language": "de"}', {"content_type": "application/merge-patch+json"}
    if path.endswith("/_search"):
        return b"", {"content_type": "application/x-www-form-urlencoded"}
    if "$meta" in path and method == "POST":
        tag = {"name": "meta", "valueMeta": {"tag": [{"system": "urn:x", "code": "y"}]}}
        return {"resourceType": "Parameters", "parameter": [tag]}, {}
    if method in ("POST", "PUT"):
        return BODIES.get(path, ({"resourceType": "Parameters"} if "{id}/$" in path else resource, ""))[0], {}
    return None, {}


def test_no_address_gives_or_changes_more(told: Api, as_: As) -> None:
    before = held(told)
    as_(BLUE)
    mine = {f"{type}/{r['id']}" for type in VIEWS for r in told.found(type)}
    samples = {name.partition("/")[0]: name for name in before} | {name: name for name in mine}
    for method, path in ADDRESSES:
        for name in [*samples.values()] if "{" in path else ["Patient/x"]:
            type, _, id = name.partition("/")
            body, headers = body_for(method, path, before.get(name, {}))
            address = path.format(type=type, id=id, version="1")
            response = told.ask(method, address, body, **headers)
            assert response.status_code < 500, (method, address, response.text)
            assert {f"{r['resourceType']}/{r['id']}" for r in given(response)} <= mine, (method, address)
            for secret in (b"Elm St", b"ductal", b"Her history", b"Olaf", b"M-000777", b"C50", b"Okafor", b"554321^^^NORTHSIDE"):
                assert secret not in response.content, (method, address)
            if method in ("PUT", "PATCH") or (method == "POST" and path == "/fhir/{type}"):
                assert response.status_code >= 400, (method, address)
    after = held(told)
    assert {name: after[name] for name in before} == before
    assert all(name.startswith("Task/") for name in after.keys() - before.keys()), "but what the gateway asks its own staff"


def test_the_same_is_said_of_what_is_hidden_and_of_what_is_not_there(told: Api, as_: As) -> None:
    everything = held(told)
    as_(BLUE)
    mine = {f"{type}/{r['id']}" for type in VIEWS for r in told.found(type)}
    for name in everything.keys() - mine:
        type, _, id = name.partition("/")
        for method, path in (("GET", ""), ("GET", "/_history"), ("GET", "/_history/1"), ("DELETE", ""), ("GET", "/$meta"), ("GET", "/$validate")):
            hidden = told.ask(method, f"/fhir/{name}{path}")
            absent = told.ask(method, f"/fhir/{type}/0{id[1:-1]}0{path}")
            assert hidden.status_code == absent.status_code, (method, name, path)
            assert hidden.text.replace(id, "") == absent.text.replace(f"0{id[1:-1]}0", ""), (method, name, path)


def test_questions_that_look_through_are_refused_whatever_is_held(told: Api, as_: As) -> None:
    as_(BLUE)
    for query in (
        "Patient?family=Marlowe",
        "Patient?identifier=554321",
        "Patient?_has:Condition:patient:code=C50.411",
        "Coverage?patient.birthdate=1971-03-14",
        "Coverage?_include=Coverage:patient",
        "Patient?_revinclude=Coverage:patient",
        "ServiceRequest?requester:missing=false",
        "ServiceRequest?_sort=occurrence",
        "Coverage?payor=x",
        "_history",
        "Patient/_history",
    ):
        response = told.get(f"/fhir/{query}")
        assert response.status_code == 403 and issues(response)[0]["code"] == "forbidden", query
    assert told.ask("POST", "/fhir/Coverage", {"resourceType": "Coverage"}, if_none_exist="identifier=x").status_code in (403, 422)


def question(api: Api) -> Json:
    """What Blue Plan asks about its member."""
    plan = one(api, "Coverage", subscriberId="M-554321")
    return {
        "resourceType": "CoverageEligibilityRequest",
        "status": "active",
        "purpose": ["validation"],
        "patient": plan["beneficiary"],
        "created": "2026-09-12",
        "insurer": {"display": "Blue Plan"},
        "insurance": [{"coverage": {"reference": f"Coverage/{plan['id']}"}}],
    }


def test_a_payer_asks_about_its_members_and_decides_what_was_put_to_it(told: Api, as_: As) -> None:
    asked, service = question(told), one(told, "ServiceRequest", identifier="REF-1")
    others = one(told, "Coverage", subscriberId="M-000777")
    about = {"status": "active", "use": "preauthorization", "patient": asked["patient"], "created": "2026-09-12"}
    under = [{"sequence": 1, "focal": True, "coverage": asked["insurance"][0]["coverage"]}]
    kind = {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/claim-type", "code": "professional"}]}}
    claim = {
        "resourceType": "Claim", **about, **kind, "provider": {"display": "Clinic"}, "priority": {"text": "normal"}, "insurance": under,
        "referral": {"reference": f"ServiceRequest/{service['id']}"},
    }  # fmt: skip
    put = told.made(claim)
    decision = {"resourceType": "ClaimResponse", **about, **kind, "insurer": {"display": "Blue Plan"}, "outcome": "complete", "preAuthRef": "A-1"}
    as_(BLUE)
    for coverage in (f"Coverage/{others['id']}", "Coverage/nobody"):
        refused = told.post("/fhir/CoverageEligibilityRequest", asked | {"insurance": [{"coverage": {"reference": coverage}}]})
        assert refused.status_code == 422 and issues(refused)[0]["code"] == "not-found"
    made = told.made(asked)
    answered = told.post("/fhir/ClaimResponse", decision | {"request": {"reference": f"Claim/{put['id']}"}})
    assert answered.status_code == 201 and b"missing" not in answered.content
    assert told.post("/fhir/ClaimResponse", decision).status_code == 422, "a decision about nothing"
    assert told.found("Claim")[0]["referral"] == {"reference": f"ServiceRequest/{service['id']}"}
    assert [r["id"] for r in told.found("CoverageEligibilityRequest")] == [made["id"]]
    as_(GREEN)
    assert told.found("CoverageEligibilityRequest") == told.found("ClaimResponse") == told.found("Claim") == []
    assert told.post("/fhir/ClaimResponse", decision | {"request": {"reference": f"Claim/{put['id']}"}}).status_code == 422
    told.gateway.store.flush_audit()
    with told.gateway.store.snapshot(STAFF) as tx:
        assert ("green", "refused") in [(by, what) for _, by, _, what in tx.audit.of("ClaimResponse", "")]
        assert ("blue", "create") in [(by, what) for _, by, _, what in tx.audit.of("CoverageEligibilityRequest", made["id"])]
        assert ("blue", "found") in [(by, what) for _, by, _, what in tx.audit.of("Claim", put["id"])]


def test_what_the_clinic_asks_by_its_operation_the_payer_decides(told: Api, as_: As) -> None:
    service = one(told, "ServiceRequest", identifier="REF-2")
    place = f"/fhir/ServiceRequest/{service['id']}/$authorise"
    wanted = {"resourceType": "Parameters", "parameter": [{"name": "expedited", "valueBoolean": True}]}
    as_(GREEN)
    assert told.post(place, wanted).status_code == 404, "only the clinic asks"
    as_(STAFF)
    asked = told.post(place, wanted)
    claim = decode(asked.content)
    assert asked.status_code == 201 and claim["priority"]["coding"][0]["code"] == "stat"
    assert told.post(place, wanted).status_code == 422, "once"
    as_(GREEN)
    (seen,) = told.found("Claim")
    assert seen["id"] == claim["id"] and "reference" not in seen["insurer"]
    decision = {name: seen[name] for name in ("status", "type", "use", "patient", "insurance")}
    decision |= {"resourceType": "ClaimResponse", "created": "2026-09-12", "insurer": seen["insurer"], "outcome": "queued"}
    decision |= {"request": {"reference": f"Claim/{claim['id']}"}, "processNote": [{"text": "Pathology report"}]}
    told.made(decision)
    as_(STAFF)
    case = told.gateway.case(STAFF, "REF-2", None)["money"]
    assert (case["authorisationState"], case["claim"]) == ("pended", f"Claim/{claim['id']}")


def test_staff_release_a_document_and_no_opinion(told: Api, as_: As) -> None:
    gateway, letter = told.gateway, one(told, "DocumentReference")
    name = f"DocumentReference/{letter['id']}"
    with pytest.raises(InvalidError, match="no payer of the case"):
        gateway.releases.release(STAFF, "REF-1", name, "green")
    with pytest.raises(NotFoundError):
        gateway.releases.release(STAFF, "REF-2", name, "green")
    with pytest.raises(NotFoundError):
        gateway.releases.release(BLUE, "REF-1", name, "blue")
    gateway.releases.release(STAFF, "REF-1", name, "blue")
    as_(BLUE)
    (seen,) = told.found("DocumentReference")
    assert seen["id"] == letter["id"] and "author" not in seen
    with gateway.store.snapshot(STAFF) as tx:
        assert ("", "disclose") in [(by, what) for _, by, _, what in tx.audit.of("DocumentReference", letter["id"])]
    gateway.releases.take_back(STAFF, "REF-1", name, "blue")
    assert told.found("DocumentReference") == []
    with pytest.raises(NotFoundError):
        gateway.releases.take_back(STAFF, "REF-1", name, "blue")


def test_an_answer_that_no_plan_is_to_be_billed_cuts_the_view(told: Api, as_: As) -> None:
    service = one(told, "ServiceRequest", identifier="REF-1")
    said = {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "authored": "2026-09-13",
        "subject": service["subject"],
        "item": [{"linkId": "self-pay", "answer": [{"valueBoolean": True}]}],
    }
    made = told.made(said)
    as_(BLUE)
    assert told.found("ServiceRequest") == told.found("Claim") == []
    assert len(told.found("Coverage")) == len(told.found("Patient")) == 1, "the plan is still hers"
    as_(STAFF)
    told.put(f"/fhir/QuestionnaireResponse/{made['id']}", made | {"item": [{"linkId": "self-pay", "answer": [{"valueBoolean": False}]}]})
    as_(BLUE)
    assert len(told.found("ServiceRequest")) == 1


def forbids(api: Api, **rule: Any) -> Json:
    """Her Consent that the plan is not to be told."""
    payment = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HPAYMT"}]
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": one(api, "ServiceRequest", identifier="REF-1")["subject"],
        "policyRule": {"text": "45 CFR 164.522(a)(1)(vi)"},
        "provision": {"type": "deny", **(rule or {"purpose": payment})},
    }


def test_a_consent_that_forbids_to_tell_the_plan_cuts_the_view_and_turns_the_gate(told: Api, as_: As) -> None:
    before = told.gateway.case(STAFF, "REF-1", None)
    made = told.made(forbids(told))
    cut = told.gateway.case(STAFF, "REF-1", None)
    assert cut["gates"]["money"]["state"] == "satisfied" != before["gates"]["money"]["state"]
    assert cut["gates"]["permission"]["state"] == before["gates"]["permission"]["state"] and cut["money"]["coverage"] is None
    with pytest.raises(ConflictError):
        told.gateway.check_coverage(STAFF, "REF-1")
    with pytest.raises(TransitionError):
        told.gateway.authorising.ask(STAFF, "REF-1")
    asked = question(told)
    as_(BLUE)
    assert all(told.found(type) == [] for type in VIEWS)
    assert told.post("/fhir/CoverageEligibilityRequest", asked).status_code == 422
    as_(STAFF)
    told.put(f"/fhir/Consent/{made['id']}", made | {"status": "inactive"})
    assert told.gateway.case(STAFF, "REF-1", None)["gates"]["money"] == before["gates"]["money"]
    as_(BLUE)
    assert len(told.found("ServiceRequest")) == len(told.found("Patient")) == 1
    as_(STAFF)
    told.made(forbids(told, actor=[{"role": {"coding": [{"code": "PRCP"}]}, "reference": {"display": "blue plan"}}]))
    assert told.gateway.case(STAFF, "REF-1", None)["gates"]["money"] == cut["gates"]["money"], "the payer by its name"
    as_(BLUE)
    assert told.found("Patient") == []
