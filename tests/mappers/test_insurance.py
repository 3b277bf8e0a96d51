"""Insurance and authorisation: IN1 with its own IN2 and IN3, who guarantees, what is asked of a payer and what it answers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_gateway.validation import validate
from tests.mappers.build import PID, drafts, kept_values, mapped, only, resources, warnings
from tests.mappers.test_events import golden

IN1 = "IN1|1|PPO|B1^^^NAIC|Blue||||G1||||20260101|20261231|||Doe^Ann|SEL|19700101||||1||||||||||||||POL-1"
IN3 = "IN3|1|" + "|" * 19 + "|20260910|A^Approved|Y^Yes|123^Lund^Ola"
RF1 = "RF1|{}|||||Q1^HOSP"


def opinion(resource):
    """The payer's second-opinion record of a resource, by its parts."""
    (found,) = [e for e in resource.get("extension", ()) if e["url"].endswith("payer-second-opinion")]
    return {e["url"] for e in found["extension"]}


def test_each_insurance_has_its_own_in2_and_in3():
    result = golden("pin_i07/ovarian-insurance-changed")
    first, second = resources(result, "Coverage")
    assert (first["relationship"]["coding"][0]["code"], second["relationship"]["coding"][0]["code"]) == ("self", "spouse")
    assert opinion(first) == {"date", "status", "documentation-received", "physician"}
    assert "payer-second-opinion" not in str(second)
    (claim,) = drafts(result, "ClaimResponse")
    assert claim.resource["insurance"][0]["coverage"]["reference"] == drafts(result, "Coverage")[0].full_url
    assert claim.resource["insurer"] == first["payor"][0]
    assert [c["priority"] for c in only(result, "Account")["coverage"]] == [1, 2]


@pytest.mark.parametrize(
    ("event", "home"), [("REF^I12", "ServiceRequest"), ("ADT^A31", "Coverage"), ("PIN^I07", "Coverage"), ("RQA^I08", "Coverage")]
)
def test_the_payers_second_opinion_is_the_referrals_or_else_the_insurances(event, home):
    result = mapped("RF1|A|||||R1^HOSP", PID, IN1, IN3, event=event)
    assert opinion(only(result, home)) == {"date", "status", "documentation-received", "physician"}


def test_a_referral_by_order_carries_it_too():
    result = mapped(PID, IN1, IN3, "ORC|NW|R1^HOSP", "OBR|1|R1^HOSP||57133-1^Referral note^LN", event="OMG^O19")
    assert opinion(only(result, "ServiceRequest"))


@pytest.mark.parametrize(
    ("gt1", "party"),
    [
        ("GT1|1|G1^^^HOSP|Doe^Tim||||||||SPO", "RelatedPerson"),
        ("GT1|1||Doe^Ann||||||||SEL^Self", "Patient"),
        ("GT1|1" + "|" * 20 + "Acme^^77", "Organization"),
    ],
)
def test_whoever_guarantees_is_a_party_of_the_account(gt1, party):
    result = mapped(PID, gt1, event="ADT^A04")
    (guarantor,) = only(result, "Account")["guarantor"]
    found = next(d for d in result.drafts if d.full_url == guarantor["party"]["reference"])
    assert found.resource["resourceType"] == party


def test_a_question_to_a_payer_is_a_claim_for_a_referral_and_no_referral():
    result = golden("rqa_i08/pancreas-asked")
    claim = only(result, "Claim")
    assert (claim["use"], claim["status"], claim["referral"]["identifier"]["value"]) == ("preauthorization", "active", "REF-2026-0577")
    assert [i["quantity"]["value"] for i in claim["item"]] == [2]
    assert only(result, "Procedure")["status"] == "preparation", "it is asked for, not done"
    assert all("category" not in r for r in resources(result, "ServiceRequest"))


def test_a_question_changed_put_again_or_taken_back_is_the_same():
    found = [drafts(golden(case), "Claim")[0] for case in ("rqa_i08/pancreas-asked", "rqa_i09/pancreas-asked-again", "rqa_i11/pancreas-not-asked")]
    assert len({claim.keys for claim in found}) == 1
    assert [claim.resource["status"] for claim in found] == ["active", "active", "cancelled"]


