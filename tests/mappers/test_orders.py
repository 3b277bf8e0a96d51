"""ORM, OMG, OML and OSU: what is an order, what a referral, what word of one, what a result."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_gateway.validation import validate
from mappers.result import IdentityKey
from tests.mappers.build import PID, drafts, kept_values, mapped, only, resources

ORC = "ORC|NW|P1^HOSP"
CBC = "OBR|1|P1^HOSP||58410-2^CBC panel^LN"
REFERS = "OBR|1|R1^HOSP||57133-1^Referral note^LN"
SECOND = REFERS + "|" * 27 + "S^Second Opinion^HL70336"


def kinds(result):
    """Resource types of what the message is about."""
    return sorted({d.resource["resourceType"] for d in result.drafts} - {"MessageHeader", "Provenance", "Organization", "Patient"})


def focus(result):
    reference = only(result, "MessageHeader")["focus"][0]["reference"]
    return next(d.resource["resourceType"] for d in result.drafts if d.full_url == reference)


@pytest.mark.parametrize("event", ["ORM^O01", "OMG^O19", "OML^O21"])
def test_an_order_for_a_test_is_an_order_and_not_pointed_at(event):
    result = mapped(PID, ORC, CBC, event=event)
    order = only(result, "ServiceRequest")
    assert (order["status"], order["intent"], order["code"]["coding"][0]["code"]) == ("active", "order", "58410-2")
    assert "category" not in order
    assert (kinds(result), focus(result), result.events) == (["ServiceRequest"], "Patient", [])


@pytest.mark.parametrize("event", ["ORM^O01", "OMG^O19", "OML^O21"])
@pytest.mark.parametrize("obr", [REFERS, SECOND, CBC + "|" * 27 + "SO^Second Opinion^HL70282"])
def test_an_order_that_says_it_is_a_referral_is_one(event, obr):
    result = mapped(PID, ORC, obr, event=event)
    referral = drafts(result, "ServiceRequest")[0]
    assert (focus(result), result.events[0].kind, result.events[0].full_url) == ("ServiceRequest", "refer", referral.full_url)
    assert referral.resource["category"][0]["coding"][1]["code"] == "57133-1"
    assert {key.kind for key in referral.keys} == {"ServiceRequest:PLAC"}
    assert referral.steps


def test_results_under_an_order_to_be_done_inform_it_and_are_no_report():
    result = mapped(PID, ORC, CBC, "OBX|1|NM|2160-0^Creatinine^LN||1.1|mg/dL|||||F", event="ORM^O01")
    (observation,) = drafts(result, "Observation")
    assert only(result, "ServiceRequest")["supportingInfo"] == [{"reference": observation.full_url}]
    assert resources(result, "DiagnosticReport") == []


@pytest.mark.parametrize(
    ("control", "status", "reports"), [("RE", "", True), ("SC", "F", True), ("NW", "", False), ("NW", "O", False), ("SC", "I", False)]
)
def test_results_of_an_order_carried_out_are_its_report(control, status, reports):
    obr = CBC + "|" * 21 + status
    result = mapped(PID, f"ORC|{control}|P1^HOSP", obr, "OBX|1|NM|718-7^Hemoglobin^LN||12|g/dL|||||F", event="OML^O21")
    assert bool(resources(result, "DiagnosticReport")) is reports


def test_diagnoses_are_reasons_of_the_order_they_follow_and_of_all_where_they_come_first():
    first, second = "DG1|1||C67.9^Bladder^I10C", "DG1|2||N20.0^Stone^I10C"
    result = mapped(PID, first, ORC, CBC, second, "ORC|NW|P2^HOSP", CBC.replace("P1", "P2"), event="ORM^O01")
    urls = {d.resource["code"]["coding"][0]["code"]: d.full_url for d in drafts(result, "Condition")}
    reasons = [[r["reference"] for r in order["reasonReference"]] for order in resources(result, "ServiceRequest")]
    assert reasons == [[urls["N20.0"], urls["C67.9"]], [urls["C67.9"]]]


@pytest.mark.parametrize("event", ["ORM^O01", "ORU^R01"])
def test_who_orders_at_a_facility_is_in_her_role_there(event):
    orc = "ORC|NW|P1^HOSP" + "|" * 10 + "123^Okafor^Daniel" + "|" * 9 + "Northside^^77|1 Elm St^^Springfield|^WPN^PH^^^217^5550100"
    result = mapped(PID, orc, CBC + "|" * 21 + "F", event=event)
    (role,) = drafts(result, "PractitionerRole")
    assert only(result, "ServiceRequest")["requester"] == {"reference": role.full_url}
    facility = next(d for d in drafts(result, "Organization") if d.full_url == role.resource["organization"]["reference"])
    assert (facility.resource["name"], facility.resource["address"][0]["city"], len(facility.resource["telecom"])) == ("Northside", "Springfield", 1)
    assert role.resource["practitioner"] == {"reference": drafts(result, "Practitioner")[0].full_url}


def test_an_order_of_another_kind_keeps_its_detail_with_it():
    result = mapped(PID, "ORC|NW|P9^HOSP", "RXO|00310^Tamoxifen^NDC|20||mg", event="ORM^O01")
    assert kept_values(only(result, "ServiceRequest"))["RXO[1]-1.2"] == "Tamoxifen"


def test_an_order_is_known_by_number_and_code_and_its_first_by_number_alone():
    result = mapped(PID, ORC, CBC, "OBR|2|P1^HOSP||2160-0^Creatinine^LN", event="ORM^O01")
    first, second = drafts(result, "ServiceRequest")
    assert [key.kind for key in first.keys] == ["ServiceRequest:order", "ServiceRequest:number"]
    assert [key.kind for key in second.keys] == ["ServiceRequest:order"]
    cancelled = drafts(mapped(PID, "ORC|CA|P1^HOSP", event="ORM^O01"), "ServiceRequest")[0]
    assert cancelled.merge == "enrich"
    assert set(cancelled.keys) <= set(first.keys)


def test_the_mention_of_an_order_in_its_result_does_not_replace_it():
    (mention,) = drafts(mapped(PID, "ORC|RE|P1^HOSP|||||||||||1^Okafor", CBC + "|" * 21 + "F"), "ServiceRequest")
    assert (mention.merge, mention.defaults) == ("enrich", ("status",))
    assert drafts(mapped(PID, "ORC|RE|P1^HOSP|||CM|||||||1^Okafor", CBC + "|" * 21 + "F"), "ServiceRequest")[0].defaults == ()


@pytest.mark.parametrize(
    ("control", "status", "withdrawn"),
    [(control, status, True) for control, status in (("CA", ""), ("DC", ""), ("", "CA"), ("CA", "CA"), ("XX", "CA"))]
    + [(control, status, False) for control, status in (("OC", "CA"), ("CR", "CA"), ("SC", "CA"), ("SC", "IP"), ("OD", "DC"), ("", "HD"))],
)
def test_only_a_placers_own_word_takes_an_order_back(control, status, withdrawn):
    result = mapped(PID, f"ORC|{control}|R1^HOSP|||{status}", event="OSU^O51")
    assert kinds(result) == (["ServiceRequest"] if withdrawn else ["Communication"])
    assert focus(result) == ("Patient" if withdrawn else "Communication"), "word of an order that is no referral must not make it one"
    if withdrawn:
        (draft,) = drafts(result, "ServiceRequest")
        assert (draft.resource["status"], draft.merge, draft.steps) == ("revoked", "enrich", True)
        assert {"ServiceRequest:PLAC", "ServiceRequest:number"} == {key.kind for key in draft.keys}


def test_the_same_word_again_is_the_same_and_another_is_another():
    line = "ORC|SC|R1^HOSP|||HD||||20260901"
    first = drafts(mapped(PID, line, event="OSU^O51"), "Communication")[0]
    again = drafts(mapped(PID, line, event="OSU^O51", control_id="C2", at="20260902120000-0400"), "Communication")[0]
    other = drafts(mapped(PID, line.replace("HD", "IP"), event="OSU^O51"), "Communication")[0]
    assert first.keys == again.keys != other.keys
    assert isinstance(first.keys[0], IdentityKey)


GROUPS = st.lists(
    st.tuples(
        st.sampled_from(["NW", "CA", "SC", "RE", "XO", ""]),
        st.sampled_from(["58410-2^CBC^LN", "57133-1^Referral note^LN", ""]),
        st.sampled_from(["", "F", "O"]),
        st.lists(
            st.sampled_from(["OBX|1|NM|718-7^Hb^LN||12.5|g/dL|||||F", "NTE|1||please", "SPM|1|S-1^HOSP||TISS", "DG1|1||C50.9^Breast^I10C", "TQ1|1"]),
            max_size=4,
        ),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60)
@given(GROUPS, st.sampled_from(["ORM^O01", "OMG^O19", "OML^O21", "OSU^O51"]), st.booleans())
def test_whatever_orders_come_each_is_something_and_nothing_is_lost(groups, event, with_orc):
    lines = []
    for number, (control, code, status, more) in enumerate(groups, 1):
        if with_orc or event == "OSU^O51":
            lines.append(f"ORC|{control}|P{number}^HOSP|F{number}^LAB")
        lines += [f"OBR|{number}|P{number}^HOSP|F{number}^LAB|{code}" + "|" * 21 + status, *more]
    result = mapped(PID, *lines, event=event)
    assert [issue for draft in result.drafts for issue in validate(draft.resource)] == []
    made = [d for d in result.drafts if d.resource["resourceType"] in ("ServiceRequest", "DiagnosticReport", "Communication")]
    assert len(made) >= len(groups)
    taken = [key for d in result.drafts for key in d.keys if d.merge == "replace"]
    assert len(taken) == len(set(taken))
    told = {(entry.where.segment, entry.where.sequence) for entry in result.ledger}
    assert {line.split("|")[0] for line in lines} <= {name for name, _ in told}
