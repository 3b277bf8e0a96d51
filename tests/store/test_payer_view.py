"""What a payer sees: a store full of everything, walked through every verb as a payer, on both databases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.store import Store, Transaction
from fhir_gateway.store.errors import NotFoundError, NotOpenError, SearchError
from fhir_gateway.store.history import HistoryQuery
from fhir_gateway.store.payerview.projection import TURN
from fhir_gateway.store.payerview.shares import owner_of
from fhir_gateway.store.search import SearchIndex, parse_query
from fhir_gateway.store.stored import encode
from fhir_gateway.validation.types import TYPES
from profiles.payerview import VIEWS
from tests.store.people import CLINIC, NORTHSIDE, NOW, later

ACME, OTHER = Principal("payer", "acme", "acme-system"), Principal("payer", "other", "other-system")
SECRET = "SECRET"
"""Stands in everything no payer may read."""
Json = dict[str, Any]


def named(payors: Sequence[Json]) -> str | None:
    """The payers of these tests go by the name of their Organization."""
    return next((name for name in ("acme", "other") for one in payors if one.get("name") == name), None)


def to(reference: str) -> Json:
    return {"reference": reference, "display": SECRET}


def coded(code: str) -> Json:
    return {"coding": [{"system": "urn:codes", "code": code}], "text": SECRET}


def under(*coverages: str) -> list[Json]:
    return [{"focal": n == 0, "sequence": n + 1, "coverage": to(name), "preAuthRef": SECRET if n else "A"} for n, name in enumerate(coverages)]


class World:
    """A member of both payers with a case; another of the other payer's; and one of every type about the first. ids: by a name."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ids: dict[str, str] = {}
        store.knows_payers(lambda _: named)
        with store.transaction(NORTHSIDE, NOW) as tx:
            for payer in ("acme", "other"):
                self.makes(tx, payer, {"resourceType": "Organization", "name": payer})
            for who, payers in (("ines", ("acme", "other")), ("olaf", ("other",))):
                self._person(tx, who, payers)
            for type in sorted(TYPES - VIEWS.keys()):
                about = {"subject": to(self.ids["ines"]), "patient": to(self.ids["ines"]), "beneficiary": to(self.ids["ines"])}
                self.makes(tx, f"a {type}", {"resourceType": type, "status": "active", "note": SECRET, **about})
            self.makes(tx, "letter", self._letter())
            self.makes(tx, "bytes", {"resourceType": "Binary", "contentType": "text/plain", "data": "UExBSU4=", "securityContext": to("Patient/x")})
            self.makes(tx, "other bytes", {"resourceType": "Binary", "contentType": "text/plain", "data": SECRET})

    def makes(self, tx: Transaction, name: str, resource: Json) -> str:
        self.ids[name] = tx.resources.create(resource).reference
        return self.ids[name]

    def case(self, name: str = "service of ines", **how: Any) -> None:
        """The case of a service was judged."""
        id = self.ids[name].partition("/")[2]
        with self.store.transaction(CLINIC, later(minutes=1)) as tx:
            referral = tx.resources.read("ServiceRequest", id)
            assert referral is not None
            patient = referral.resource["subject"]["reference"].partition("/")[2]
            tx.cases.open(referral.resource, task_id=None, patient_id=patient, state="received", confirmed=True)
            judged = {"case": {"state": "received", "appointment": "2026-10-01T09:00:00-05:00"}, "items": [], "gates": {}}
            tx.cases.save(id, judged, **{"self_pay": False, **how})
            tx.shares.settle(patient)

    def changes(self, name: str, /, **elements: Any) -> None:
        type, _, id = self.ids[name].partition("/")
        with self.store.transaction(CLINIC, later(minutes=2)) as tx:
            held = tx.resources.read(type, id)
            assert held is not None
            tx.resources.update({**held.resource, **elements})

    def shown(self, payer: Principal = ACME) -> set[str]:
        """Names of what the payer can read."""
        with self.store.snapshot(payer) as tx:
            return {name for name, reference in self.ids.items() if tx.resources.read(*reference.split("/")) is not None}

    def seen(self, name: str, payer: Principal = ACME) -> Json:
        with self.store.snapshot(payer) as tx:
            held = tx.resources.read(*self.ids[name].split("/"))
        assert held is not None
        return held.resource

    def _person(self, tx: Transaction, who: str, payers: Sequence[str]) -> None:
        numbers = [{"system": "urn:hospital", "value": SECRET}, *({"value": f"{who}-with-{payer}"} for payer in payers)]
        name = [{"family": who, "given": ["X"]}, {"use": "maiden", "family": SECRET}]
        person = {"resourceType": "Patient", "identifier": numbers, "name": name, "gender": "female", "birthDate": "1971-03-14"}
        patient = self.makes(tx, who, {**person, "address": [{"city": SECRET}], "telecom": [{"value": SECRET}], "text": {"div": SECRET}})
        plans = [self._coverage(tx, who, patient, payer) for payer in payers]
        service = {
            "resourceType": "ServiceRequest",
            "identifier": [{"value": SECRET}],
            "status": "active",
            "intent": "order",
            "code": coded("second-opinion"),
            "subject": to(patient),
            "requester": to("Practitioner/SECRET"),
            "reasonCode": [{"text": SECRET}],
            "occurrenceDateTime": f"2026-12-24T10:00:00{SECRET}",
            "insurance": [to(plan) for plan in plans],
        }
        asked = self.makes(tx, f"service of {who}", service)
        for payer, plan in zip(payers, plans, strict=True):
            others = [one for one in plans if one != plan]
            about: Json = {
                "status": "active",
                "patient": to(patient),
                "insurance": under(plan, *others),
                "extension": [{"url": "urn:x", "valueString": SECRET}],
            }
            claim = {"resourceType": "Claim", "use": "preauthorization", "referral": to(asked), "careTeam": [{"provider": to("x")}], **about}
            put = self.makes(tx, f"claim of {who} to {payer}", claim)
            self.makes(tx, f"decision of {payer} on {who}", {"resourceType": "ClaimResponse", "use": "preauthorization", "request": to(put), **about})
            request = self.makes(tx, f"question to {payer} on {who}", {"resourceType": "CoverageEligibilityRequest", **about})
            answer = {"resourceType": "CoverageEligibilityResponse", "request": to(request), **about}
            answer["insurance"] = [{"coverage": to(one), "inforce": True, "item": [{"name": SECRET if one != plan else ""}]} for one in plans]
            self.makes(tx, f"answer of {payer} on {who}", answer)
        self.makes(
            tx, f"old claim of {who}", {"resourceType": "Claim", "use": "claim", "status": "active", "insurance": under(plans[0]), "note": SECRET}
        )

    def _coverage(self, tx: Transaction, who: str, patient: str, payer: str) -> str:
        plan = {
            "resourceType": "Coverage",
            "status": "active",
            "subscriberId": f"{who}-with-{payer}",
            "beneficiary": to(patient),
            "subscriber": to("RelatedPerson/SECRET"),
            "order": 77,
            "payor": [{"reference": self.ids[payer]}],
            "costToBeneficiary": [{"text": SECRET}],
        }
        return self.makes(tx, f"{who} with {payer}", plan)

    def _letter(self) -> Json:
        attachments = [{"attachment": {"url": "Binary/waits", "title": "Report"}}]
        kept = {"status": "current", "type": {"text": "report"}, "subject": to(self.ids["ines"]), "content": attachments}
        return {"resourceType": "DocumentReference", **kept, "author": [to("Practitioner/SECRET")], "context": {"related": [to("x")]}}


