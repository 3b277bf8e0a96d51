"""Who reviews a case: decided from the clinic's directory and the patient's Coverage alone."""

from __future__ import annotations

import json
from datetime import UTC, date
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_gateway.cases import routing
from fhir_gateway.cases.routing import Directory, Route
from fhir_gateway.validation import validate
from profiles import plandefinitions, servicelines
from profiles.servicelines import Line

DAY = date(2026, 10, 1)
NUCC = "http://nucc.org/provider-taxonomy"
ONCOLOGY, SURGERY, UROLOGY = "207RX0202X", "2086X0206X", "208800000X"
LINES = servicelines.load()


def coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def service(line: str = "breast", **more: Any) -> dict[str, Any]:
    own = {"providedBy": {"reference": "Organization/clinic"}, "name": f"{line} service"}
    return {"resourceType": "HealthcareService", "active": True, "type": [coded(routing.SERVICE_LINES, line)], **own, **more}


def role(specialty: str = ONCOLOGY, name: str = "Dr Weiss", **more: Any) -> dict[str, Any]:
    made = {"resourceType": "PractitionerRole", "practitioner": {"display": name}, "specialty": [coded(NUCC, specialty)]}
    return {**made, "healthcareService": [{"reference": "HealthcareService/s"}], **more}


def affiliation(network: str = "Organization/ppo", organisation: str = "Organization/clinic", **more: Any) -> dict[str, Any]:
    made = {"resourceType": "OrganizationAffiliation", "participatingOrganization": {"reference": organisation}}
    return {**made, "network": [{"reference": network}], **more}


PPO = {"resourceType": "Organization", "name": "Blue PPO", "identifier": [{"value": "BLUE-PPO"}], "partOf": {"reference": "Organization/blue"}}
BLUE = {"resourceType": "Organization", "name": "Blue Plan", "identifier": [{"value": "BLUE01"}]}
ORGANIZATIONS = {"Organization/ppo": PPO, "Organization/blue": BLUE}


def coverage(**more: Any) -> dict[str, Any]:
    person = {"reference": "Patient/p"}
    return {"resourceType": "Coverage", "status": "active", "beneficiary": person, "payor": [{"identifier": {"value": "BLUE01"}}], **more}


def routed(
    services: list[Any] | None = None, roles: list[Any] | None = None, affiliations: list[Any] | None = None, *coverages: Any, group: str = "breast"
) -> Route:
    held = [services if services is not None else [service()], roles if roles is not None else [role()], affiliations or []]
    for resource in [*held[0], *held[1], *held[2], *coverages]:
        assert validate(resource) == [], "the story is told in legal resources"
    names = ("s", "s2"), ("r", "r2", "r3"), ("a", "a2")
    kinds = ("HealthcareService", "PractitionerRole", "OrganizationAffiliation")
    maps = [{f"{kind}/{id}": one for id, one in zip(ids, given, strict=False)} for kind, ids, given in zip(kinds, names, held, strict=True)]
    return routing.route(LINES.get(group, Line(group)), Directory(*maps, ORGANIZATIONS), coverages, DAY, UTC)


def test_every_list_has_a_service_line_and_kinds_of_reviewer() -> None:
    assert LINES.keys() == plandefinitions.load().keys()
    assert all(line.reviewers for line in LINES.values())
    folder = Path(routing.__file__).parents[2] / "profiles"
    document = json.loads((folder / "conceptmap/tumour-group-routing.json").read_text("utf-8"))
    get_fhir_model_class("ConceptMap").model_validate(document)
    assert validate(document) == []
    known = {c["code"] for c in json.loads((folder / "codesystem/service-line.json").read_text("utf-8"))["concept"]}
    assert {line.code for line in LINES.values()} == known


def test_a_case_goes_to_its_line_s_service_and_the_specialists_that_review_it() -> None:
    found = routed(None, [role(UROLOGY, "Dr Stone"), role(SURGERY, "Dr Blade"), role(ONCOLOGY, "Dr Weiss")])
    assert (found.service, found.service_name) == ("HealthcareService/s", "breast service")
    assert [one.name for one in found.reviewers] == ["Dr Weiss", "Dr Blade"], "the usual lead first; a urologist reviews no breast cancer"
    assert found.reviewers[0].specialty == {"system": NUCC, "code": ONCOLOGY}