@pytest.mark.parametrize(
    ("standing", "aut", "outcome"),
    [
        ("A", "AUT||B1||20260901||N-1", "complete"),
        ("P", "AUT||B1", "queued"),
        ("R^Rejected", "", "error"),
        ("", "AUT||B1", "queued"),
        ("", "AUT||B1||||N-1", "complete"),
    ],
)
def test_how_a_payer_answers(standing, aut, outcome):
    answer = only(mapped("MSA|AA|1", RF1.format(standing), *filter(None, [aut]), PID, IN1, event="RPA^I08"), "ClaimResponse")
    assert (answer["outcome"], answer["request"]["identifier"]["value"]) == (outcome, "Q1")
    assert answer["insurance"]
    assert "display" not in answer["insurer"], "the insurance names the payer"


def test_an_answer_pending_and_then_given_is_one():
    pending = drafts(mapped(RF1.format("P"), "AUT||B1", PID, event="RPA^I08"), "ClaimResponse")[0]
    granted = drafts(mapped(RF1.format("A"), "AUT||B1||||N-1", PID, event="RPA^I08", at="20260902120000-0400"), "ClaimResponse")[0]
    assert set(pending.keys) < set(granted.keys)


def test_insurance_told_as_a_whole_replaces_what_was_told_and_elsewhere_adds_to_it():
    assert {d.merge for d in drafts(mapped(PID, IN1, event="PIN^I07"), "Coverage")} == {"replace"}
    assert {d.merge for d in drafts(mapped(PID, IN1, event="ADT^A08"), "Coverage")} == {"enrich"}


def test_a_question_what_insurance_there_is():
    result = golden("rqi_i01/ovarian-insurance-asked")
    asked = only(result, "CoverageEligibilityRequest")
    assert asked["insurance"][0]["coverage"]["reference"] == drafts(result, "Coverage")[0].full_url


FIELDS = st.lists(st.sampled_from(["", "A1", "B^Blue", "C1^^^NAIC", "20260101", '""', "SEL", "SPO^Spouse", "x&y^z", "1"]), max_size=50)


EVENTS = ["PIN^I07", "RPI^I01", "RQI^I01", "RQA^I08", "RQA^I11", "RPA^I08", "ADT^A31"]
ROWS = st.tuples(st.sampled_from(["IN1", "IN2", "IN3", "GT1", "AUT", "ACC", "RF1", "PR1", "NTE"]), FIELDS)


@settings(max_examples=80)
@given(st.sampled_from(EVENTS), st.lists(ROWS, max_size=7))
def test_whatever_is_said_of_insurance_is_legal_and_accounted_for(event, rows):
    lines = [f"{name}|1|" + "|".join(values) for name, values in rows]
    result = mapped(PID, *lines, event=event)
    assert [issue for draft in result.drafts for issue in validate(draft.resource)] == []
    told = {(entry.where.segment, entry.where.sequence) for entry in result.ledger}
    seen: dict[str, int] = {}
    for name, _ in rows:
        seen[name] = seen.get(name, 0) + 1
        assert (name, seen[name]) in told


def test_dates_the_wrong_way_round_cost_the_period_and_nothing_else():
    result = mapped(PID, IN1.replace("20260101|20261231", "20261231|20260101"), event="ADT^A08")
    plan = only(result, "Coverage")
    assert "period" not in plan and plan["subscriberId"] and not validate(plan)
    assert {"2026-12-31", "2026-01-01"} <= set(kept_values(plan).values())
    (finding,) = [one for one in warnings(result) if "ends before it begins" in one.text]
    assert str(finding.where).startswith("IN1[1]-13") or str(finding.where).startswith("IN1-13"), finding.where
    assert only(mapped(PID, IN1, event="ADT^A08"), "Coverage")["period"] == {"start": "2026-01-01", "end": "2026-12-31"}
