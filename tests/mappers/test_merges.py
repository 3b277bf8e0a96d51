"""ADT^A40, A24 and A37: who stays, who goes, and what can't be taken."""

from __future__ import annotations

from typing import Any

import pytest

from mappers.result import Location, Mapped, Refused
from tests.mappers.build import PID, drafts, kept_values, mapped, only, resources

OTHER = PID.replace("M1^", "M2^").replace("Ann", "Anna")
MRG = "MRG|M2^^^HOSP&2.16.840.1.113883.19.5.1&ISO^MR"


def by_number(result: Mapped) -> dict[str, dict[str, Any]]:
    """Patients by their first number."""
    return {patient["identifier"][0]["value"]: patient for patient in resources(result, "Patient")}


def url(result: Mapped, number: str) -> str:
    """The full_url of the patient with this number."""
    return next(d.full_url for d in drafts(result, "Patient") if d.resource["identifier"][0]["value"] == number)


def test_a_merge_leaves_the_survivor_and_the_old_number_pointing_at_each_other():
    result = mapped(PID, MRG + "||||||Do^Ann", event="ADT^A40")
    survivor, old = by_number(result)["M1"], by_number(result)["M2"]
    assert survivor["link"] == [{"other": {"reference": url(result, "M2")}, "type": "replaces"}]
    assert "active" not in survivor
    assert old["link"] == [{"other": {"reference": url(result, "M1")}, "type": "replaced-by"}]
    assert old["active"] is False
    assert old["name"] == [{"family": "Do", "given": ["Ann"]}]


def test_the_linkage_of_a_merge_says_who_stays_who_says_so_and_when():
    result = mapped(PID, MRG, event="ADT^A40", at="20260912081500-0400")
    linkage = only(result, "Linkage")
    assert (linkage["active"], linkage["author"]) == (True, {"display": "HOSP"})
    assert [(item["type"], item["resource"]["reference"]) for item in linkage["item"]] == [
        ("source", url(result, "M1")),
        ("historical", url(result, "M2")),
    ]
    assert linkage["extension"][0]["valueDateTime"] == "2026-09-12T08:15:00-04:00"


def test_several_pairs_in_one_message_are_several_merges():
    third = PID.replace("M1^", "M3^").replace("Doe^Ann", "Roe^Carl")
    result = mapped(PID, MRG, third, MRG.replace("M2^", "M4^"), event="ADT^A40")
    links = {number: (patient["link"][0]["type"], patient["link"][0]["other"]["reference"]) for number, patient in by_number(result).items()}
    assert links == {
        "M1": ("replaces", url(result, "M2")),
        "M2": ("replaced-by", url(result, "M1")),
        "M3": ("replaces", url(result, "M4")),
        "M4": ("replaced-by", url(result, "M3")),
    }
    assert len(resources(result, "Linkage")) == 2


def test_a_survivor_that_carries_the_old_number_already_is_known_by_its_own():
    result = mapped(PID.replace("^MR||", "^MR~M0^^^HOSP&2.16.840.1.113883.19.5.1&ISO^MR||"), MRG.replace("M2^", "M0^"), event="ADT^A40")
    first, second = drafts(result, "Patient")
    assert not set(first.keys) & set(second.keys)
    assert [key.value[-2:] for key in first.keys] == ["M1"]


def test_a_prior_account_is_an_account_and_a_prior_visit_is_kept():
    result = mapped(PID, MRG + "||A-9^^^HOSP||V-3", event="ADT^A40")
    account = only(result, "Account")
    assert account["subject"] == [{"reference": url(result, "M2")}]
    assert account["identifier"][0]["value"] == "A-9"
    assert kept_values(by_number(result)["M2"]) == {"MRG-5": "V-3"}


def test_a_link_leaves_both_in_use():
    result = mapped(PID, "PV1|1|N", OTHER, event="ADT^A24")
    assert {(p["link"][0]["type"], p.get("active")) for p in resources(result, "Patient")} == {("seealso", None)}
    assert [item["type"] for item in only(result, "Linkage")["item"]] == ["source", "alternate"]
    assert resources(result, "Encounter") == [], "class N says that there is no visit"


def test_an_unlink_names_no_link_and_says_that_the_pair_is_no_longer_one():
    result = mapped(PID, OTHER, event="ADT^A37")
    assert all("link" not in patient and patient["active"] is True for patient in resources(result, "Patient"))
    assert only(result, "Linkage")["active"] is False


def test_a_visit_belongs_to_the_patient_it_stands_with():
    result = mapped(PID, MRG, "PV1|1|O", PID.replace("M1^", "M3^"), MRG.replace("M2^", "M4^"), event="ADT^A40")
    assert only(result, "Encounter")["subject"] == {"reference": url(result, "M1")}


@pytest.mark.parametrize(
    ("event", "segments", "code", "where"),
    [
        ("ADT^A40", (PID,), "100", Location("MRG")),
        ("ADT^A40", (PID, MRG, OTHER), "100", Location("PID", 2)),
        ("ADT^A40", (PID, "MRG|"), "101", Location("MRG", 1, 1)),
        ("ADT^A40", (PID.replace("M1^^^HOSP&2.16.840.1.113883.19.5.1&ISO^MR", ""), MRG), "101", Location("PID", 1, 3)),
        ("ADT^A24", (PID,), "100", Location("PID", 2)),
        ("ADT^A37", (PID, OTHER, PID), "100", Location("PID", 3)),
    ],
)
def test_what_names_no_two_patients_is_refused_where_it_fails_to(event, segments, code, where):
    with pytest.raises(Refused) as refused:
        mapped(*segments, event=event)
    assert refused.value.ack_code == "AE"
    assert (refused.value.findings[0].code, refused.value.findings[0].where) == (code, where)
