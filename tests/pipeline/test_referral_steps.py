"""REF^I12, I13 and I14 about one referral, in the order of their own clocks whatever the order of arrival."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from tests import messages
from tests.pipeline.conftest import STAFF, Told

TOLD = messages.referral(made="20260910080000-0500", question="Is surgery first right?")
CHANGED = messages.referral(made="20260911080000-0500", event="I13", question="HER2 is positive: what now?")
WITHDRAWN = messages.withdrawal(made="20260912080000-0500")


def referral(told: Told) -> dict[str, Any]:
    (only,) = [r for r in told.found("ServiceRequest") if "category" in r]
    return only


@pytest.mark.parametrize(
    "order", list(permutations((TOLD, CHANGED, WITHDRAWN))), ids=lambda order: "-".join("IMW"[(TOLD, CHANGED, WITHDRAWN).index(m)] for m in order)
)
def test_any_order_ends_with_the_changed_referral_withdrawn(told: Told, order: tuple[bytes, ...]) -> None:
    for message in order:
        assert told.receives(message)[0] == "AA"
    held = referral(told)
    assert held["status"] == "revoked"
    assert [reason["text"] for reason in held["reasonCode"] if "text" in reason] == ["HER2 is positive: what now?"]
    assert told.found("Task")[0]["status"] == "cancelled"


def test_a_change_is_one_referral_and_one_case(told: Told) -> None:
    told.receives(TOLD)
    told.receives(CHANGED)
    assert len(told.cases()) == 1
    assert referral(told)["status"] == "active"


def test_a_withdrawal_alone_waits_for_its_referral_and_opens_no_living_case(told: Told) -> None:
    told.receives(WITHDRAWN)
    assert told.cases() == []
    told.receives(TOLD)
    held = referral(told)
    assert (held["status"], told.cases()) == ("revoked", [])
    assert "insurance" in held


def test_a_withdrawn_referral_sent_again_later_is_received_again(told: Told) -> None:
    told.receives(TOLD)
    told.receives(WITHDRAWN)
    told.passes(days=3)
    told.receives(messages.referral(made="20260913080000-0500", question="She changed her mind"))
    assert told.case()["case"]["state"] == "received"
    assert referral(told)["status"] == "active"


def test_a_declined_referral_resubmitted_after_the_decision_is_received_again(told: Told) -> None:
    told.receives(TOLD)
    told.gateway.actions.move(STAFF, "REF-1", "decline", "no capacity")
    told.receives(messages.referral(made="20260910020000-0500", event="I13", question="sent before, held up on the way"))
    assert told.found("Task")[0]["status"] == "rejected"
    told.passes(days=2)
    told.receives(messages.referral(made="20260912070000-0500", event="I13", question="With the pathology you asked for"))
    assert told.case()["case"]["state"] == "received"


def test_a_late_change_does_not_reopen_what_the_clinic_has_completed(told: Told) -> None:
    told.receives(TOLD)
    for event in ("accept", "collect", "cancel-request"):
        if event != "cancel-request":
            told.gateway.actions.move(STAFF, "REF-1", event)
    told.receives(WITHDRAWN)
    told.opines()
    told.receives(messages.referral(made="20260914080000-0500", event="I13", question="one more thing"))
    assert told.found("Task")[0]["status"] == "completed"
    assert referral(told)["status"] == "completed"