@pytest.fixture
def world(store: Store) -> World:
    made = World(store)
    made.case()
    made.case("service of olaf")
    return made


OF_ACME = {
    "ines",
    "ines with acme",
    "service of ines",
    "claim of ines to acme",
    "decision of acme on ines",
    "question to acme on ines",
    "answer of acme on ines",
}


def test_a_payer_reads_its_own_and_nothing_else_of_anything(world: World) -> None:
    assert world.shown() == OF_ACME
    assert "olaf" in world.shown(OTHER) and "ines with acme" not in world.shown(OTHER)
    assert world.shown(Principal("payer", "")) == world.shown(Principal("payer", "nobody")) == set()
    for name in OF_ACME:
        body = encode(world.seen(name)).decode()
        assert SECRET not in body, (name, body)
        assert "ines-with-other" not in body and world.ids["ines with other"] not in body
    assert world.seen("ines")["identifier"] == [{"value": "ines-with-acme"}]
    assert world.seen("service of ines")["occurrenceDateTime"] == "2026-10-01T14:00:00.000Z"


def test_every_verb_agrees_with_reading(world: World) -> None:
    shown, every = {world.ids[name] for name in OF_ACME}, list(world.ids.values())
    with world.store.snapshot(ACME) as tx:
        assert tx.resources.read_many(every).keys() == shown
        for reference in every:
            type, _, id = reference.partition("/")
            found = [tx.resources.vread(type, id, 1), *tx.resources.history(type, id), *tx.history(HistoryQuery(type, id)).entries]
            assert {one.reference for one in found if one} == ({reference} & shown)
            assert all(SECRET not in one.body.decode() for one in found if one)
            assert not tx.resources.as_of(type, [id], later(days=1)) and tx.cases.get(reference) is None
            assert tx.shares.shown_to(type, id) == []
        for type in TYPES:
            page = tx.search(type, parse_query(type, [("_total", "accurate")]))
            assert {one.reference for one in page.entries} == {name for name in shown if name.startswith(f"{type}/")}
            assert page.total == len(page.entries) and all(SECRET not in one.body.decode() for one in page.entries)
            with pytest.raises(NotOpenError):
                tx.history(HistoryQuery(type))
        assert not (
            tx.cases.list() or tx.inbox.list() or tx.cases.orphans() or tx.resources.histories(every) or tx.resources.clinics_own("Organization")
        )


