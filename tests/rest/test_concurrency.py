"""Many senders at once, on both databases: one resource per identity, no 5xx, nothing lost (FHIR.md, complaints 1 and 2)."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx

from fhir_gateway.validation import decode
from tests import messages
from tests.rest.conftest import Api

NORTHSIDE = "urn:oid:2.16.840.1.113883.19.5.1"
SENDERS = 12


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """The results of works begun at the same moment, each in a thread of its own."""
    start, results = threading.Barrier(len(works)), [None] * len(works)

    def run(position: int, work: Callable[[], Any]) -> None:
        start.wait()
        results[position] = work()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def patient(mrn: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": NORTHSIDE, "value": mrn}], "name": [{"family": "Marlowe", "given": ["Ines"]}]}


def bundle(mrn: str, condition: str) -> list[dict[str, Any]]:
    urn = f"urn:uuid:{uuid.uuid4()}"
    request = {"method": "POST", "url": "Patient", "ifNoneExist": condition}
    about = {"resourceType": "Condition", "code": {"coding": [{"code": "C50"}]}, "subject": {"reference": urn}}
    return [{"fullUrl": urn, "resource": patient(mrn), "request": request}, {"resource": about, "request": {"method": "POST", "url": "Condition"}}]


def status(response: httpx.Response) -> int:
    return response.status_code


def entrances(api: Api, mrn: str, condition: str) -> list[Callable[[], Any]]:
    """The four ways a new patient may come in: conditional create, transaction, HL7 v2, conditional update."""
    conditional_put = {"resource": patient(mrn), "request": {"method": "PUT", "url": f"Patient?{condition}"}}
    return [
        lambda: status(api.post("/fhir/Patient", patient(mrn), if_none_exist=condition)),
        lambda: status(api.sends(*bundle(mrn, condition))),
        lambda: api.v2(messages.referral(f"REF-{uuid.uuid4().hex[:8]}", mrn=mrn)),
        lambda: status(api.sends(conditional_put)),
    ]


def test_one_new_patient_from_every_entrance_at_once_is_one_patient(fresh: Api) -> None:
    for mrn in ("R1", "R2", "R3"):
        condition = f"identifier={NORTHSIDE}|{mrn}"
        results = at_once(*entrances(fresh, mrn, condition) * 3)
        assert set(results) <= {200, 201, "AA"}, results
        (only,) = fresh.found("Patient", condition)
        assert fresh.count("Condition", f"patient={only['id']}&code=C50") == 3
        assert fresh.count("ServiceRequest", f"patient={only['id']}") == 3


def test_one_new_order_by_fhir_and_v2_at_once_is_one_order(fresh: Api) -> None:
    fresh.v2(messages.referral("SHAPE", mrn="SHAPE"))
    (shape,) = fresh.found("ServiceRequest")
    (placer,) = [i for i in shape["identifier"] if i["value"] == "SHAPE"]
    person = fresh.made(patient("ORDERS"))
    for number in ("O1", "O2", "O3"):
        order = {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "order",
            "identifier": [{**placer, "value": number}],
            "subject": {"reference": f"Patient/{person['id']}"},
        }
        condition = f"identifier={placer.get('system', '')}|{number}"
        by_fhir = partial(fresh.post, "/fhir/ServiceRequest", order, if_none_exist=condition)
        by_v2 = partial(fresh.v2, messages.referral(number, mrn="ORDERS"))
        results = at_once(*[by_fhir] * 3, *[by_v2] * 3)
        assert {status(r) for r in results[:3]} <= {200, 201} and set(results[3:]) == {"AA"}
        assert fresh.count("ServiceRequest", f"identifier={number}") == 1


def test_a_condition_no_key_can_decide_still_makes_one(fresh: Api) -> None:
    for family in ("One", "Two", "Three"):
        body = {**patient(family), "name": [{"family": family}]}
        results = at_once(*[partial(fresh.post, "/fhir/Patient", body, if_none_exist=f"family={family}")] * 8)
        assert sorted(map(status, results)) == [200] * 7 + [201]
        assert fresh.count("Patient", f"family={family}") == 1


def test_writers_of_one_resource_all_succeed_or_are_told_of_the_version(fresh: Api) -> None:
    made = fresh.made(patient("HOT"))
    here = f"/fhir/Patient/{made['id']}"
    free = at_once(*[lambda n=n: fresh.put(here, {**made, "multipleBirthInteger": n}).status_code for n in range(SENDERS)])
    assert set(free) == {200}, "without If-Match the last writer stands and nobody is refused"
    held = fresh.get(here)
    assert held.headers["etag"] == f'W/"{SENDERS + 1}"'
    tag = held.headers["etag"]
    guarded = at_once(*[lambda n=n: fresh.put(here, {**made, "multipleBirthInteger": 100 + n}, if_match=tag).status_code for n in range(SENDERS)])
    assert sorted(guarded) == [200] + [412] * (SENDERS - 1)


def test_one_new_id_by_put_at_once(fresh: Api) -> None:
    body = {**patient("NEW"), "id": "new-one"}
    results = at_once(*[lambda n=n: fresh.put("/fhir/Patient/new-one", {**body, "multipleBirthInteger": n}).status_code for n in range(8)])
    assert sorted(results) == [200] * 7 + [201]
    assert fresh.get("/fhir/Patient/new-one").headers["etag"] == 'W/"8"'


def test_transactions_that_cross_each_other_never_deadlock(fresh: Api) -> None:
    ids = [f"x{n}" for n in range(6)]

    def crossing(order: list[str], mark: int) -> int:
        entries = [
            {"resource": {**patient(f"M-{i}"), "id": i, "multipleBirthInteger": mark}, "request": {"method": "PUT", "url": f"Patient/{i}"}}
            for i in order
        ]
        return fresh.sends(*entries).status_code

    results = at_once(*[lambda n=n: crossing(ids if n % 2 else ids[::-1], n) for n in range(10)])
    assert set(results) <= {200, 409, 412} and 200 in results
    assert len({r["multipleBirthInteger"] for r in fresh.found("Patient")}) == 1, "each transaction wrote all of its resources or none"


def test_the_same_bundle_twice_at_once_is_applied_once(fresh: Api) -> None:
    for kind in ("transaction", "batch"):
        body = {
            "resourceType": "Bundle",
            "type": kind,
            "identifier": {"system": "urn:x:y", "value": kind},
            "entry": [{"resource": patient(kind), "request": {"method": "POST", "url": "Patient"}}],
        }
        answers: list[httpx.Response] = at_once(*[lambda body=body: fresh.post("/fhir", body)] * 6)
        good = [answer for answer in answers if answer.status_code == 200]
        assert good and all(answer.status_code in (200, 409) for answer in answers)
        assert len({answer.content for answer in good}) == 1
        assert decode(good[0].content)["type"] == f"{kind}-response"
        assert fresh.count("Patient", f"identifier={kind}") == 1
