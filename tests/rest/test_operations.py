"""Operations of FHIR itself: $validate, $everything, $match, $meta; what they answer, to whom, and what is noted of it."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_gateway.pipeline.everything import Everything
from fhir_gateway.pipeline.search import compartment_of
from fhir_gateway.security.principal import Principal
from fhir_gateway.validation import decode, encode, validate
from profiles import searchparameters
from profiles.compartments import CARE_DATE, PATIENT
from tests.rest.conftest import BASE, STAFF, Api, issues, places
from tests.rest.test_cases import own, patient

Json = dict[str, Any]


def parameters(**given: Any) -> Json:
    """Parameters: a resource, or a primitive by its element name (`valueCode`)."""
    made: list[Json] = []
    for name, value in given.items():
        made.append({"name": name, "resource": value} if isinstance(value, dict) else {"name": name, value[0]: value[1]})
    return {"resourceType": "Parameters", "parameter": made}


# $validate


def test_every_issue_is_told_and_nothing_is_stored(either: Api) -> None:
    before = either.count("Patient")
    wrong = {**patient(own()), "gender": "F", "birthDate": "1971-13-01", "nickname": "x"}
    for body in (wrong, parameters(resource=wrong)):
        answer = either.post("/fhir/Patient/$validate", body)
        assert answer.status_code == 200
        assert set(places(answer)) == {"Patient.gender", "Patient.birthDate", "Patient.nickname"}
    good = either.post("/fhir/Patient/$validate", patient(own()))
    assert [(issue["severity"], issue["code"]) for issue in issues(good)] == [("information", "informational")]
    assert either.count("Patient") == before


def test_a_mode_says_what_would_stop_that_write(either: Api) -> None:
    dangling = {"resourceType": "Condition", "subject": {"reference": "Patient/nobody-here"}}
    assert issues(either.post("/fhir/Condition/$validate", dangling))[0]["severity"] == "information"
    assert places(either.post("/fhir/Condition/$validate", parameters(resource=dangling, mode=("valueCode", "create")))) == [
        "Condition.subject.reference"
    ]
    held = either.made(patient(own()))
    update = parameters(resource={**held, "id": "another"}, mode=("valueCode", "update"))
    assert places(either.post(f"/fhir/Patient/{held['id']}/$validate", update)) == ["Patient.id"]
    gone = parameters(mode=("valueCode", "delete"))
    assert issues(either.post(f"/fhir/Patient/{held['id']}/$validate", gone))[0]["severity"] == "information"
    assert either.get(f"/fhir/Patient/{held['id']}").status_code == 200


def test_a_cases_own_rules_are_among_them(either: Api) -> None:
    from tests import messages

    number = own()
    assert either.v2(messages.referral(number, mrn=number)) == "AA"
    (request,) = either.found("ServiceRequest", f"identifier={number}")
    (task,) = either.found("Task", f"focus=ServiceRequest/{request['id']}")
    refused = either.post(f"/fhir/Task/{task['id']}/$validate?mode=update", {**task, "status": "completed"})
    assert [(i["code"], i["expression"]) for i in issues(refused)] == [("business-rule", ["Task.status"])]
    kept = either.post(f"/fhir/ServiceRequest/{request['id']}/$validate", parameters(mode=("valueCode", "delete")))
    assert issues(kept)[0]["code"] == "conflict"


def test_what_is_held_can_be_validated_where_it_stands(either: Api) -> None:
    held = either.made(patient(own()))
    assert issues(either.get(f"/fhir/Patient/{held['id']}/$validate"))[0]["severity"] == "information"
    assert either.get("/fhir/Patient/nobody-here/$validate").status_code == 404
    assert either.post("/fhir/Patient/nobody-here/$validate", parameters(mode=("valueCode", "delete"))).status_code == 404


@pytest.mark.parametrize(
    ("profile", "severity"),
    [
        ("http://hl7.org/fhir/StructureDefinition/Patient|4.0.1", "information"),
        ("http://hl7.org/fhir/StructureDefinition/DomainResource", "information"),
        ("http://hl7.org/fhir/StructureDefinition/Observation", "error"),
        ("http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient", "information"),
    ],
)
def test_a_profile_is_checked_or_said_not_to_be(either: Api, profile: str, severity: str) -> None:
    answer = either.post("/fhir/Patient/$validate", parameters(resource=patient(own()), profile=("valueUri", profile)))
    (issue,) = issues(answer)
    assert issue["severity"] == severity
    assert ("not held here" in issue["diagnostics"]) == ("us-core" in profile)


def test_a_question_that_makes_no_sense_is_refused(either: Api) -> None:
    for path, body in (
        ("/fhir/Patient/$validate?mode=sideways", patient(own())),
        ("/fhir/Patient/$validate?mode=update", patient(own())),
        ("/fhir/Patient/$validate", {"resourceType": "Parameters"}),
        ("/fhir/Patient/$validate", parameters(mode=("valueCode", "create"))),
    ):
        answer = either.post(path, body)
        assert answer.status_code == 422 and issues(answer), path
    assert either.post("/fhir/Patent/$validate", {"resourceType": "Patent"}).status_code == 404
    assert either.post("/fhir/Patient/$validate", b"{").status_code == 400
    other = issues(either.post("/fhir/Patient/$validate", {"resourceType": "Condition", "subject": {"reference": "Patient/1"}}))
    assert other[0]["expression"] == ["resourceType"]


# $everything


def chart(api: Api) -> tuple[str, set[str]]:
    """A patient with records, and what they refer to; somebody else's record stands beside them."""
    organization = api.made({"resourceType": "Organization", "name": "Northside"})
    doctor = api.made({"resourceType": "Practitioner", "name": [{"family": "Okafor"}]})
    role = {"resourceType": "PractitionerRole", "practitioner": {"reference": f"Practitioner/{doctor['id']}"}}
    role = api.made({**role, "organization": {"reference": f"Organization/{organization['id']}"}})
    person, other = api.made(patient(own())), api.made(patient(own()))
    made = [organization, doctor, role, person]
    for subject in (person, other):
        about = {"reference": f"Patient/{subject['id']}"}
        recorder = {"reference": f"PractitionerRole/{role['id']}"}
        condition = api.made({"resourceType": "Condition", "subject": about, "recorder": recorder, "code": {"text": "x"}})
        result = api.made({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": about})
        made += [condition, result] if subject is person else []
    return person["id"], {f"{r['resourceType']}/{r['id']}" for r in made}


def names(bundle: Json) -> list[str]:
    return [f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in bundle.get("entry", ())]


def test_everything_is_the_patient_the_records_and_what_they_refer_to(either: Api) -> None:
    id, expected = chart(either)
    answer = either.get(f"/fhir/Patient/{id}/$everything")
    bundle = decode(answer.content)
    assert answer.status_code == 200 and validate(bundle) == []
    assert set(names(bundle)) == expected and len(names(bundle)) == len(expected)
    assert names(bundle)[0] == f"Patient/{id}"
    modes = {n: e["search"]["mode"] for n, e in zip(names(bundle), bundle["entry"], strict=True)}
    assert {n.partition("/")[0] for n, mode in modes.items() if mode == "include"} == {"Practitioner", "PractitionerRole", "Organization"}
    assert set(names(decode(either.post(f"/fhir/Patient/{id}/$everything", parameters(_count=("valueInteger", 100))).content))) == expected


def test_everything_comes_in_pages_that_together_are_all_of_it(either: Api) -> None:
    id, expected = chart(either)
    url, found, pages = f"{BASE}/Patient/{id}/$everything?_count=1", set[str](), 0
    while url:
        bundle = decode(either.get(url).content)
        assert sum(e["search"]["mode"] == "match" for e in bundle["entry"]) == 1
        found |= set(names(bundle))
        pages += 1
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    assert (found, pages) == (expected, 3)
    assert either.get(f"/fhir/Patient/{id}/$everything?_cursor=999.").status_code == 400


def test_everything_by_type_and_by_time(either: Api) -> None:
    id, _ = chart(either)
    only = decode(either.get(f"/fhir/Patient/{id}/$everything?_type=Observation,Organization").content)
    assert {n.partition("/")[0] for n in names(only)} == {"Observation"}
    since = decode(either.get(f"/fhir/Patient/{id}/$everything?_since=2999-01-01T00:00:00Z").content)
    assert names(since) == []
    assert names(decode(either.get(f"/fhir/Patient/{id}/$everything?_since=2020-01-01").content))
    for query in ("onset=2026-01-01", "_type=Patent", "_since=soon", "start=soon", "end=2026-03-01T10:00:00Z", "start=2026-03&end=2026-02-28"):
        assert either.get(f"/fhir/Patient/{id}/$everything?{query}").status_code == 400, query
    assert either.get("/fhir/Patient/nobody-here/$everything").status_code == 404


def test_everything_of_a_time_of_care_keeps_what_has_no_date(either: Api) -> None:
    person = either.made(patient(own()))
    about = {"subject": {"reference": f"Patient/{person['id']}"}}
    result = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **about}
    stay = {"resourceType": "Encounter", "status": "finished", "class": {"code": "IMP"}, **about}
    chemo = {"resourceType": "MedicationAdministration", "status": "completed", "medicationCodeableConcept": {"text": "x"}, **about}
    surgery = {"resourceType": "Procedure", "status": "completed", **about}
    dated = [
        ("march", {**result, "effectiveDateTime": "2026-03-14"}),
        ("month", {**result, "effectiveDateTime": "2026-04"}),
        ("stay", {**stay, "period": {"start": "2026-02-20", "end": "2026-03-02"}}),
        ("since", {**stay, "period": {"start": "2026-04-15T09:00:00Z"}}),
        ("chemo", {**chemo, "effectiveDateTime": "2026-03-20"}),
        ("surgery", {**surgery, "performedDateTime": "2025"}),
        ("undated", result),
        ("condition", {"resourceType": "Condition", "onsetDateTime": "2019", **about}),
    ]
    named = {f"{made['resourceType']}/{made['id']}": name for name, made in ((name, either.made(resource)) for name, resource in dated)}
    for query, wanted in (
        ("start=2026-03-01&end=2026-03-31", "march stay chemo"),
        ("start=2026-03-02&end=2026-03-02", "stay"),
        ("start=2026-03-03", "march month since chemo"),
        ("start=2026-04-20", "month since"),
        ("end=2026-02-20", "stay surgery"),
        ("end=2025-01", "surgery"),
        ("start=2030&_type=Encounter", "since"),
    ):
        url, found = f"{BASE}/Patient/{person['id']}/$everything?{query}&_count=2", []
        while url:
            bundle = decode(either.get(url).content)
            found += [named[name] for name in names(bundle) if name in named]
            url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
        kept = [] if "_type" in query else ["undated", "condition"]
        assert sorted(found) == sorted([*wanted.split(), *kept]), query
    posted = either.post(f"/fhir/Patient/{person['id']}/$everything", parameters(end=("valueDate", "2019-01-01"), start=("valueDate", "2018-01-01")))
    assert sorted(named.get(name, "") for name in names(decode(posted.content))) == ["", "condition", "undated"]
    refused = either.get(f"/fhir/Patient/{person['id']}/$everything?end=soon")
    assert "end must be a date" in issues(refused)[0]["diagnostics"]


def test_everything_by_dates_of_care_is_asked_of_dates_that_can_be_searched() -> None:
    known = {(parameter.type, parameter.code): parameter.kind for parameter in searchparameters.load()}
    assert {known[type, code] for type, code in CARE_DATE.items()} == {"date"} and CARE_DATE.keys() <= PATIENT.keys()


def test_nothing_of_the_compartment_is_left_out_for_want_of_a_search_parameter() -> None:
    assert all(compartment_of(type) for type in PATIENT)


def test_a_payer_does_not_ask_everything_by_dates_of_care(api: Api) -> None:
    from fhir_gateway.errors import NotOpenError

    with pytest.raises(NotOpenError):
        api.gateway.operations.everything(Principal("payer", "P", "p"), "x", [("start", "2026")], BASE)


def test_a_referrer_gets_what_it_may_see_and_every_resource_is_noted(fresh: Api) -> None:
    northside, other = Principal("referrer", "northside"), Principal("referrer", "southside")
    held = fresh.gateway.fhir.create(northside, "Patient", encode(patient(own())), None).stored
    condition = encode({"resourceType": "Condition", "subject": {"reference": held.reference}})
    mine = fresh.gateway.fhir.create(northside, "Condition", condition, None).stored
    hidden = fresh.gateway.fhir.create(STAFF, "Condition", condition, None).stored
    ours = fresh.gateway.operations.everything(northside, held.id, [], BASE)
    shown = {entry["fullUrl"].removeprefix(f"{BASE}/") for entry in ours["entry"]}
    assert shown == {held.reference, mine.reference}
    everyones = fresh.gateway.operations.everything(STAFF, held.id, [], BASE)
    assert hidden.reference in {entry["fullUrl"].removeprefix(f"{BASE}/") for entry in everyones["entry"]}
    from fhir_gateway.errors import NotFoundError

    with pytest.raises(NotFoundError):
        fresh.gateway.operations.everything(other, held.id, [], BASE)
    with fresh.gateway.store.transaction(STAFF, fresh.gateway.clock()) as tx:
        acts = [(organisation, action) for _, organisation, _, action in tx.audit.of("Condition", mine.id)]
    assert ("northside", "found") in acts
    assert Everything.of(held.id, [], fresh.gateway.settings).types == ()


# $match


def graded(api: Api, described: Json, **more: Any) -> list[tuple[str, str, float]]:
    """(id, grade, score) in the order given."""
    answer = api.post("/fhir/Patient/$match", parameters(resource=described, **more))
    assert answer.status_code == 200, answer.text
    bundle = decode(answer.content)
    assert validate(bundle) == [] and bundle["type"] == "searchset"
    found = []
    for entry in bundle.get("entry", ()):
        (extension,) = entry["search"]["extension"]
        assert extension["url"] == "http://hl7.org/fhir/StructureDefinition/match-grade"
        found.append((entry["resource"]["id"], extension["valueCode"], float(entry["search"]["score"])))
    return found


def person(family: str, number: str, **more: Any) -> Json:
    return {**patient(number), "name": [{"family": family, "given": ["Ines"]}], **more}


def test_matches_are_graded_scored_and_ordered(either: Api) -> None:
    family, number = f"Mar{own()}", own()
    same = either.made(person(family, number))
    twin = either.made({**person(family, own()), "name": [{"family": family, "given": ["Rosa"]}]})
    likely = either.made(person(family, own()))
    either.made(person("Other", own()))
    found = graded(either, person(family, number))
    assert [(id, grade) for id, grade, _ in found] == [(same["id"], "certain"), (likely["id"], "probable"), (twin["id"], "possible")]
    assert sorted((score for _, _, score in found), reverse=True) == [score for _, _, score in found] and found[0][2] <= 1
    assert [id for id, _, _ in graded(either, person(family, number), count=("valueInteger", 1))] == [same["id"]]
    assert [id for id, _, _ in graded(either, person(family, number), onlyCertainMatches=("valueBoolean", True))] == [same["id"]]
    assert graded(either, person(family, own(), birthDate="1950-01-01")) == []
    bare = either.post("/fhir/Patient/$match", person(family, number))
    assert len(decode(bare.content)["entry"]) == 3


def test_two_that_are_certain_make_neither_certain(either: Api) -> None:
    family, number = f"Mar{own()}", own()
    either.made(person(family, number))
    either.made(person(family, number))
    assert [grade for _, grade, _ in graded(either, person(family, number))] == ["certain", "certain"]
    assert graded(either, person(family, number), onlyCertainMatches=("valueBoolean", True)) == []


def test_names_with_the_marks_of_a_search_are_only_names(either: Api) -> None:
    family = f"O,{own()}|$\\"
    held = either.made(person(family, own()))
    assert [id for id, _, _ in graded(either, person(family, f"a,b|{own()}"))] == [held["id"]]


def test_nobody_is_matched_whom_the_sender_may_not_see(fresh: Api) -> None:
    number = own()
    northside, other = Principal("referrer", "northside"), Principal("referrer", "southside")
    held = fresh.gateway.fhir.create(northside, "Patient", encode(patient(number)), None).stored
    asked = parameters(resource=patient(number))
    assert [e["resource"]["id"] for e in fresh.gateway.operations.match(northside, asked, BASE)["entry"]] == [held.id]
    assert "entry" not in fresh.gateway.operations.match(other, asked, BASE)


def test_a_match_without_somebody_to_match_is_refused(either: Api) -> None:
    for body in ({"resourceType": "Parameters"}, parameters(resource={"resourceType": "Patient", "gender": "F"}), {"resourceType": "Condition"}):
        answer = either.post("/fhir/Patient/$match", body)
        assert answer.status_code == 422 and issues(answer)
    assert either.post("/fhir/Patient/$match", parameters(resource=patient(own()), count=("valueInteger", 0))).status_code == 422


# $meta


def test_labels_are_added_and_taken_away(either: Api) -> None:
    held = either.made({**patient(own()), "meta": {"profile": ["urn:x:p"], "tag": [{"system": "urn:x:t", "code": "a"}]}})
    here = f"/fhir/Patient/{held['id']}"
    label = {"profile": ["urn:x:q"], "tag": [{"system": "urn:x:t", "code": "a", "display": "again"}, {"system": "urn:x:t", "code": "b"}]}
    added = decode(either.post(f"{here}/$meta-add", parameters(meta=("valueMeta", label))).content)["parameter"][0]["valueMeta"]
    assert added["profile"] == ["urn:x:p", "urn:x:q"] and [tag["code"] for tag in added["tag"]] == ["a", "b"]
    again = decode(either.post(f"{here}/$meta-add", parameters(meta=("valueMeta", label))).content)["parameter"][0]["valueMeta"]
    assert again["versionId"] == added["versionId"] == "2"
    left = decode(either.post(f"{here}/$meta-delete", parameters(meta=("valueMeta", {"tag": label["tag"]}))).content)["parameter"][0]["valueMeta"]
    assert "tag" not in left and left["profile"] == ["urn:x:p", "urn:x:q"]
    assert decode(either.get(f"{here}/$meta").content)["parameter"][0]["valueMeta"] == left
    assert either.post(f"{here}/$meta-add", parameters()).status_code == 422
    assert either.get("/fhir/Patient/nobody-here/$meta").status_code == 404


def test_all_labels_in_use_each_once_and_only_those_seen(fresh: Api) -> None:
    labels = {"profile": ["urn:x:p"], "tag": [{"system": "urn:x:t", "code": "a"}, {"code": "bare"}], "security": [{"system": "urn:x:s", "code": "R"}]}
    fresh.made({**patient(own()), "meta": labels})
    fresh.made({**patient(own()), "meta": {"tag": [{"system": "urn:x:t", "code": "a"}, {"system": "urn:x:other", "code": "a"}]}})
    gone = fresh.made({**patient(own()), "meta": {"profile": ["urn:x:gone"]}})
    assert fresh.delete(f"/fhir/Patient/{gone['id']}").status_code < 300
    here = decode(fresh.get("/fhir/Patient/$meta").content)["parameter"][0]["valueMeta"]
    assert here == {**labels, "tag": [{"code": "bare"}, {"system": "urn:x:other", "code": "a"}, {"system": "urn:x:t", "code": "a"}]}
    everywhere = decode(fresh.get("/fhir/$meta").content)["parameter"][0]["valueMeta"]
    assert everywhere["profile"] == ["urn:x:p"] and {"system": "urn:x:other", "code": "a"} in everywhere["tag"]
    assert decode(fresh.get("/fhir/Appointment/$meta").content)["parameter"][0] == {"name": "return", "valueMeta": {}}
    assert fresh.get("/fhir/Nonsense/$meta").status_code == 404
    stranger = Principal("referrer", "ELSEWHERE")
    assert fresh.gateway.operations.labels(stranger, "Patient")["parameter"][0]["valueMeta"] == {}
