"""Subscriptions: what may be asked for, the handshake, ids only, errors and their end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from fhir_gateway.errors import GatewayError
from fhir_gateway.security.principal import Principal
from fhir_gateway.validation import decode, encode, validate
from tests import messages
from tests.partner import Endpoint, endpoint
from tests.pipeline.conftest import STAFF, Told
from tests.pipeline.test_chasing import sends

CASE_STATE = "urn:second-opinion-gateway:SubscriptionTopic:case-state"
NORTHSIDE = Principal("referrer", "NORTHSIDE", "northside-ehr")
PATHLAB = Principal("referrer", "PATHLAB", "pathlab")


@pytest.fixture
def hook() -> Iterator[Endpoint]:
    with endpoint() as here:
        yield here


def subscription(hook: Endpoint, criteria: str = CASE_STATE, **content: Any) -> dict[str, Any]:
    channel = {
        "type": "rest-hook",
        "endpoint": f"{hook.address}/hook",
        "payload": "application/fhir+json",
        "header": ["Authorization: Bearer s3cret"],
    }
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "to follow our referrals",
        "criteria": criteria,
        "channel": channel,
    } | content


def subscribes(told: Told, resource: dict[str, Any], principal: Principal = STAFF) -> str:
    made = told.gateway.fhir.create(principal, "Subscription", encode(resource), None)
    sends(told)
    return made.stored.id


def held(told: Told, id: str) -> dict[str, Any]:
    return decode(told.gateway.fhir.read(STAFF, "Subscription", id).body)


def kind(bundle: dict[str, Any]) -> str:
    status = bundle["entry"][0]["resource"]
    return next(str(p["valueCode"]) for p in status["parameter"] if p["name"] == "type")


def test_an_endpoint_is_asked_before_it_is_told_anything(told: Told, hook: Endpoint) -> None:
    id = subscribes(told, subscription(hook))
    (post,) = hook.posts
    assert (kind(post.json), post.headers["authorization"], post.path) == ("handshake", "Bearer s3cret", "/hook")
    assert validate(post.json) == []
    assert held(told, id)["status"] == "active"


def test_a_case_that_moves_is_told_once_per_move_by_id_only(told: Told, hook: Endpoint) -> None:
    id = subscribes(told, subscription(hook))
    told.receives(messages.referral())
    told.gateway.actions.move(STAFF, "REF-1", "accept")
    sends(told)
    sends(told)
    (_, first, second) = hook.posts
    task = told.found("Task", code="fulfill")[0]["id"]
    for post in (first, second):
        assert validate(post.json) == []
        assert post.json["entry"][1]["fullUrl"].endswith(f"/Task/{task}")
        assert "resource" not in post.json["entry"][1]
        assert b"Marlowe" not in post.body
    numbers = [next(p["valueString"] for p in b.json["entry"][0]["resource"]["parameter"] if "events-since" in p["name"]) for b in (first, second)]
    assert numbers == ["1", "2"]
    assert held(told, id)["status"] == "active"


def test_a_search_as_criteria_is_told_of_every_version_it_finds(told: Told, hook: Endpoint) -> None:
    subscribes(told, subscription(hook, "Task?code=record-request&status=requested"))
    told.receives(messages.referral())
    told.gateway.actions.request(STAFF, "REF-1", ["lab-cbc"])
    told.receives(messages.blood_count())
    sends(told)
    told_of = [post.json["entry"][1]["fullUrl"].rpartition("/")[2] for post in hook.posts[1:]]
    assert told_of == [task["id"] for task in told.found("Task", code="record-request")]


@pytest.mark.parametrize("topic", ["item-accepted", "item-requested", "opinion-issued", "appointment", "item-reopened"])
def test_every_topic_is_told(told: Told, hook: Endpoint, topic: str) -> None:
    subscribes(told, subscription(hook, f"urn:second-opinion-gateway:SubscriptionTopic:{topic}"))
    told.receives(messages.referral())
    told.gateway.actions.request(STAFF, "REF-1", ["pathology-report"])
    told.receives(messages.pathology())
    told.receives(messages.pathology(status="X", reported="20260908100000-0500", made="20260908100100-0500"))
    told.receives(messages.appointment("S12", "20260928090000-0500", made="20260911080000-0500"))
    told.gateway.actions.move(STAFF, "REF-1", "start-review")
    told.opines()
    sends(told)
    told_of = [kind(post.json) for post in hook.posts]
    assert told_of[0] == "handshake"
    if topic in ("item-accepted", "item-reopened"):  # the report, and the results that can be read in it
        assert len(told_of) > 2
    else:
        assert len(told_of) == 2


def test_without_a_payload_the_notification_is_empty(told: Told, hook: Endpoint) -> None:
    subscribes(told, subscription(hook, channel={"type": "rest-hook", "endpoint": hook.address}))
    told.receives(messages.referral())
    sends(told)
    assert [post.body for post in hook.posts] == [b"", b""]


def test_a_referrer_is_told_of_its_own_cases_only(told: Told, hook: Endpoint) -> None:
    subscribes(told, subscription(hook), PATHLAB)
    subscribes(told, subscription(hook, "ServiceRequest?status=active"), PATHLAB)
    told.receives(messages.referral())
    sends(told)
    assert [kind(post.json) for post in hook.posts] == ["handshake", "handshake"]
    subscribes(told, subscription(hook), NORTHSIDE)
    told.receives(messages.referral("REF-2", diagnosis="C34.1"))
    sends(told)
    assert [kind(post.json) for post in hook.posts][3:] == ["event-notification"]


def test_an_endpoint_that_fails_is_in_error_while_tried_again_and_recovers(told: Told, hook: Endpoint) -> None:
    id = subscribes(told, subscription(hook))
    hook.answers += [500]
    told.receives(messages.referral())
    sends(told)
    assert (held(told, id)["status"], held(told, id)["error"]) == ("error", "HTTP 500")
    told.now += timedelta(minutes=1)
    sends(told)
    assert (held(told, id)["status"], "error" in held(told, id)) == ("active", False)


def test_an_endpoint_that_stays_away_is_switched_off_and_asked_for_anew(told: Told, hook: Endpoint) -> None:
    id = subscribes(told, subscription(hook))
    hook.answers += [503] * 40
    told.receives(messages.referral())
    for _ in range(40):
        sends(told)
        told.now += timedelta(minutes=30)
    assert held(told, id)["status"] == "off"
    number = len(hook.posts)
    told.gateway.actions.move(STAFF, "REF-1", "accept")
    sends(told)
    assert len(hook.posts) == number, "off is off"
    hook.answers.clear()
    again = {k: v for k, v in held(told, id).items() if k not in ("error", "meta")} | {"status": "requested"}
    told.gateway.fhir.update(STAFF, "Subscription", id, encode(again), None)
    sends(told)
    assert held(told, id)["status"] == "active"


def test_an_endpoint_that_says_gone_is_switched_off_at_once(told: Told, hook: Endpoint) -> None:
    id = subscribes(told, subscription(hook))
    hook.answers += [410]
    told.receives(messages.referral())
    sends(told)
    assert held(told, id)["status"] == "off"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"criteria": "urn:second-opinion-gateway:SubscriptionTopic:weather"}, "Subscription.criteria"),
        ({"criteria": "Task?colour=blue"}, "Subscription.criteria"),
        ({"criteria": "Nothing?x=y"}, "Subscription.criteria"),
        ({"channel": {"type": "email", "endpoint": "mailto:a@example.org"}}, "Subscription.channel.type"),
        ({"channel": {"type": "rest-hook", "endpoint": "https://user:pw@ehr.example/hook"}}, "Subscription.channel.endpoint"),
        ({"channel": {"type": "rest-hook", "endpoint": "file:///etc/passwd"}}, "Subscription.channel.endpoint"),
        ({"channel": {"type": "rest-hook", "endpoint": "https://ehr.example/h", "payload": "application/fhir+xml"}}, "Subscription.channel.payload"),
        ({"channel": {"type": "rest-hook", "endpoint": "https://ehr.example/h", "header": ["no colon"]}}, "Subscription.channel.header"),
    ],
)
def test_what_can_not_be_subscribed_is_refused_with_its_place(told: Told, hook: Endpoint, change: dict[str, Any], where: str) -> None:
    with pytest.raises(GatewayError) as refused:
        told.gateway.fhir.create(STAFF, "Subscription", encode(subscription(hook) | change), None)
    assert refused.value.http == 422
    assert where in [issue.expression for issue in refused.value.issues]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"channel": {"type": "rest-hook", "endpoint": "http://ehr.example/hook"}}, "https addresses only"),
        ({"criteria": "http://example.org/SubscriptionTopic/other"}, "topic is not known here"),
    ],
)
def test_what_can_not_be_served_is_taken_as_it_is_never_called_and_switched_off_with_the_reason(
    told: Told, hook: Endpoint, change: dict[str, Any], why: str
) -> None:
    asked = subscription(hook) | change | {"status": "active"}
    made = told.gateway.fhir.create(STAFF, "Subscription", encode(asked), None).stored
    assert {name: value for name, value in made.resource.items() if name not in ("id", "meta")} == asked
    told.receives(messages.referral())
    sends(told)
    assert hook.posts == []
    now = held(told, made.id)
    assert (now["status"], why in now["error"]) == ("off", True)


def test_one_written_as_active_is_asked_first_all_the_same(told: Told, hook: Endpoint) -> None:
    subscribes(told, subscription(hook, status="active"))
    told.receives(messages.referral())
    sends(told)
    assert [kind(post.json) for post in hook.posts] == ["handshake", "event-notification"]
