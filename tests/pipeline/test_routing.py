"""Where a case goes, told through the entrances: the clinic writes its directory over FHIR, the referral brings the insurance."""

from __future__ import annotations

from typing import Any

from fhir_gateway.security.principal import Principal
from fhir_gateway.validation import encode, validate
from tests import messages
from tests.cases.test_routing import affiliation, role, service
from tests.pipeline.conftest import STAFF, Told


def holds(told: Told, id: str, resource: dict[str, Any], by: Principal = STAFF) -> None:
    told.gateway.fhir.update(by, resource["resourceType"], id, encode({**resource, "id": id}), None)


def without(resource: dict[str, Any], element: str) -> dict[str, Any]:
    return {key: value for key, value in resource.items() if key != element}


def organisations(told: Told) -> None:
    holds(told, "clinic", {"resourceType": "Organization", "name": "Second Opinion Clinic"})
    holds(told, "blue", {"resourceType": "Organization", "name": "Blue Plan"})
    holds(told, "ppo", {"resourceType": "Organization", "name": "Blue PPO", "partOf": {"reference": "Organization/blue"}})


def route(told: Told) -> dict[str, Any]:
    return dict(told.case()["case"]["route"])


def test_a_case_says_who_is_to_review_it_or_why_nobody_is(told: Told) -> None:
    told.receives(messages.referral())
    assert (route(told)["serviceLine"], route(told)["reason"]) == ("breast", "no-service-line")
    organisations(told)
    holds(told, "s", service())
    told.passes(minutes=1)
    assert (route(told)["service"], route(told)["reason"]) == ("HealthcareService/s", "no-reviewer")
    holds(told, "r", role())
    told.passes(minutes=1)
    assert route(told)["reason"] == "unknown-network"
    holds(told, "a", affiliation())
    told.passes(minutes=1)
    found = route(told)
    assert (found["inNetwork"], found["reason"], found["serviceName"]) == (True, None, "breast service")
    assert found["reviewers"] == [
        {
            "role": "PractitionerRole/r",
            "name": "Dr Weiss",
            "specialty": {"system": "http://nucc.org/provider-taxonomy", "code": "207RX0202X"},
            "service": "HealthcareService/s",
            "inNetwork": True,
        }
    ]
    assert told.cases()[0]["state"] == "received", "a route moves no case"
    guidance = told.gateway.completeness(STAFF, told.cases()[0]["id"], None)
    assert validate(guidance) == []
    (told_too,) = [one["part"] for one in guidance["contained"][0]["parameter"] if one["name"] == "route"]
    assert {"name": "reviewer", "valueReference": {"reference": "PractitionerRole/r"}} in told_too
    assert {"name": "inNetwork", "valueBoolean": True} in told_too


def test_a_directory_changed_is_followed_at_once_by_who_asks_and_soon_by_what_is_kept(told: Told) -> None:
    organisations(told)
    holds(told, "s", service())
    holds(told, "r", role())
    told.receives(messages.referral())
    assert len(route(told)["reviewers"]) == 1
    holds(told, "r", role(active=False))
    assert route(told)["reason"] == "no-reviewer", "read before the worker has come by"
    told.passes(minutes=1)
    with told.gateway.store.snapshot(STAFF) as tx:
        (case,) = tx.cases.list()
        kept = tx.cases.get(case.service_request_id)
    assert kept is not None and kept.evaluation is not None and kept.evaluation["case"]["route"]["reason"] == "no-reviewer"


def test_what_a_sender_says_of_itself_is_nobody_s_directory_here(told: Told) -> None:
    northside = Principal("referrer", "NORTHSIDE", "ehr")
    holds(told, "theirs", without(service(), "providedBy"), northside)
    told.receives(messages.referral())
    assert route(told)["reason"] == "no-service-line"
    organisations(told)
    holds(told, "s", service())
    holds(told, "their-role", without(role(), "healthcareService"), northside)
    told.passes(minutes=1)
    assert route(told)["reason"] == "no-reviewer"


def test_leave_on_the_day_of_the_appointment_counts_and_a_return_is_noticed_by_time_alone(told: Told) -> None:
    organisations(told)
    holds(told, "s", service())
    away = {"description": "leave", "during": {"start": "2026-09-01", "end": "2026-09-20"}}
    holds(told, "r", role(notAvailable=[away]))
    told.receives(messages.referral())
    assert route(told)["reason"] == "no-reviewer"
    told.receives(messages.appointment("S12", "20260928090000-0500", made="20260911080000-0500"))
    assert len(route(told)["reviewers"]) == 1, "back by then"
    told.receives(messages.appointment("S13", "20260918090000-0500", made="20260912080000-0500"))
    assert route(told)["reason"] == "no-reviewer"
    told.receives(messages.appointment("S15", "20260918090000-0500", made="20260913080000-0500", status="Cancelled"))
    assert route(told)["reason"] == "no-reviewer"
    told.passes(days=11)
    assert len(route(told)["reviewers"]) == 1, "the leave is over, and nobody wrote a word"


def test_a_site_without_a_list_of_its_own_goes_to_the_general_line(told: Told) -> None:
    holds(told, "s", without(service("general"), "providedBy"))
    told.receives(messages.referral(diagnosis="C64.1"))
    assert (route(told)["serviceLine"], route(told)["service"]) == ("general", "HealthcareService/s")