VALUES = ("ines", "female", "1971-03-14", "active", "urn:hospital|SECRET", "SECRET", "second-opinion", "Patient/x", "true", "2026-12-24")


def questions(type: str) -> Iterator[tuple[str, str]]:
    """A search on a type by every parameter, chain and reverse chain."""
    index = SearchIndex.load()
    for code, parameter in index.parameters(type).items():
        yield code, "{}"
        if parameter.kind == "reference":
            yield f"{code}:identifier", "{}"
            yield from ((f"{code}:{target}.{inner}", "{}") for target in parameter.targets for inner in list(index.parameters(target))[:4])
            yield "_include", f"{type}:{code}"
            yield f"_has:{type}:{code}:_id", "{}"
            yield "_revinclude", f"{type}:{code}"
        yield f"{code}:missing", "true"
        yield "_sort", code


def asked(tx: Transaction, type: str, pairs: list[tuple[str, str]]) -> Any:
    """What a search tells: what it finds and counts, or that it is refused."""
    try:
        page = tx.search(type, parse_query(type, [*pairs, ("_total", "accurate")]))
    except (NotOpenError, SearchError) as refusal:
        return type_of(refusal)
    return [one.body for one in (*page.entries, *page.included)], page.total


def type_of(refusal: Exception) -> str:
    return refusal.__class__.__name__


def test_no_search_tells_what_reading_does_not(world: World) -> None:
    """The same is told whether hidden elements hold the value asked for or not: a search whose answer differs from that of a value nobody has finds what
    can be read.
    """
    with world.store.snapshot(ACME) as tx:
        for type in sorted({*VIEWS, "Organization", "Task", "Observation"}):
            readable = [one.body for one in tx.search(type, parse_query(type, [])).entries]
            for name, value in questions(type):
                nothing = asked(tx, type, [(name, value.format("nobody-has-this"))])
                if isinstance(nothing, str):
                    continue  # refused before anything is looked at
                for given in VALUES:
                    told = asked(tx, type, [(name, value.format(given))])
                    if told == nothing or isinstance(told, str):
                        continue
                    bodies, total = told
                    assert all(body in readable for body in bodies) and total == len(bodies), (type, name, given)
                    text = given.rpartition("|")[2].removeprefix("Patient/")
                    assert all(text in body.decode() for body in bodies), f"{type}?{name}={given} tells of what is not shown"


def test_the_patient_can_be_asked_for_by_id_alone(world: World) -> None:
    with world.store.snapshot(ACME) as tx:
        for name in set(SearchIndex.load().parameters("Patient")) - {"_id", "_lastUpdated"}:
            assert asked(tx, "Patient", [(name, "1971-03-14")]) in ("NotOpenError", "SearchValueError"), name


