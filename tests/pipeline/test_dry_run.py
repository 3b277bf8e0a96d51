"""What would still be missing if this were sent? The answer is the real one, and nothing is stored."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_gateway.errors import InvalidError
from fhir_gateway.validation import decode, encode, validate
from tests import messages
from tests.pipeline.conftest import BASE, STAFF, Told
from tests.stories import breast_referral, fixture

KINDS = ("Patient", "ServiceRequest", "Task", "DiagnosticReport", "Observation", "Provenance", "Coverage")


def states(guidance: dict[str, Any]) -> dict[str, str]:
    parameters = guidance["contained"][0]["parameter"]
    items = [
        {part["name"]: next(v for k, v in part.items() if k.startswith("value")) for part in p["part"]} for p in parameters if p["name"] == "item"
    ]
    return {item["id"]: item["state"] for item in items}


def test_a_message_is_tried_and_nothing_is_kept(told: Told) -> None:
    tried = told.gateway.dry_run.message(breast_referral(), STAFF)
    assert [told.count(kind) for kind in KINDS] == [0] * len(KINDS)
    assert told.cases() == [] and told.inbox() == []
    told.receives(breast_referral())
    real = told.case()
    assert [(i["id"], i["state"]) for i in tried["items"]] == [(i["id"], i["state"]) for i in real["items"]]


def test_a_bundle_of_records_is_tried_against_the_case_that_is_held(told: Told) -> None:
    told.receives(breast_referral())
    assert told.item("mammography-report")["state"] == "missing"
    guidance = told.gateway.dry_run.bundle(fixture("cases/breast/imaging-and-notes.json"), STAFF, BASE)
    assert validate(decode(encode(guidance))) == []
    assert states(guidance)["mammography-report"] == "accepted"
    assert told.item("mammography-report")["state"] == "missing", "only tried"


def test_a_collection_with_a_referral_is_tried_as_if_it_were_sent(told: Told) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {
                "fullUrl": "urn:uuid:7c0f6b2e-6f1c-4b0a-9a55-0d6a4b6f0001",
                "resource": {"resourceType": "Patient", "name": [{"family": "Try"}], "birthDate": "1970-01-01"},
            },
            {
                "resource": {
                    "resourceType": "ServiceRequest",
                    "status": "active",
                    "intent": "order",
                    "category": [{"coding": [{"system": "http://snomed.info/sct", "code": "3457005"}]}],
                    "subject": {"reference": "urn:uuid:7c0f6b2e-6f1c-4b0a-9a55-0d6a4b6f0001"},
                    "reasonCode": [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C34.11"}]}],
                }
            },
        ],
    }
    guidance = told.gateway.dry_run.bundle(encode(bundle), STAFF, BASE)
    assert guidance["moduleCanonical"].startswith("urn:second-opinion-gateway:PlanDefinition:lung")
    assert told.count("Patient") == 0


def test_what_could_not_be_sent_cannot_be_tried_and_says_why(told: Told) -> None:
    with pytest.raises(InvalidError, match="no referral"):
        told.gateway.dry_run.message(messages.pathology(), STAFF)
    with pytest.raises(InvalidError) as refused:
        told.gateway.dry_run.message(b"MSH|^~\\&|A|B|C|D|20260101||REF^I12|3|P|2.5.1\rRF1|A", STAFF)
    assert refused.value.issues[0].expression
    with pytest.raises(InvalidError) as refused:
        told.gateway.dry_run.bundle(encode({"resourceType": "Bundle", "type": "transaction", "entry": [{}]}), STAFF, BASE)
    assert refused.value.issues[0].expression.startswith("Bundle.entry[0]")
