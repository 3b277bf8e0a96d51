"""Stories about records: what a case makes of what arrives."""

from __future__ import annotations

import pytest

from tests.cases.story import (
    DICOM,
    PATIENT,
    REFERRAL,
    V2,
    Case,
    answers,
    appointment,
    coded,
    consent,
    images,
    item_task,
    judgement_task,
    mammogram,
    note,
    pathology,
    report,
    result,
)


def test_a_referral_alone_is_missing_its_records() -> None:
    case = Case()
    assert case.item("referral-order").state == "accepted"
    assert case.item("patient-identity").state == "accepted"
    assert case.item("language-interpreter").supplied_by == ("Patient/ines",)
    assert case.item("pathology-report").state == "missing"
    assert case.evaluation().gates["records"].state == "not-satisfied"


def test_a_late_preliminary_does_not_undo_a_final() -> None:
    case = Case().receives(pathology("final", on="2026-08-20"), pathology("preliminary", name="early", on="2026-08-21"))
    found = case.item("pathology-report")
    assert (found.state, found.supplied_by) == ("accepted", ("DiagnosticReport/path",))


def test_a_preliminary_alone_is_not_acceptable() -> None:
    found = Case().receives(pathology("preliminary")).item("pathology-report")
    assert (found.state, found.reason, found.gap_status) == ("not-acceptable", "preliminary", "open-gap")


def test_the_newest_acceptable_record_supplies_the_item() -> None:
    case = Case().receives(mammogram("2026-08-01", name="older"), mammogram("2026-08-20", name="newer"))
    assert case.item("mammography-report").supplied_by == ("DiagnosticReport/newer",)


def test_a_corrected_report_of_the_same_day_outranks_the_final() -> None:
    case = Case().receives(pathology("final", name="z"), pathology("corrected", name="a"))
    assert case.item("pathology-report").supplied_by == ("DiagnosticReport/a",)


def test_a_withdrawn_report_reopens_the_item() -> None:
    case = Case().receives(pathology())
    assert case.item("pathology-report").state == "accepted"
    case.receives(pathology("entered-in-error"))
    found = case.item("pathology-report")
    assert (found.state, found.reason) == ("missing", "retracted")


def test_the_pdf_of_a_report_stands_and_falls_with_it() -> None:
    rendering = note("11529-5", name="pdf", context={"related": [{"reference": "DiagnosticReport/path"}]})
    case = Case().receives(pathology(), rendering)
    assert case.item("pathology-report").supplied_by == ("DiagnosticReport/path",)
    assert case.receives(pathology("preliminary")).item("pathology-report").reason == "preliminary"
    assert case.receives(pathology("entered-in-error")).item("pathology-report").reason == "retracted"
    other = note("34805-2", name="letter", context={"related": [{"reference": "DiagnosticReport/path"}]})
    assert case.receives(other).item("consult-note").reason == "retracted"


def test_the_results_of_a_withdrawn_report_fall_with_it() -> None:
    part_of = {"result": [{"reference": "Observation/er"}]}
    case = Case().receives(pathology(**part_of), result("85337-4", name="er"))
    assert case.item("er").supplied_by == ("Observation/er",)
    case.receives(pathology("entered-in-error", **part_of))
    assert (case.item("er").state, case.item("er").reason) == ("missing", "retracted")
    case.receives(pathology("corrected", name="again", **part_of))
    assert case.item("er").state == "accepted"


def test_an_announced_result_is_expected_not_missing() -> None:
    found = Case().receives(result("85337-4", "registered")).item("er")
    assert (found.state, found.reason) == ("expected", "pending-result")


@pytest.mark.parametrize(
    ("doc_status", "state", "reason"),
    [("final", "accepted", None), ("preliminary", "not-acceptable", "unsigned"), (None, "received", "signature-unconfirmed")],
)
def test_a_consult_note_needs_a_signature(doc_status: str | None, state: str, reason: str | None) -> None:
    found = Case().receives(note("34805-2", doc_status)).item("consult-note")
    assert (found.state, found.reason) == (state, reason)


def test_a_replaced_document_counts_no_more() -> None:
    case = Case().receives(note("34805-2", name="first"))
    case.receives(note("34805-2", "preliminary", name="second", relatesTo=[{"code": "replaces", "target": {"reference": "DocumentReference/first"}}]))
    found = case.item("consult-note")
    assert (found.state, found.supplied_by) == ("not-acceptable", ("DocumentReference/second",))