def test_a_payer_writes_over_nothing_and_takes_no_name(world: World) -> None:
    with world.store.transaction(ACME, later(minutes=3)) as tx:
        for reference in world.ids.values():
            type, _, id = reference.partition("/")
            with pytest.raises(NotOpenError):
                tx.resources.update({"resourceType": type, "id": id})
            with pytest.raises(NotOpenError):
                tx.resources.delete(type, id)
            with pytest.raises(NotOpenError):
                tx.resources.create({"resourceType": type}, id=id)
        for type in TYPES - {"ClaimResponse", "CoverageEligibilityRequest"}:
            with pytest.raises(NotOpenError):
                tx.resources.create({"resourceType": type})
        assert tx.keys.find([]) == []
        made = tx.resources.create({"resourceType": "CoverageEligibilityRequest", "status": "active", "patient": to(world.ids["ines"])})
        assert made.owner == owner_of("acme")
    world.ids["own question"] = made.reference
    assert world.shown() == OF_ACME | {"own question"} and "own question" not in world.shown(OTHER)
    with world.store.snapshot(Principal("referrer", "acme")) as tx:
        assert tx.resources.read(*made.reference.split("/")) is None, "an organisation that happens to have the payer's name is another one"


def test_self_pay_cuts_the_view_at_once_and_the_plan_stays_until_it_ends(world: World) -> None:
    world.case(self_pay=True)
    stays = {"ines", "ines with acme", "question to acme on ines", "answer of acme on ines"}
    assert world.shown() == stays
    world.case()
    assert world.shown() == OF_ACME
    world.changes("ines with acme", type={"coding": [{"code": "SELFPAY"}]})
    assert world.shown() == set()
    world.changes("ines with acme", type=None)
    world.changes("ines with acme", status="cancelled")
    assert world.shown() == set()


def test_a_service_not_yet_judged_or_under_no_plan_is_not_shown(store: Store) -> None:
    world = World(store)
    assert "service of ines" not in world.shown() and "claim of ines to acme" not in world.shown()
    world.case(self_pay=None)
    assert "service of ines" not in world.shown()
    world.case()
    world.changes("service of ines", insurance=[])
    world.changes("claim of ines to acme", status="entered-in-error")
    assert world.shown() == OF_ACME - {"service of ines", "claim of ines to acme", "decision of acme on ines"}


def test_a_payor_that_is_corrected_is_another_payer(world: World) -> None:
    world.changes("acme", name="renamed")
    assert world.shown() == set()
    world.changes("acme", name="other")
    assert world.shown() == set() and "ines with acme" in world.shown(OTHER)


