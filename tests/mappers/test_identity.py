"""Identity keys: the same thing sent again is the same thing, two real things never share a key."""

from __future__ import annotations

from mappers.v2 import identity
from tests.mappers.build import PID, drafts, mapped


def patient_keys(*identifiers, name="Doe^Ann", born="19700101", sender="HOSP"):
    return drafts(mapped(f"PID|1||{'~'.join(identifiers)}||{name}||{born}|F", sender=sender), "Patient")[0].keys


def test_the_medical_record_number_comes_first_whatever_the_order_sent():
    a = patient_keys("123-45-6789^^^^SS", "7^^^HOSP^PI", "1^^^HOSP^MR")
    b = patient_keys("1^^^HOSP^MR", "7^^^HOSP^PI", "123-45-6789^^^^SS")
    assert a == b
    assert a[0].value.endswith("|1")


def test_account_and_visit_numbers_name_no_person():
    assert [k.value.rsplit("|", 1)[1] for k in patient_keys("1^^^HOSP^MR", "A1^^^HOSP^AN", "V1^^^HOSP^VN")] == ["1"]


def test_a_familys_member_number_never_merges_two_people():
    ann, twin = (patient_keys("M^^^PLAN^MB", name=n) for n in ("Doe^Ann", "Doe^Eve"))
    assert not set(ann) & set(twin)
    assert patient_keys("1^^^HOSP^MR", "M^^^PLAN^MB") == patient_keys("1^^^HOSP^MR")


def test_the_same_number_of_two_senders_without_oid_is_two_patients():
    assert not set(patient_keys("1^^^H^MR", sender="A")) & set(patient_keys("1^^^H^MR", sender="B"))
    shared = "1^^^H&2.16.840.1.113883.19.5.1&ISO^MR"
    assert patient_keys(shared, sender="A") == patient_keys(shared, sender="B")


def test_a_person_without_number_is_known_by_all_demographics_or_not_at_all():
    assert patient_keys("") == patient_keys("")
    assert patient_keys("") != patient_keys("", born="19700102")
    assert patient_keys("", born="") == ()


def test_a_doctor_is_known_by_the_national_number_else_by_name_within_the_sender():
    def keys(xcn, sender="HOSP"):
        return drafts(mapped(PID, f"OBR|1||F^L|1^a||||||||||||{xcn}", sender=sender), "Practitioner")[0].keys

    assert keys("1234567893^Stone^Kim^^^^^^^^^^NPI") == keys("1234567893^Stone^K^^^^^^^^^^NPI", "OTHER")
    assert keys("^Stone^Kim") == keys("^STONE^kim")
    assert keys("^Stone^Kim") != keys("^Stone^Kim", "OTHER")


def test_one_number_with_two_names_is_one_doctor_with_both():
    result = mapped(PID, "OBR|1||F^L|1^a||||||||||||55^Stone^Kim", "OBR|2||G^L|1^a||||||||||||55^Stone-Hill^Kim")
    (doctor,) = drafts(result, "Practitioner")
    assert [n["family"] for n in doctor.resource["name"]] == ["Stone", "Stone-Hill"]


def test_coverage_is_known_by_payer_member_beneficiary_and_start():
    def keys(member="M1", start="20260101", payer="P1", patient="M1"):
        return drafts(
            mapped(PID.replace("M1^", f"{patient}^"), f"IN1|1|PL|{payer}|Payer {payer}||||||||{start}{'|' * 24}{member}", event="REF^I12"), "Coverage"
        )[0].keys

    assert keys() == keys()
    assert len({keys(), keys(member="M2"), keys(start="20270101"), keys(payer="P2"), keys(patient="X")}) == 5


def test_two_reports_of_one_number_and_code_in_a_message_both_live():
    result = mapped(PID, "OBR|1||F1^LAB|1^a|||||||||||||||||||||F", "OBR|2||F1^LAB|1^a|||||||||||||||||||||P")
    first, second = drafts(result, "DiagnosticReport")
    assert not set(first.keys) & set(second.keys)


def test_the_report_key_is_filler_number_and_code():
    (report,) = drafts(mapped(PID, "OBR|1|P1^HOSP|F1^LAB|718-7^Hb^LN"), "DiagnosticReport")
    assert report.keys == (identity.key("DiagnosticReport:FILL", "urn:second-opinion-gateway:sid:HOSP:LAB|F1", "http://loinc.org|718-7"),)


def test_names_are_compared_without_accents_case_and_punctuation():
    assert identity.folded("Müller-Łukasz  III.") == identity.folded("MULLERŁUKASZ iii")
