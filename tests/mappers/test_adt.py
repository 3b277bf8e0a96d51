"""ADT about a patient or one visit, and problems: what the event makes of it, what stands with whom, what is deleted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_gateway.validation import validate
from mappers.v2.messages.registry import MESSAGES
from tests.mappers.build import PID, drafts, kept_values, mapped, only, resources

PV1 = "PV1|1|I|ONC^12^1||||||||||||||||V1^^^HOSP"
ENDED = PV1 + "|" * 17 + "01^Home" + "|" * 8 + "20260901|20260905"
EVENTS = sorted(event for kind, event in MESSAGES if kind == "ADT" and event not in ("A24", "A37", "A40", "A47"))


MAKES = {
    "in-progress": ("A01", "A02", "A06", "A07", "A09", "A10", "A12", "A13", "A15", "A16", "A25", "A26"),
    "planned": ("A05", "A14"),
    "cancelled": ("A11", "A27", "A38"),
    "finished": ("A03",),
    "arrived": ("A04",),
}


@pytest.mark.parametrize(("event", "status"), [(event, status) for status, events in MAKES.items() for event in events])
def test_what_the_event_makes_of_the_visit_is_said_by_a_table_and_outlives_mentions(event, status):
    (visit,) = drafts(mapped(PID, PV1, event=f"ADT^{event}"), "Encounter")
    assert (visit.resource["status"], visit.defaults) == (status, ())


@pytest.mark.parametrize("event", ["ADT^A08", "ADT^A28", "ADT^A31", "ADT^A60", "ORU^R01", "ORM^O01", "REF^I12"])
def test_whoever_only_mentions_a_visit_says_its_status_where_nothing_is_held(event):
    (visit,) = drafts(mapped(PID, PV1, "OBR|1||F1|1^a", event=event), "Encounter")
    assert (visit.resource["status"], visit.defaults) == ("in-progress", ("status",))


@pytest.mark.parametrize(("event", "status"), [("A01", "finished"), ("A08", "finished"), ("A11", "cancelled"), ("A13", "in-progress")])
def test_a_visit_with_an_end_is_over_unless_the_event_says_otherwise(event, status):
    (visit,) = drafts(mapped(PID, ENDED, event=f"ADT^{event}"), "Encounter")
    assert (visit.resource["status"], visit.defaults) == (status, ())


def test_a_discharge_taken_back_is_deleted_and_what_is_said_of_it_kept():
    (visit,) = drafts(mapped(PID, ENDED, event="ADT^A13"), "Encounter")
    assert visit.deletes == ("period.end", "hospitalization.dischargeDisposition", "hospitalization.destination")
    assert visit.resource["period"] == {"start": "2026-09-01"}
    assert "hospitalization" not in visit.resource
    assert {name: value for name, value in kept_values(visit.resource).items() if name[:6] in ("PV1-36", "PV1-45")} == {
        "PV1-36.1": "01",
        "PV1-36.2": "Home",
        "PV1-45": "20260905",
    }


def test_a_visit_is_known_by_its_numbers_or_its_beginning_never_by_its_end():
    def keys(pv1, event="A01"):
        return set(drafts(mapped(PID, pv1, event=f"ADT^{event}"), "Encounter")[0].keys)

    bare = "PV1|1|I" + "|" * 42 + "20260901"
    assert keys(PV1) == keys(ENDED, "A03")
    assert keys(bare) == keys(bare + "|20260905", "A03")
    before, admitted = keys("PV1|1|P|||PRE1^^^HOSP", "A05"), keys("PV1|1|I|||PRE1^^^HOSP||||||||||||||V1^^^HOSP")
    assert before < admitted


@pytest.mark.parametrize("event", EVENTS)
def test_class_n_says_that_there_is_no_visit(event):
    result = mapped(PID, "PV1|1|N", event=f"ADT^{event}")
    assert resources(result, "Encounter") == []
    focus = only(result, "MessageHeader")["focus"][0]["reference"]
    assert focus == drafts(result, "Patient")[0].full_url


def test_roles_count_for_what_they_stand_behind():
    role = "ROL|R{0}^HOSP|AD|{1}^x^HL70443|{0}^Lund^Ola"
    lines = (
        PID,
        "PD1||||",
        "ARV|1",
        role.format(1, "PP"),
        role.format(2, "CP"),
        PV1,
        "PV2||",
        role.format(3, "AT"),
        role.format(4, "AT").replace("|AD|", "|DE|"),
    )
    result = mapped(*lines, event="ADT^A01")
    roles = {d.resource["identifier"][0]["value"]: d for d in drafts(result, "PractitionerRole")}
    patient, visit = only(result, "Patient"), only(result, "Encounter")
    assert patient["generalPractitioner"] == [{"reference": roles["R1"].full_url}]
    assert [e["valueReference"]["reference"] for e in patient["extension"] if e["url"].endswith("participation")] == [roles["R2"].full_url]
    assert [p["individual"]["reference"] for p in visit["participant"]] == [roles["R3"].full_url]
    assert roles["R4"].resource["active"] is False


@pytest.mark.parametrize(
    ("field", "value", "erased"),
    [
        ("PID-13", "|" * 6 + '""', "telecom[use=home]"),
        ("PID-14", "|" * 7 + '""', "telecom[use=work]"),
        ("PID-19", "|" * 12 + '""', "identifier[system=http://hl7.org/fhir/sid/us-ssn]"),
        ("PID-11", "|" * 4 + '""', "address"),
        ("PID-16", "|" * 9 + '""', "maritalStatus"),
        ("PID-29", "|" * 22 + '""', "deceasedDateTime"),
    ],
)
def test_an_explicit_null_names_what_its_field_had_made(field, value, erased):
    patient = drafts(mapped(PID.rpartition("|")[0] + "|F" + value[1:], event="ADT^A08"), "Patient")[0]
    assert patient.deletes == (erased,), field


@pytest.mark.parametrize("field", [2, 3, 4, 20])
def test_a_null_takes_no_number_away_that_it_does_not_name(field):
    fields = PID.split("|") + [""] * 20
    fields[field] = '""'
    patient = drafts(mapped("|".join(fields), "PV1|1|N", event="ADT^A08"), "Patient")[0]
    assert patient.deletes == ()


def test_the_referral_a_patient_came_by_is_named_and_no_referral_is_made():
    result = mapped(PID, PV1, "RF1|A|||||R1^HOSP|||||F1^CLINIC", event="ADT^A01")
    based = [b["identifier"]["value"] for b in only(result, "Encounter")["basedOn"]]
    assert (based, resources(result, "ServiceRequest")) == (["R1", "F1"], [])


def test_a_visit_that_changes_its_kind_keeps_the_account_it_ran_under():
    result = mapped(PID, "MRG|M1^^^HOSP||A9^^^HOSP", PV1, event="ADT^A06")
    (account,) = drafts(result, "Account")
    assert (account.resource["status"], account.resource["identifier"][0]["value"], account.defaults) == ("unknown", "A9", ("status",))


@pytest.mark.parametrize(
    ("status", "clinical", "sure"),
    [
        ("C", "active", "confirmed"),
        ("I", "inactive", "confirmed"),
        ("S", "active", "unconfirmed"),
        ("E", None, "entered-in-error"),
        ("?", "active", None),
    ],
)
def test_an_adverse_reaction_is_one_of_its_required_codes(status, clinical, sure):
    reaction = only(mapped(PID, f"IAM|1|DA|1^x|||A|A1^HOSP||||||||||{status}", event="ADT^A60"), "AllergyIntolerance")
    assert reaction.get("clinicalStatus", {}).get("coding", [{}])[0].get("code") == clinical
    assert reaction.get("verificationStatus", {}).get("coding", [{}])[0].get("code") == sure
    assert validate(reaction) == []


@pytest.mark.parametrize(
    ("action", "ended", "life", "clinical", "sure"),
    [
        ("AD", "", "", "active", None),
        ("UP", "20260901", "", "resolved", None),
        ("UP", "20260901", "remission", "remission", None),
        ("UP", "", "Recurrence", "recurrence", None),
        ("DE", "", "active", None, "entered-in-error"),
        ("AD", "", "sleeping", "active", None),
    ],
)
def test_a_problem_stands_as_its_segment_says(action, ended, life, clinical, sure):
    result = mapped(PID, f"PRB|{action}|20260901|C73^Thyroid^I10C|P1^HOSP|||||{ended}|||||{life}", "GOL|AD||^none left|G1^HOSP", event="PPR^PC2")
    problem = only(result, "Condition")
    assert problem.get("clinicalStatus", {}).get("coding", [{}])[0].get("code") == clinical
    assert problem.get("verificationStatus", {}).get("coding", [{}])[0].get("code") == sure
    assert only(result, "Goal")["addresses"] == [{"reference": drafts(result, "Condition")[0].full_url}]
    assert [issue for draft in result.drafts for issue in validate(draft.resource)] == []


NAMES = [
    "PD1",
    "NK1",
    "PV1",
    "PV2",
    "ROL",
    "PRT",
    "AL1",
    "IAM",
    "DG1",
    "PR1",
    "GT1",
    "IN1",
    "IN2",
    "IN3",
    "ACC",
    "OBX",
    "NTE",
    "MRG",
    "RF1",
    "DB1",
    "EVN",
    "ZZZ",
]
FIELDS = st.lists(
    st.sampled_from(
        ["", "1", "I", "N", "P", "A1^^^HOSP", "C50.9^Breast^I10C", "20260901", "20260901080000", '""', "Lund^Ola", "~x~y", "a&b^c", "D", "SEL"]
    ),
    max_size=50,
)


@settings(max_examples=120)
@given(st.sampled_from(EVENTS), st.lists(st.tuples(st.sampled_from(NAMES), FIELDS), max_size=8))
def test_whatever_stands_in_an_adt_is_legal_and_accounted_for(event, rows):
    lines = [f"{name}|1|" + "|".join(values) for name, values in rows]
    result = mapped(PID, *lines, event=f"ADT^{event}")
    for draft in result.drafts:
        assert validate(draft.resource) == [], draft.resource["resourceType"]
    told = {(entry.where.segment, entry.where.sequence) for entry in result.ledger}
    assert {name for name, _ in rows} <= {name for name, _ in told}
    taken = [key for d in result.drafts for key in d.keys if d.merge == "replace"]
    assert len(taken) == len(set(taken))