def test_a_document_is_shown_when_it_is_released_and_only_then(world: World) -> None:
    letter = world.ids["letter"].split("/")
    case = world.ids["service of ines"].partition("/")[2]
    world.changes("letter", content=[{"attachment": {"url": world.ids["bytes"]}}])
    for payer in (ACME, NORTHSIDE):
        with world.store.transaction(payer, later(minutes=3)) as tx, pytest.raises(NotFoundError):
            tx.shares.release(*letter, "acme", case)
    assert world.shown() == OF_ACME
    with world.store.transaction(CLINIC, later(minutes=3)) as tx:
        tx.shares.release(*letter, "acme", case)
    assert world.shown() == OF_ACME | {"letter", "bytes"} and not {"letter", "bytes"} & world.shown(OTHER)
    assert SECRET not in encode([world.seen("letter"), world.seen("bytes")]).decode()
    world.changes("letter", meta={"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]})
    assert world.shown() == OF_ACME, "a label that comes later ends it"
    world.changes("letter", meta={})
    world.case(self_pay=True)
    assert not {"letter", "bytes"} & world.shown()
    world.case()
    assert world.shown() == OF_ACME | {"letter", "bytes"}
    with world.store.transaction(CLINIC, later(minutes=4)) as tx:
        assert tx.shares.take_back(*letter, "acme", case) and not tx.shares.take_back(*letter, "acme", case)
    assert world.shown() == OF_ACME


def test_reindex_makes_the_rows_anew(world: World) -> None:
    world.store.knows_payers(lambda _: lambda _: None)
    world.store.reindex(later(minutes=5))
    assert world.shown() == set()
    world.store.knows_payers(lambda _: named)
    world.store.reindex(later(minutes=6))
    assert world.shown() == OF_ACME


def test_what_moves_to_another_patient_leaves_this_one(world: World) -> None:
    world.changes("ines with acme", beneficiary=to(world.ids["olaf"]))
    assert world.shown() == {"olaf", "ines with acme"}


def forbids(patient: str, *, status: str = "active", **provision: Any) -> Json:
    """A Consent by which a person forbids payers to be told."""
    payment = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HPAYMT"}]
    rule = {"type": "deny", "purpose": payment, **provision}
    return {"resourceType": "Consent", "status": status, "scope": coded("patient-privacy"), "patient": to(patient), "provision": rule}


def consents(world: World, name: str = "restriction", who: str = "ines", **rule: Any) -> None:
    with world.store.transaction(NORTHSIDE, later(minutes=2)) as tx:
        world.makes(tx, name, forbids(world.ids[who], **rule))


def test_a_consent_that_forbids_it_cuts_the_view_of_every_payer_until_it_is_withdrawn(world: World) -> None:
    others = world.shown(OTHER)
    consents(world)
    assert world.shown() == set() and world.shown(OTHER) == {name for name in others if "olaf" in name}
    with world.store.transaction(NORTHSIDE, later(minutes=2)) as tx:
        world._coverage(tx, "ines", world.ids["ines"], "acme")
    assert world.shown() == set(), "a plan that comes later"
    consents(world, "the other restriction")
    world.changes("restriction", status="inactive")
    assert world.shown() == set(), "something else forbids it"
    with world.store.transaction(CLINIC, later(minutes=3)) as tx:
        tx.resources.delete(*world.ids["the other restriction"].split("/"))
    assert world.shown() == OF_ACME and world.shown(OTHER) == others
    world.changes("restriction", status="active")
    world.changes("restriction", patient=to(world.ids["olaf"]))
    assert world.shown() == OF_ACME, "it was another person's"


def test_a_consent_may_name_the_payer_the_plan_or_the_service(world: World) -> None:
    others = world.shown(OTHER)
    whom = {"role": coded("PRCP"), "reference": to(world.ids["acme"])}
    consents(world, purpose=[], actor=[whom])
    assert world.shown() == set() and world.shown(OTHER) == others
    world.changes("restriction", contained=[{"resourceType": "Organization", "id": "it", "name": "other"}])
    world.changes("restriction", provision={"type": "deny", "actor": [{**whom, "reference": {"reference": "#it"}}]})
    assert world.shown() == OF_ACME and {name for name in world.shown(OTHER) if "ines" in name} == set()
    data = [{"meaning": "instance", "reference": to(world.ids["ines with acme"])}]
    world.changes("restriction", provision={"type": "deny", "data": data})
    assert world.shown() == set() and world.shown(OTHER) == others
    data[0]["reference"] = to(world.ids["service of ines"])
    world.changes("restriction", provision={"type": "deny", "data": data})
    assert world.shown() == {"ines", "ines with acme", "question to acme on ines", "answer of acme on ines"}, "as self-pay for this service"


def test_a_release_ends_with_a_consent_that_forbids_it(world: World) -> None:
    letter, case = world.ids["letter"].split("/"), world.ids["service of ines"].partition("/")[2]
    with world.store.transaction(CLINIC, later(minutes=2)) as tx:
        tx.shares.release(*letter, "acme", case)
    assert "letter" in world.shown()
    consents(world, securityLabel=[coded("PSY")])
    assert world.shown() == OF_ACME, "what may be of that kind"
    world.changes("restriction", status="entered-in-error")
    assert "letter" in world.shown()


def test_a_consent_begins_and_ends_on_its_days(world: World) -> None:
    world.store.knows_payers(lambda _: named, ZoneInfo("America/Chicago"))
    consents(world, period={"start": "2026-09-03", "end": "2026-09-04"})
    assert world.shown() == OF_ACME
    for at, shown in ((datetime(2026, 9, 3, 5, tzinfo=UTC), set()), (datetime(2026, 9, 5, 5, tzinfo=UTC), OF_ACME)):
        with world.store.transaction(GATEWAY, at) as tx:
            assert tx.outbox.lease(at - timedelta(seconds=1), 10, 60, "worker", [TURN]) == []
            (job,) = tx.outbox.lease(at, 10, 60, "worker", [TURN])
            assert tx.outbox.done(job.pk, "worker")
            tx.shares.settle(job.payload["patient"])
        assert world.shown() == shown


def test_a_consent_of_one_patient_holds_for_whom_it_is_joined_to(world: World) -> None:
    consents(world, who="olaf", status="active")
    assert world.shown() == OF_ACME
    world.changes("olaf", link=[{"other": to(world.ids["ines"]), "type": "replaced-by"}])
    assert world.shown() == set() and world.shown(OTHER) == set()
    world.changes("olaf", link=[])
    assert world.shown() == OF_ACME