def test_a_note_in_another_language_waits_for_its_translation() -> None:
    french = note("34805-2", name="french", content=[{"attachment": {"language": "fr-CA"}}])
    case = Case().receives(french)
    assert (case.item("consult-note").reason, case.item("translation").state) == ("language", "missing")
    case.receives(note("11488-4", name="english", relatesTo=[{"code": "transforms", "target": {"reference": "DocumentReference/french"}}]))
    assert case.item("consult-note").state == "accepted"
    assert case.item("translation").state == "accepted"


def test_a_report_with_a_local_code_is_held_for_a_person_to_name() -> None:
    local = coded("DiagnosticReport", "local", "PATH01", "urn:example:lab", status="final", effectiveDateTime="2026-08-20")
    local["category"] = [{"coding": [{"system": V2 + "0074", "code": "SP"}]}]
    case = Case().receives(local)
    found = case.item("pathology-report")
    assert (found.state, found.reason) == ("received", "type-unconfirmed")
    case.tasks.append(judgement_task("DiagnosticReport/local", "confirmed", "pathology-report"))
    assert case.item("pathology-report").state == "accepted"


def test_a_category_alone_never_makes_a_report_this_report() -> None:
    other = report("other", "33717-0", category=[{"coding": [{"system": V2 + "0074", "code": "SP"}]}])
    assert Case().receives(other).item("pathology-report").state == "missing"


def test_an_accepted_pathology_report_contains_the_receptors() -> None:
    case = Case().receives(pathology())
    assert (case.item("er").state, case.item("er").reason, case.item("er").supplied_by) == ("accepted", "in-narrative", ("DiagnosticReport/path",))
    case.receives(result("85337-4"))
    assert (case.item("er").reason, case.item("er").supplied_by) == (None, ("Observation/result",))


def test_a_preliminary_pathology_report_contains_nothing_yet() -> None:
    assert Case().receives(pathology("preliminary")).item("er").state == "missing"


def test_report_and_images_do_not_close_each_other() -> None:
    only_report, only_images = Case().receives(mammogram()), Case().receives(images())
    assert (only_report.item("mammography-report").state, only_report.item("mammography-images").state) == ("accepted", "missing")
    assert (only_images.item("mammography-report").state, only_images.item("mammography-images").state) == ("missing", "accepted")


def test_images_pair_with_their_report_by_accession_number() -> None:
    case = Case().receives(mammogram(accession="A-1"), images(accession="A-1"))
    assert case.item("mammography-images").state == "accepted"
    other = Case().receives(mammogram(accession="A-1"), images(accession="A-2"))
    assert (other.item("mammography-images").state, other.item("mammography-images").reason) == ("received", "unpaired")


def test_the_referral_number_pairs_nothing() -> None:
    based = [{"identifier": {"value": "REF-2026-0417"}}]
    case = Case().receives(mammogram(accession="A-1", basedOn=based), images(accession="A-2", basedOn=based))
    assert case.item("mammography-images").reason == "unpaired"


def test_images_of_another_report_are_not_this_items_images() -> None:
    case = Case("lung").receives(report("abdomen", "36813-4", identifier=[{"value": "A-9"}]), images("CT", accession="A-9"))
    assert case.item("ct-chest-images").state == "missing"


