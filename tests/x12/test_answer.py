"""What a 271 means in FHIR: the rules that no golden folder shows alone, and that nothing a payer sends makes illegal FHIR."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_gateway.validation import validate
from mappers import x12
from mappers.x12 import Separators, X12Error
from mappers.x12 import items as limits
from profiles import x12codes
from profiles.eligibility import (
    BENEFIT_PERIOD,
    DISCLAIMER,
    IN_FORCE,
    INDETERMINATE,
    KEPT,
    NETWORK_PROVIDER,
    NETWORK_RESTRICTED,
    OTHER_PAYER,
    REMAINING,
    RETRY_AFTER,
    WHO_FIXES,
)
from tests.x12.build import BEGIN, PAYER, PROVIDER, SUBSCRIBER, answer, interchange, only, transaction_set

Json = dict[str, Any]


def mapped(*benefits: str, **asked: Any) -> x12.Answer:
    (found,) = x12.answers(only(answer(*benefits)), x12.Asked(**asked))
    assert validate(found.response) == []
    return found


def insurance(*benefits: str) -> Json:
    (one,) = mapped(*benefits).response["insurance"]
    return one


def by_type(one: Json) -> dict[str, Json]:
    return {item["category"]["coding"][0]["code"]: item for item in one["item"]}


def extended(element: Json, url: str) -> list[Any]:
    return [value for one in element.get("extension", ()) if one["url"] == url for name, value in one.items() if name != "url"]


@pytest.mark.parametrize(
    ("benefits", "inforce"),
    [
        (["EB*1**30"], True),
        (["EB*5**98"], True),
        (["EB*8**30"], False),
        (["EB*1**30", "EB*6**98"], True),
        (["EB*6**30", "EB*1**98"], None),
        (["EB*1**98", "EB*6**3"], None),
        (["EB*1**30", "EB*6**30"], None),
        (["EB*V**30"], None),
        (["EB*V**20", "EB*1**98"], True),
        (["EB*B**98***27*30"], None),
        (["EB*I**20"], None),
        ([], None),
    ],
)
def test_in_force_is_said_only_where_the_payer_says_it(benefits, inforce) -> None:
    one = insurance(*benefits)
    assert one.get("inforce") is inforce
    assert bool(extended(one, INDETERMINATE)) is (inforce is None)


@pytest.mark.parametrize("second", ["6", "V", "I", "E"])
def test_two_answers_for_one_service_type_that_disagree_are_both_kept_and_neither_stands(second) -> None:
    (item,) = insurance("EB*1**98", f"EB*{second}**98")["item"]
    assert extended(item, KEPT) == ["EB*1**98", f"EB*{second}**98"]
    assert extended(item, INDETERMINATE) and not extended(item, IN_FORCE) and "excluded" not in item


def test_a_service_type_that_is_inactive_in_a_plan_in_force_is_not_covered() -> None:
    items = by_type(insurance("EB*1**30", "EB*6**98"))
    assert items["98"]["excluded"] is True and extended(items["98"], IN_FORCE) == [False]
    assert items["30"]["excluded"] is False


@pytest.mark.parametrize(
    ("said", "required"), [(["Y"], True), (["N"], False), (["U"], None), ([""], None), (["N", "U"], None), (["N", "Y"], True), (["N", ""], False)]
)
def test_authorisation_is_never_a_no_made_of_unknown(said, required) -> None:
    items = by_type(insurance(*(f"EB*{kind}**98********{code}" for kind, code in zip("1D", said, strict=False))))
    assert items["98"].get("authorizationRequired") is required


@pytest.mark.parametrize(("code", "networks"), [("Y", ["in"]), ("N", ["out"]), ("W", ["in", "out"]), ("U", None), ("", None)])
def test_network(code, networks) -> None:
    network = by_type(insurance(f"EB*1**98*********{code}"))["98"].get("network")
    assert (network and [coding["code"] for coding in network["coding"]]) == networks


def test_what_remains_joins_the_amount_of_its_unit_and_stands_alone_where_that_is_in_doubt() -> None:
    (item,) = insurance("EB*C*IND*98***23*500", "EB*C*FAM*98***23*900", "EB*C*FAM*98***29*100", "EB*C*IND*98***23*500")["item"]
    assert [(b["allowedMoney"]["value"], [m["value"] for m in extended(b, REMAINING)]) for b in item["benefit"]] == [(500, []), (900, [100])]
    (item,) = insurance("EB*G**98***23*500", "EB*G**98***25*900", "EB*G**98***29*100")["item"]
    assert [extended(b, REMAINING) for b in item["benefit"]] == [[], [], [{"value": Decimal(100), "currency": "USD"}]]
    (item,) = insurance("EB*F**98***32*5000", "EB*F**98***23*400", "EB*F**98***33*4000")["item"]
    assert [(b["allowedMoney"]["value"], bool(extended(b, REMAINING))) for b in item["benefit"]] == [(5000, True), (400, False)]
    assert extended(item["benefit"][0], BENEFIT_PERIOD)[0]["display"] == "lifetime"


@pytest.mark.parametrize(
    ("eb", "allowed", "places"),
    [
        ("EB*A**98*****0.2", {"allowedUnsignedInt": 20}, []),
        ("EB*A**98*****1", {"allowedUnsignedInt": 100}, []),
        ("EB*A**98*****.075", {"allowedString": "7.5 %"}, []),
        ("EB*A**98*****20", {"allowedString": "20"}, ["EB[15]08"]),
        ("EB*B**98***27*30.00", {"allowedMoney": {"value": Decimal("30.00"), "currency": "USD"}}, []),
        ("EB*B**98***27*free", {"allowedString": "free"}, ["EB[15]07"]),
        ("EB*F**98***23***VS*1.5", {"allowedString": "1.5"}, []),
    ],
)
def test_amounts_are_read_or_kept_as_text_with_a_finding_never_guessed(eb, allowed, places) -> None:
    found = mapped(eb)
    (benefit,) = found.response["insurance"][0]["item"][0]["benefit"]
    assert {name: value for name, value in benefit.items() if name.startswith("allowed")} == allowed
    assert [finding.where.short for finding in found.findings] == places


@pytest.mark.parametrize("eb", ["EB*H**98", "EB*J**98***23*100", "EB*F**98***34***DY*20", "EB*B**98"])
def test_what_has_no_home_in_fhir_is_kept_as_sent(eb) -> None:
    (item,) = insurance(eb)["item"]
    assert extended(item, KEPT) == [eb] and "benefit" not in item


def test_dates_of_plan_and_service_and_what_is_no_date() -> None:
    found = mapped("EB*1**30", "DTP*291*RD8*20260101-20261231", "DTP*472*RD8*20260901-20260930")
    assert found.response["insurance"][0]["benefitPeriod"] == {"start": "2026-01-01", "end": "2026-12-31"}
    assert found.response["servicedPeriod"] == {"start": "2026-09-01", "end": "2026-09-30"}
    found = mapped("EB*1**30", "DTP*347*D8*20261399")
    assert [str(finding.where) for finding in found.findings] == ["segment 16 (DTP), element 3"]
    found = mapped("EB*1**30", "DTP*347*D8*20250101")
    assert "benefitPeriod" not in found.response["insurance"][0] and found.findings


def test_an_answer_without_its_date_has_that_of_its_group_and_a_finding() -> None:
    (found,) = x12.answers(only(answer("EB*1**30").replace(b"SOG-0417*20260914", b"SOG-0417*20261399")))
    assert found.response["created"] == "2026-09-14"
    assert [finding.where.short for finding in found.findings] == ["BHT[4]04"]


def test_what_names_neither_service_type_nor_procedure_is_about_the_plan() -> None:
    one = insurance("EB*1*IND**MA", "EB*L", "LS*2120", "NM1*P3*1*OSEI*KOFI", "LE*2120", "EB*D*IND**MB*********HC:99245")
    assert by_type({"item": one["item"][:1]}).keys() == {"30"} and one["inforce"] is True
    assert one["item"][1]["productOrService"]["coding"][0]["code"] == "99245" and "category" not in one["item"][1]


def test_a_subscriber_straight_below_the_payer_is_read() -> None:
    raw = interchange(transaction_set([*BEGIN, *PAYER, "HL*2*1*22*0", *SUBSCRIBER[1:], "EB*1**30"]))
    (found,) = x12.answers(only(raw))
    assert found.response["insurance"][0]["inforce"] is True


def test_a_silent_dependent_never_borrows_the_subscribers_answer() -> None:
    dependent = ["HL*4*3*23*0", "NM1*03*1*MARLOWE*TEO"]
    raw = interchange(transaction_set([*BEGIN, *PAYER, *PROVIDER, *SUBSCRIBER, "EB*1**30", *dependent]))
    hers, found = x12.answers(only(raw))
    assert (hers.level, found.level) == ("C", "D") and hers.response["insurance"][0]["inforce"] is True
    (one,) = found.response["insurance"]
    assert "inforce" not in one and extended(one, INDETERMINATE) == ["the payer answered for the subscriber, not for the patient"]
    assert [contained["id"] for contained in found.response["contained"]] == ["patient", "payer", "subscriber", "coverage"]


def test_references_of_the_caller_are_used_and_nothing_is_contained() -> None:
    given_ = {name: {"reference": f"{kind}/1"} for name, kind in (("patient", "Patient"), ("coverage", "Coverage"), ("insurer", "Organization"))}
    found = mapped("EB*1**30", **given_, request={"reference": "CoverageEligibilityRequest/1"}, created="2026-09-14T09:30:00-05:00")
    assert "contained" not in found.response
    assert found.response["insurance"][0]["coverage"] == {"reference": "Coverage/1"}
    assert (found.response["created"], found.traces, found.submitted) == ("2026-09-14T09:30:00-05:00", ("SOG-0417",), "SOG-0417")


def test_disclaimers_and_other_payers_speak_of_the_answer_and_make_no_item() -> None:
    found = mapped("EB*1**30", "EB*P", "MSG*NO GUARANTEE: SEE PLAN^BOOK", "EB*R**30", "LS*2120", "NM1*PRP*2*OTHER MUTUAL", "LE*2120")
    assert extended(found.response, DISCLAIMER) == ["NO GUARANTEE: SEE PLAN^BOOK"]
    (one,) = found.response["insurance"]
    assert extended(one, OTHER_PAYER) == ["OTHER MUTUAL (the primary payer)"] and len(one["item"]) == 1


@pytest.mark.parametrize("code", sorted(x12codes.shipped().rejections))
def test_every_rejection_says_who_puts_it_right(code) -> None:
    (error,) = mapped(f"AAA*N**{code}*C").response["error"]
    assert extended(error, WHO_FIXES)[0] in ("clinic", "referrer", "patient", "payer")
    assert error["code"]["text"].endswith(".") and error["code"]["coding"][0]["display"]


@pytest.mark.parametrize(
    ("code", "follow_up", "wait"),
    [
        ("42", "R", (15, "min")),
        ("42", "N", None),
        ("75", "C", None),
        ("75", "W", (30, "d")),
        ("75", "X", (10, "d")),
        ("80", "Y", None),
        ("ZZ", "", None),
    ],
)
def test_when_to_ask_again_is_the_payers_word_before_the_tables(code, follow_up, wait) -> None:
    (error,) = mapped(f"AAA*N**{code}*{follow_up}").response["error"]
    assert [(d["value"], d["code"]) for d in extended(error, RETRY_AFTER)] == ([wait] if wait else [])


def test_an_error_about_one_service_type_does_not_undo_the_answer_for_another() -> None:
    found = mapped("EB*1**30", "EB*V**20", "AAA*Y**62*C").response
    assert (found["outcome"], found["error"][0]["extension"][0]["valueString"]) == ("complete", "2110C AAA")
    assert mapped("AAA*N**75*C", "EB*1**30").response["outcome"] == "error"


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (answer("EB*1**30").replace(b"ST*271", b"ST*270"), "ST[3]01"),
        (answer("EB*1**30").replace(b"20260914", b"2026-09-14"), "GS[2]04"),
        (interchange(transaction_set(BEGIN)), "ST[3]"),
        (answer(f"EB*1**{'^'.join(map(str, range(100)))}"), "EB[15]03"),
    ],
)
def test_what_is_no_answer_is_refused_with_its_place(raw, place) -> None:
    with pytest.raises(X12Error) as refused:
        x12.answers(only(raw))
    assert refused.value.where.short == place


def test_benefits_of_one_person_are_bounded(monkeypatch) -> None:
    monkeypatch.setattr(limits, "MAX_BENEFITS", 3)
    with pytest.raises(X12Error, match="more than 3 benefits"):
        x12.answers(only(answer("EB*1**30^98", "EB*B**30^98***27*30")))


def test_codes_are_added_by_configuration() -> None:
    codes = x12codes.load('{"1365": {"A7": "Psychiatric"}}')
    (found,) = x12.answers(only(answer("EB*1**A7^20")), codes=codes)
    items = by_type(found.response["insurance"][0])
    assert [item["category"]["coding"][0]["display"] for item in items.values()] == ["Psychiatric", "Second surgical opinion"]
    for wrong in ("[]", '{"999": {}}', '{"1365": {"A7": 1}}'):
        with pytest.raises(ValueError, match="X12 codes"):
            x12codes.load(wrong)


element = st.sampled_from(
    [
        "",
        "30",
        "98^20",
        "IND",
        "FAM",
        "29",
        "23",
        "1500",
        ".2",
        "Y",
        "N",
        "U",
        "W",
        "VS",
        "3",
        "HC:99245",
        "A:B:C",
        "x",
        "-1",
        "20261332",
        "D8",
        "é",
        "1E9",
    ]
)
segment = st.tuples(
    st.sampled_from(["EB", "EB", "EB", "DTP", "MSG", "HSD", "III", "LS", "NM1", "PER", "LE", "AAA", "REF", "INS", "DMG", "N4"]),
    st.sampled_from(["1", "6", "A", "B", "C", "G", "F", "I", "N", "Q", "U", "V", "P", "R", "D8", "472", "346", ""]),
    st.lists(element, max_size=12),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(segment, max_size=10))
def test_whatever_a_payer_sends_is_legal_fhir(segments) -> None:
    raw = answer(*("*".join([name, first, *rest]) for name, first, rest in segments))
    for found in x12.answers(only(raw)):
        assert validate(found.response) == []


def test_active_and_not_covered_out_of_network_is_no_contradiction() -> None:
    """EB12 (005010X279A1, 2110C): a benefit told of one side of the network is told of that side alone."""
    one = insurance("EB*1**98", "EB*B**98***27*20*****Y", "EB*I**98*********N")
    inside, outside = one["item"]
    assert one["inforce"] is True
    assert (inside["network"]["coding"][0]["code"], inside["excluded"]) == ("in", False)
    assert (outside["network"]["coding"][0]["code"], outside["excluded"]) == ("out", True)
    assert [item["excluded"] for item in insurance("EB*1**98", "EB*I**98*********N")["item"]] == [False, True]


def test_the_primary_care_provider_is_named_and_is_not_who_may_give_the_opinion() -> None:
    """EB01 L names whom the plan has on file as primary care provider (005010X279A1, example of 2120C), not a list of providers to choose from."""
    (item,) = insurance("EB*1**30", "EB*L**30", "LS*2120", "NM1*P3*1*JONES*MARCUS****XX*1234567893", "PER*IC**TE*8005550177", "LE*2120")["item"]
    assert extended(item, NETWORK_RESTRICTED) == ["the primary care provider: MARCUS JONES 1234567893"]
    assert extended(item, NETWORK_PROVIDER) == [] and extended(item, KEPT) == ["PER*IC**TE*8005550177"]


def test_nothing_that_an_answer_tells_is_dropped_but_social_security_numbers() -> None:
    """Loops 2100A-C and 2120C of 005010X279A1: what has no home is kept as sent."""
    subscriber = [*SUBSCRIBER, "REF*SY*000000000", "REF*IG*POL-1", "DTP*442*D8*20260601", "DTP*347*D6*261231", "INS*Y*18*001*25"]
    named = ["LS*2120", "NM1*X3*2*UM ORG*****PI*9", "PER*IC*AUTHS*TE*8005550199", "NM1*P5*1*ROE*JO****34*000000000", "LE*2120"]
    other = ["EB*R**30", "REF*IG*77", "DTP*290*D8*20260101", "LS*2120", "NM1*SEP*2*OTHER MUTUAL", "LE*2120"]
    (found,) = x12.answers(only(answer("EB*1**98*HM", *named, *other, subscriber=subscriber)))
    top = ["REF*IG*POL-1", "DTP*442*D8*20260601", "DTP*347*D6*261231", "INS*Y*18*001*25"]
    assert extended(found.response, KEPT) == [*top, "EB*R**30", "REF*IG*77", "DTP*290*D8*20260101", "NM1*SEP*2*OTHER MUTUAL"]
    (item,) = found.response["insurance"][0]["item"]
    assert extended(item, KEPT) == ["NM1*X3*2*UM ORG*****PI*9", "PER*IC*AUTHS*TE*8005550199", "NM1*P5*1*ROE*JO"]
    assert item["description"] == "Insurance type: health maintenance organisation (HMO)"


def test_a_segment_kept_of_a_payer_that_separates_by_control_characters_is_legal_fhir() -> None:
    """X12.6 allows FS, GS, RS and US as separators; FHIR's string has no control characters (R4 datatypes, string)."""
    raw = answer("EB*CB**30", "HSD*VS*1", separators=Separators("\x1d", "\x1e", "\x1f", "\x1c"))
    (found,) = x12.answers(only(raw))
    assert validate(found.response) == []
    assert extended(found.response["insurance"][0]["item"][0], KEPT) == ["EB*CB**30", "HSD*VS*1"]
