"""Every claim of `/fhir/metadata` is put to the test: whatever it says can be done, is done here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_gateway.cases.messageevent import event_of
from fhir_gateway.validation import decode, encode, shapes, validate
from fhir_gateway.validation.types import TYPES
from profiles import searchparameters
from tests.rest.conftest import BASE, JSON, Api, running
from tests.rest.test_cases import patient
from tests.rest.test_messages import Sender

SAMPLES: dict[str, Any] = {
    "boolean": True, "decimal": 1, "integer": 1, "positiveInt": 1, "unsignedInt": 1, "code": "x", "string": "x", "markdown": "x", "id": "x",
    "uri": "urn:x:y", "url": "urn:x:y", "canonical": "urn:x:y", "oid": "urn:oid:1.2", "uuid": "urn:uuid:6a0c2f8e-3b1d-4c53-9a54-0f1d2c3b4a59",
    "date": "2026-03-01", "dateTime": "2026-03-01", "instant": "2026-03-01T10:00:00Z", "time": "10:00:00", "base64Binary": "eA==",
    "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>',
}  # fmt: skip
DEFINITIONS = Path(__file__).parents[2] / "profiles/operationdefinition"
VALUES = {"token": "x", "string": "x", "reference": "x", "date": "2026-03-01", "uri": "urn:x:y", "number": "1", "quantity": "5.4"}


def smallest(shape: shapes.Shape, type: str = "") -> dict[str, Any]:
    """The least that is legal: every required element, and nothing else."""
    made: dict[str, Any] = {"resourceType": type} if type else {}
    chosen = [next(name for name, element in shape.elements.items() if element.group == group) for group in shape.required_groups]
    for name in (*shape.required, *chosen):
        element = shape.elements[name]
        made[name] = [_value(element)] if element.many else _value(element)
    return made


def _value(element: shapes.Element) -> Any:
    if element.kind == "resource":
        return {"resourceType": "Basic", "code": {"text": "x"}}
    if element.kind:
        return sorted(element.codes)[0] if element.codes else SAMPLES[element.kind]
    shape = shapes.shape(element.of)
    if shape.name == "Reference":
        kind = next(iter(sorted(element.targets - {"Resource"})), "Basic")
        return {"reference": f"https://elsewhere.example/fhir/{kind}/1"}
    if shape.name in ("Coding", "CodeableConcept"):
        coding = {"system": "urn:x:y", "code": "x"}
        return coding if shape.name == "Coding" else {"coding": [coding]}
    return smallest(shape) or {"id": "x"}


def instance(type: str) -> dict[str, Any]:
    shape = shapes.shape_of_resource(type)
    assert shape is not None
    made = smallest(shape, type)
    if type == "Subscription":  # what is subscribed must be something that can be told
        return {
            **made,
            "status": "off",
            "criteria": "Task?status=requested",
            "channel": {"type": "rest-hook", "endpoint": "https://elsewhere.example/hook"},
        }
    own = {
        "Bundle": {"type": "collection"},
        "Appointment": {"status": "proposed", "participant": [{"status": "accepted", "type": [{"text": "x"}]}]},
        "Consent": {"policyRule": {"text": "x"}},
        "EventDefinition": {"trigger": [{"type": "named-event", "name": "x"}]},
        "Organization": {"name": "x"},
    }  # what the least asks more of: a code of a list, or an invariant
    return made | own.get(type, {})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running(f"sqlite:///{tmp_path_factory.mktemp('metadata')}/metadata.db") as made:
        yield made


@pytest.fixture(scope="module")
def rest(server: Api) -> dict[str, Any]:
    statement = decode(server.get("/fhir/metadata").content)
    (only,) = statement["rest"]
    return dict(only)


def test_the_statement_is_legal_and_names_this_server(server: Api) -> None:
    statement = decode(server.get("/fhir/metadata").content)
    assert validate(statement) == []
    assert (statement["fhirVersion"], statement["implementation"]["url"]) == ("4.0.1", BASE)
    elsewhere = decode(server.get("http://other.example:81/fhir/metadata").content)
    assert elsewhere["implementation"]["url"] == "http://other.example:81/fhir"
    assert {claim["type"] for claim in statement["rest"][0]["resource"]} == TYPES


def test_every_format_claimed_is_spoken(server: Api) -> None:
    for kind in decode(server.get("/fhir/metadata").content)["format"]:
        assert server.get("/fhir/Patient", accept=kind if "/" in kind else "*/*").status_code == 200
        assert server.ask("GET", f"/fhir/Patient?_format={kind.replace('+', '%2B')}").status_code == 200


def test_every_patch_format_claimed_is_done(server: Api) -> None:
    held = server.made(instance("Patient"))
    bodies = {"application/json-patch+json": b'[{"op":"add","path":"/language","value":"de"}]', "application/merge-patch+json": b'{"language":"fr"}'}
    assert decode(server.get("/fhir/metadata").content)["patchFormat"] == list(bodies)
    for kind, body in bodies.items():
        assert server.ask("PATCH", f"/fhir/Patient/{held['id']}", body, content_type=kind).status_code == 200


def test_every_interaction_claimed_is_done(server: Api, rest: dict[str, Any]) -> None:
    done = 0
    for claim in rest["resource"]:
        type = claim["type"]
        assert [i["code"] for i in claim["interaction"]] == [
            "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type",
        ]  # fmt: skip
        resource = instance(type)
        created = server.post(f"/fhir/{type}", resource)
        assert created.status_code == 201, (type, resource, created.text)
        held = decode(created.content)
        here = f"/fhir/{type}/{held['id']}"
        assert server.get(here).status_code == 200
        assert server.put(here, {**held, "language": "de"}, if_match='W/"1"').headers["etag"] == 'W/"2"', type
        assert server.get(f"{here}/_history/1").status_code == 200 and claim["readHistory"]
        assert [r["id"] for r in server.found(type, f"_id={held['id']}")] == [held["id"]]
        assert server.get(here, if_none_match='W/"2"').status_code == 304
        patch = encode({"implicitRules": "urn:x:patched"})
        assert server.ask("PATCH", here, patch, content_type="application/merge-patch+json").headers["etag"] == 'W/"3"', type
        assert server.delete(here).status_code == 204 and server.get(here).status_code == 410
        versions = decode(server.get(f"{here}/_history").content)["entry"]
        assert [entry["request"]["method"] for entry in versions] == ["DELETE", "PUT", "PUT", "POST"]
        assert decode(server.get(f"/fhir/{type}/_history?_count=1").content)["entry"][0]["request"]["method"] == "DELETE"
        done += 1
    assert done == len(TYPES)


def test_conditions_claimed_are_honoured(server: Api, rest: dict[str, Any]) -> None:
    for claim in rest["resource"]:
        assert (claim["conditionalCreate"], claim["conditionalRead"], claim["updateCreate"], claim["versioning"]) == (
            True, "full-support", True, "versioned-update",
        )  # fmt: skip
        assert (claim["conditionalUpdate"], claim["conditionalDelete"]) == (True, "single")
        type = claim["type"]
        own = f"own-{type}"
        assert server.put(f"/fhir/{type}/{own}", {**instance(type), "id": own}).status_code == 201
        since = server.get(f"/fhir/{type}/{own}").headers["last-modified"]
        assert server.get(f"/fhir/{type}/{own}", if_modified_since=since).status_code == 304
        assert server.post(f"/fhir/{type}", instance(type), if_none_exist=f"_id={own}").status_code == 200
        assert server.put(f"/fhir/{type}?_id={own}", {**instance(type), "language": "fr"}).headers["etag"] == 'W/"2"'
        assert server.delete(f"/fhir/{type}?_id={own}").status_code == 204 and server.get(f"/fhir/{type}/{own}").status_code == 410


def test_every_search_parameter_claimed_is_known(server: Api, rest: dict[str, Any]) -> None:
    kinds = {parameter.url: parameter.kind for parameter in searchparameters.load()}
    pairs = {p.name: "$".join(VALUES[kinds[url]] for url in p.components) for p in searchparameters.load() if p.components}
    asked = 0
    for claim in rest["resource"]:
        names = [parameter["name"] for parameter in claim["searchParam"]]
        assert len(names) == len(set(names)) and {"_id", "_lastUpdated"} <= set(names)
        for parameter in claim["searchParam"]:
            value = pairs[f"{claim['type']}.{parameter['name']}"] if parameter["type"] == "composite" else VALUES[parameter["type"]]
            response = server.get(f"/fhir/{claim['type']}?{parameter['name']}={value}&_count=1")
            assert response.status_code == 200, (claim["type"], parameter, response.text)
            asked += 1
    assert asked > 2 * len(TYPES) and pairs


def test_every_include_claimed_is_done(server: Api, rest: dict[str, Any]) -> None:
    asked = 0
    for claim in rest["resource"]:
        names = [*(f"_include={n}" for n in claim["searchInclude"]), *(f"_revinclude={n}" for n in claim.get("searchRevInclude", ()))]
        response = server.get(f"/fhir/{claim['type']}?_id=nobody&{'&'.join(names)}")
        assert response.status_code == 200, (claim["type"], response.text)
        asked += len(names)
    assert asked > 3 * len(TYPES)


def test_both_kinds_of_bundle_claimed_are_done(server: Api, rest: dict[str, Any]) -> None:
    assert [i["code"] for i in rest["interaction"]] == ["transaction", "batch", "history-system", "search-system"]
    assert decode(server.get("/fhir/_history?_count=5").content)["type"] == "history"
    assert decode(server.get("/fhir?_type=Patient&_count=5").content)["type"] == "searchset"
    for kind in ("transaction", "batch"):
        response = server.sends({"resource": instance("Patient"), "request": {"method": "POST", "url": "Patient"}}, kind=kind)
        assert decode(response.content)["entry"][0]["response"]["status"] == "201 Created"


CLAIM = re.compile(r"`(?:([^`#]+)#)?([^`]+)`( of any system)?(?: with MessageHeader\.reason `(\w+)`)?")


def test_every_message_claimed_is_taken_where_it_is_said_to_be(server: Api) -> None:
    (messaging,) = decode(server.get("/fhir/metadata").content)["messaging"]
    ((address, protocol),) = [(one["address"], one["protocol"]["code"]) for one in messaging["endpoint"]]
    assert (address, protocol) == (f"{BASE}/$process-message", "http")
    lines = re.findall(r"^- ([a-z]+): (.+)$", messaging["documentation"], re.MULTILINE)
    claims = [(event, *claim.groups()) for event, line in lines for claim in CLAIM.finditer(line)]
    assert [event for event, _ in lines] == ["new", "modify", "cancel", "status", "records", "appointment"] and len(claims) == 35
    held = Sender(server)
    held.sends("new", held.referral())
    for event, system, code, anyone, reason in claims:
        assert bool(system) != bool(anyone)
        said, hospital = {"system": system or "urn:x:y", "code": code}, Sender(server) if event in ("new", "cancel") else held
        if event == "cancel":
            hospital.sends("new", hospital.referral())
        about = hospital.referral() if event != "records" else {**instance("Observation"), "subject": hospital.referral()["subject"]}
        if event == "appointment":
            about = instance("Appointment") | {"basedOn": [{"reference": f"ServiceRequest/{hospital.held()['id']}"}]}
        sent = hospital.message(said, about, patient(hospital.mrn), at="2026-09-11T10:00:00Z")
        header = sent["entry"][0]["resource"]
        header |= {"reason": {"coding": [{"system": "urn:x:y", "code": reason}]}} if reason else {}
        answer = server.post(address, sent)
        assert answer.status_code == 200, (event, code, answer.text)
        assert decode(answer.content)["entry"][0]["resource"]["response"]["code"] == "ok"
        assert hospital.state() == "cancelled" or event != "cancel"
        if system and not reason:
            assert event_of({"eventUri": f"{system}#{code}"}) == event
    assert server.post(address, Sender(server).message({"system": "urn:x:y", "code": "unheard-of"})).status_code == 422


EVERY_TYPE = {"validate", "meta", "meta-add", "meta-delete"}


def test_every_operation_claimed_is_there_and_defined(server: Api, rest: dict[str, Any]) -> None:
    operations = [(claim["type"], operation) for claim in rest["resource"] for operation in claim["operation"]]
    claimed = {(type, operation["name"]) for type, operation in operations if operation["name"] not in EVERY_TYPE}
    own = {("ServiceRequest", "authorise"), ("ServiceRequest", "completeness"), ("ServiceRequest", "opinion"), ("PlanDefinition", "questionnaire")}
    assert claimed == own | {("Patient", "everything"), ("Patient", "match"), ("CoverageEligibilityRequest", "submit")}
    assert {operation["name"] for operation in rest["operation"]} == {"meta", "process-message"}
    named = {operation["name"]: operation for _, operation in operations} | {operation["name"]: operation for operation in rest["operation"]}
    assert set(named) == {path.stem for path in DEFINITIONS.glob("*.json")}
    for type, operation in [*operations, *(("", one) for one in rest["operation"])]:
        defined = decode((DEFINITIONS / f"{operation['name']}.json").read_bytes())
        assert validate(defined) == []
        about = ["Resource"] if operation["name"] in EVERY_TYPE else [type] if type else []
        assert (defined["url"], defined["code"], defined.get("resource", [])) == (operation["definition"], operation["name"], about)


def test_operations_of_every_type_are_done_on_every_type(server: Api, rest: dict[str, Any]) -> None:
    label = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"system": "urn:x:y", "code": "claimed"}]}}]}
    for claim in rest["resource"]:
        type = claim["type"]
        assert {operation["name"] for operation in claim["operation"]} >= EVERY_TYPE
        judged = server.post(f"/fhir/{type}/$validate", instance(type))
        assert judged.status_code == 200, (type, judged.text)
        assert [i["severity"] for i in decode(judged.content)["issue"]] == ["information"], (type, judged.text)
        here = f"/fhir/{type}/{server.made(instance(type))['id']}"
        assert server.post(f"{here}/$validate?mode=update", decode(server.get(here, accept=JSON).content)).status_code == 200
        for step, tags in (("$meta-add", 1), ("$meta", 1), ("$meta-delete", 0)):
            answer = decode(server.post(f"{here}/{step}", label if step != "$meta" else {"resourceType": "Parameters"}).content)
            assert len(answer["parameter"][0]["valueMeta"].get("tag", [])) == tags, (type, step)


def test_operations_on_one_type_answer(server: Api) -> None:
    person = server.made({**instance("Patient"), "birthDate": "1971-03-14", "name": [{"family": "Claimed"}]})
    assert decode(server.get(f"/fhir/Patient/{person['id']}/$everything").content)["type"] == "searchset"
    asked = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": person}]}
    assert decode(server.post("/fhir/Patient/$match", asked).content)["type"] == "searchset"
    assert decode(server.post("/fhir/$process-message", {"resourceType": "Bundle", "type": "message"}).content)["resourceType"] == "OperationOutcome"
    form = decode(server.get("/fhir/PlanDefinition/breast/$questionnaire").content)
    assert form["resourceType"] == "Questionnaire"
    from tests import messages

    server.v2(messages.referral("META-1", mrn="META-1"))
    (case,) = server.found("ServiceRequest", "subject:Patient.identifier=META-1")
    for method in ("GET", "POST"):
        answer = server.ask(method, f"/fhir/ServiceRequest/{case['id']}/$completeness")
        assert decode(answer.content)["resourceType"] == "GuidanceResponse"
    refused = server.ask("POST", f"/fhir/ServiceRequest/{case['id']}/$opinion", {"resourceType": "Parameters"})
    assert refused.status_code == 422, "there, and asking for the opinion"