def test_only_a_study_identifier_with_oid_prefix_pairs_with_one_without() -> None:
    study = images(accession=None, identifier=[{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3.4"}])
    case = Case().receives(mammogram(accession="1.2.3.4"), study)
    assert case.item("mammography-images").state == "accepted"


def test_prior_images_must_reach_back_two_years() -> None:
    case = Case().receives(images(on="2026-08-20"))
    assert (case.item("breast-priors").state, case.item("breast-priors").reason) == ("not-acceptable", "incomplete")
    case.receives(images(on="2024-02-01", name="prior", accession="A-0"))
    assert case.item("breast-priors").state == "accepted"


def test_three_psa_results_are_a_history_and_two_are_not() -> None:
    case = Case("prostate").receives(result("2857-1", on="2026-09-01", name="a"), result("2857-1", on="2026-03-01", name="b"))
    assert (case.item("psa").state, case.item("psa").reason) == ("not-acceptable", "incomplete")
    case.receives(result("2857-1", on="2025-09-01", name="c"))
    assert case.item("psa").state == "accepted"
    assert len(case.item("psa").supplied_by) == 3


def test_a_panel_item_wants_every_part() -> None:
    case = Case().receives(result("2160-0", name="creatinine"))
    assert (case.item("lab-chem").state, case.item("lab-chem").reason) == ("not-acceptable", "incomplete")
    assert Case().receives(result("24323-8", name="panel")).item("lab-chem").state == "accepted"


def test_an_undecided_condition_asks_the_referrer_and_holds_the_gate() -> None:
    case = Case()
    found = case.item("breast-mri-report")
    assert (found.state, found.reason, found.question) == ("missing", "applicability-unknown", "breast-mri-done")
    assert "breast-mri-report" in case.evaluation().gates["records"].open
    case.receives(answers(breast_mri_done=False))
    assert case.item("breast-mri-report").state == "not-applicable"
    case.receives(answers(breast_mri_done=True, name="second", at="2026-09-03"))
    assert (case.item("breast-mri-report").state, case.item("breast-mri-report").reason) == ("missing", None)


def test_a_form_still_being_filled_in_answers_nothing() -> None:
    case = Case().receives(answers(breast_mri_done=False, treatment_started=False) | {"status": "in-progress"})
    assert case.item("breast-mri-report").reason == "applicability-unknown"
    assert (case.item("treatment-started").state, case.item("treatment-started").reason) == ("not-acceptable", "incomplete")


def test_a_record_held_settles_whether_it_was_done() -> None:
    case = Case().receives(report("mri", "30795-9"))
    assert case.item("breast-mri-report").state == "accepted"
    assert (case.item("breast-mri-images").state, case.item("breast-mri-images").reason) == ("missing", None)


def test_an_optional_item_holds_no_gate() -> None:
    case = Case()
    found = case.item("performance-status")
    assert (found.state, found.gap_status) == ("missing", "not-applicable")
    assert "performance-status" not in case.evaluation().gates["records"].open


def test_no_treatment_begun_settles_the_summaries() -> None:
    case = Case().receives(answers(treatment_started=False))
    assert case.item("treatment-started").state == "accepted"
    assert case.item("systemic-summary").state == "not-applicable"
    begun = Case().receives(answers(treatment_started=True))
    assert begun.item("systemic-summary").reason == "applicability-unknown"


def test_a_record_about_someone_else_is_never_accepted_unseen() -> None:
    stranger = {"resourceType": "Patient", "id": "other", "name": [{"family": "Marlow"}], "birthDate": "1971-03-14"}
    case = Case().receives(pathology(), link="referral", patient=stranger)
    found = case.item("pathology-report")
    assert (found.state, found.reason) == ("received", "identity-unconfirmed")
    case.tasks.append(judgement_task("DiagnosticReport/path", "confirmed", "pathology-report"))
    assert case.item("pathology-report").state == "accepted"


def test_the_same_person_under_another_number_is_the_same_person() -> None:
    same = {"resourceType": "Patient", "id": "elsewhere", "name": [{"family": "MARLOWE", "given": ["Ines"]}], "birthDate": "1971-03-14"}
    found = Case().receives(pathology(), link="referral", patient=same).item("pathology-report")
    assert (found.state, found.reason) == ("received", "identity-unconfirmed"), "name and birth date are not enough"
    numbered = same | {"identifier": [{"system": "urn:example:laboratory", "value": "mrn 554321"}]}
    assert Case().receives(pathology(), link="referral", patient=numbered).item("pathology-report").state == "accepted"


def test_one_identifier_is_not_enough() -> None:
    found = Case(patient=PATIENT | {"identifier": PATIENT["identifier"][:1]}).item("patient-identity")
    assert (found.state, found.reason) == ("not-acceptable", "incomplete")


def test_a_referral_that_asks_nothing_lacks_its_question() -> None:
    bare = REFERRAL | {"reasonCode": [{"coding": [{"system": V2 + "0336", "code": "S"}]}]}
    assert Case(referral=bare).item("second-opinion-question").state == "missing"


def test_another_order_of_the_patient_is_not_the_referral() -> None:
    bare = REFERRAL | {"status": "revoked", "reasonCode": []}
    order = {"resourceType": "ServiceRequest", "id": "cbc", "status": "active", "reasonCode": [{"text": "Is she anaemic?"}]}
    case = Case(referral=bare).receives(order)
    assert (case.item("referral-order").state, case.item("second-opinion-question").state) == ("missing", "missing")


def test_slides_can_be_waived_and_identity_can_not() -> None:
    reason = {"coding": [{"code": "no-re-review"}]}
    case = Case()
    case.tasks = [
        item_task("item-waiver", name, "completed", statusReason=reason) for name in ("pathology-slides", "patient-identity", "mammography-report")
    ]
    assert (case.item("pathology-slides").state, case.item("pathology-slides").reason) == ("waived", "no-re-review")
    assert case.item("pathology-slides").gap_status == "closed-gap"
    assert case.item("mammography-report").state == "missing"


def test_a_waiver_ends_on_its_day() -> None:
    case = Case()
    case.tasks = [item_task("item-waiver", "pathology-slides", "completed", restriction={"period": {"end": "2026-09-15"}})]
    assert case.item("pathology-slides", "2026-09-15").state == "waived"
    assert case.item("pathology-slides", "2026-09-16").state == "missing"


@pytest.mark.parametrize(("status", "state"), [("requested", "requested"), ("on-hold", "expected"), ("failed", "declined"), ("cancelled", "missing")])
def test_what_was_asked_for_and_answered(status: str, state: str) -> None:
    case = Case()
    case.tasks = [item_task("record-request", "consult-note", status)]
    assert case.item("consult-note").state == state
    case.receives(note("34805-2"))
    assert case.item("consult-note").state == "accepted"


def test_a_person_can_say_a_record_will_not_do() -> None:
    case = Case().receives(pathology())
    case.tasks = [judgement_task("DiagnosticReport/path", "insufficient", "pathology-report")]
    found = case.item("pathology-report")
    assert (found.state, found.reason) == ("not-acceptable", "insufficient")


def test_the_cancer_itself_is_no_other_condition() -> None:
    named = REFERRAL | {"reasonReference": [{"reference": "Condition/tumour"}]}
    tumour = {"resourceType": "Condition", "id": "tumour", "code": {"coding": [{"code": "C50.411"}]}}
    allergy = {"resourceType": "AllergyIntolerance", "id": "penicillin", "code": {"text": "Penicillin"}}
    case = Case(referral=named).receives(tumour, allergy)
    assert (case.item("allergies-comorbid").state, case.item("allergies-comorbid").reason) == ("not-acceptable", "incomplete")
    thyroid = {"resourceType": "Condition", "id": "thyroid", "code": {"text": "Hypothyroidism"}}
    assert case.receives(thyroid).item("allergies-comorbid").state == "accepted"


def test_slides_are_a_thing_not_a_report() -> None:
    case = Case().receives(pathology())
    assert case.item("pathology-slides").state == "missing"
    slide = {
        "resourceType": "Specimen",
        "id": "slide",
        "status": "available",
        "container": [{"type": {"coding": [{"system": "http://snomed.info/sct", "code": "433466003"}]}}],
    }
    assert case.receives(slide).item("pathology-slides").state == "accepted"
    scanned = Case().receives({"resourceType": "ImagingStudy", "id": "wsi", "status": "available", "modality": [{"system": DICOM, "code": "SM"}]})
    assert scanned.item("pathology-slides").state == "accepted"


def test_acute_leukaemia_takes_a_preliminary_marrow_and_a_day_of_lead_time() -> None:
    acute = REFERRAL | {"reasonCode": [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C92.00"}]}]}
    chronic = REFERRAL | {"reasonCode": [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C91.10"}]}]}
    marrow = report("marrow", "33721-2", "preliminary", on="2026-09-08")
    visit = appointment("2026-09-17T09:00:00-04:00")
    for referral, state, due in ((acute, "accepted", "2026-09-16"), (chronic, "not-acceptable", "2026-09-10")):
        case = Case("leukaemia-mds", referral=referral, appointment=visit).receives(marrow)
        assert case.item("marrow-report").state == state
        assert str(case.evaluation().due) == due


def test_a_pending_result_that_is_allowed_holds_no_gate() -> None:
    case = Case("leukaemia-mds").receives(report("karyotype", "94588-1", "registered"))
    assert case.item("cytogenetics").state == "expected"
    assert "cytogenetics" not in case.evaluation().gates["records"].open


def test_every_gate_stands_alone() -> None:
    gates = Case().receives(consent()).evaluation().gates
    assert {name: gate.state for name, gate in gates.items()} == {"records": "not-satisfied", "permission": "satisfied", "money": "indeterminate"}