@pytest.mark.parametrize(
    ("services", "roles", "reason"),
    [
        ([], None, "no-service-line"),
        ([service("thoracic")], None, "no-service-line"),
        ([service(active=False)], None, "no-service-line"),
        ([service(notAvailable=[{"description": "closed", "during": {"start": "2026-09-28", "end": "2026-10-04"}}])], None, "no-service-line"),
        (None, [], "no-reviewer"),
        (None, [role(UROLOGY)], "no-reviewer"),
        (None, [role(active=False)], "no-reviewer"),
        (None, [role(period={"end": "2026-09-30"})], "no-reviewer"),
        (None, [role(period={"start": "2026-10-02"})], "no-reviewer"),
        (None, [role(notAvailable=[{"description": "leave", "during": {"start": "2026-10-01", "end": "2026-10-01"}}])], "no-reviewer"),
        (None, [role(healthcareService=[{"reference": "HealthcareService/other"}])], "no-reviewer"),
        (None, [role(period={"start": "2026-10-01", "end": "2026-10-01"})], "no-coverage"),
    ],
)
def test_who_is_not_there_on_the_day_does_not_count(services: Any, roles: Any, reason: str) -> None:
    assert routed(services, roles).reason == reason


def test_what_an_element_does_not_say_excludes_nobody() -> None:
    without = {key: value for key, value in role().items() if key != "healthcareService"}
    assert [one.role for one in routed(None, [without]).reviewers] == ["PractitionerRole/r"]
    own = routed([service("own-group")], [role(UROLOGY)], group="own-group")
    assert own.reviewers, "a list of the clinic's own is a line of its own name, for any specialty"


@pytest.mark.parametrize(
    ("affiliations", "held", "expected"),
    [
        ([affiliation()], [coverage()], (True, None)),  # the payer that the network is part of
        ([affiliation()], [coverage(network="blue ppo")], (True, None)),  # the plan's own name for the network, whatever its case
        ([affiliation()], [coverage(network="BLUE-PPO")], (True, None)),
        ([affiliation()], [coverage(payor=[{"reference": "Organization/blue"}])], (True, None)),
        ([affiliation()], [coverage(payor=[{"display": "Blue Plan"}])], (True, None)),
        ([affiliation(organisation="Organization/elsewhere")], [coverage()], (False, "none-in-network")),
        ([affiliation(active=False)], [coverage()], (False, "none-in-network")),
        ([affiliation(period={"end": "2026-09-30"})], [coverage()], (False, "none-in-network")),
        ([affiliation(healthcareService=[{"reference": "HealthcareService/other"}])], [coverage()], (False, "none-in-network")),
        ([affiliation()], [coverage(network="Narrow HMO")], (None, "unknown-network")),
        ([affiliation()], [coverage(payor=[{"display": "Green Mutual"}])], (None, "unknown-network")),
        ([], [coverage()], (None, "unknown-network")),
        ([affiliation()], [], (None, "no-coverage")),
        ([affiliation()], [coverage(status="cancelled")], (None, "no-coverage")),
        ([affiliation()], [coverage(period={"end": "2026-09-30"})], (None, "no-coverage")),
        ([affiliation()], [coverage(payor=[{"display": "Green Mutual"}]), coverage()], (True, None)),
    ],
)
def test_network_membership(affiliations: list[Any], held: list[Any], expected: tuple[bool | None, str | None]) -> None:
    found = routed(None, None, affiliations, *held)
    assert (found.in_network, found.reason) == expected


def test_who_is_in_the_network_is_named_before_who_is_not() -> None:
    outside = role(name="Dr Out", organization={"reference": "Organization/outside"})
    found = routed(None, [outside, role(SURGERY, "Dr In")], [affiliation()], coverage())
    assert [(one.name, one.in_network) for one in found.reviewers] == [("Dr In", True), ("Dr Out", False)]
    assert found.in_network is True


def test_the_next_day_it_may_change_is_known() -> None:
    away = {"description": "leave", "during": {"start": "2026-10-20", "end": "2026-10-31"}}
    assert routed(None, [role(period={"end": "2027-01-31"}, notAvailable=[away])]).changes == date(2026, 10, 20)
    assert routed().changes is None
