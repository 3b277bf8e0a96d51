"""What a case costs among many: `$completeness`, an evaluation and a page of the worklist at 1,000 and at 100,000 cases, beside reading one resource.

The background is filled through the store's own bulk writing, every case with patient, referral, Task, report, result and a kept answer; the cases that
are timed came in as HL7 v2 messages. GATEWAY_BENCH_CASES makes it smaller.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import httpx
from sqlalchemy import select

from fhir_gateway.events import configure
from fhir_gateway.pipeline import Gateway
from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import Transaction, tables
from fhir_gateway.store.ids import new_id
from fhir_gateway.store.links import referral_keys
from tests import messages
from tests.server import Server

CASES = int(os.environ.get("GATEWAY_BENCH_CASES", "100000"))
FEW = min(1_000, CASES)
BATCH = 500
TIMED = 20
ROUNDS = 400
STAFF = Principal("administrator", name="bench")
SENDER = Principal("referrer", "NORTHSIDE")
NOW = datetime(2026, 9, 10, 14, tzinfo=UTC)


class Cost(NamedTuple):
    """One thing done at one size, in seconds."""

    what: str
    cases: int
    median: float
    p99: float


def measure() -> Iterator[Cost]:
    """The same things at few and at many cases, then both addresses over HTTP at many."""
    configure("error")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as executor:
        url = f"sqlite:///{folder}/bench.db"
        gateway = Gateway(Settings(database_url=url, auth="off", log_level="error"), executor, clock=lambda: NOW)
        gateway.store.upgrade()
        gateway.casework.checklists.seed(gateway.store, NOW)
        timed = [_told(gateway, number) for number in range(TIMED)]
        flat = gateway.case(STAFF, timed[0], None)
        filled: list[str] = []
        for size in dict.fromkeys((FEW, CASES)):
            fill(gateway, flat, filled, size)
            yield from _in_process(gateway, timed, filled, size)
        gateway.stop()
        yield from _over_http(url, filled)


def _told(gateway: Gateway, number: int) -> str:
    """A case with the records of a usual referral; its ServiceRequest id."""
    who = {"mrn": f"B{number}"}
    for message in (
        messages.referral(f"BENCH-{number}", **who),
        messages.pathology(number=f"BENCH-{number}", filler=f"P-{number}", **who),
        *(messages.blood_count(filler=f"L-{number}-{n}", collected=f"202608{10 + n}", **who) for n in range(5)),
        messages.appointment("S12", "20260928090000-0500", made="20260910080000-0500", number=f"BENCH-{number}", **who),
    ):
        list(gateway.receive_v2(message, "mllp", "bench"))
    return str(gateway.case(STAFF, f"BENCH-{number}", None)["case"]["id"])


def fill(gateway: Gateway, flat: dict[str, Any], filled: list[str], size: int) -> None:
    """Bring the number of cases to `size`."""
    while len(filled) < size:
        batch = range(len(filled), min(len(filled) + BATCH, size))
        with gateway.store.transaction(SENDER, NOW) as tx:
            filled += _batch(tx, flat, batch)
    with gateway.store.transaction(GATEWAY, NOW) as tx:
        tx._work.connection.exec_driver_sql("ANALYZE")


def _batch(tx: Transaction, flat: dict[str, Any], numbers: range) -> list[str]:
    """Cases as they are after a judgement: resources with their search and record rows, and the projections of each case."""
    work = tx._work
    made = [_resources(tx, number) for number in numbers]
    work.flush()
    resource = tables.resource
    found = select(resource.c.id, resource.c.pk).where(resource.c.type == "ServiceRequest", resource.c.id.in_([id for id, _, _ in made]))
    keys = {row.id: row.pk for row in work.execute(found)}
    columns = {column.name for column in tables.case.c}
    for position, (id, patient, task) in enumerate(made):
        due = date.fromordinal(date(2026, 9, 10).toordinal() + position % 90)
        answer = {**flat, "case": {**flat["case"], "id": id, "due": due.isoformat()}}
        row: dict[str, Any] = dict.fromkeys(columns)
        row |= {"service_request_id": id, "resource": keys[id], "task_id": task, "patient_id": patient, "owner": "NORTHSIDE", "opened_at": NOW}
        row |= {"state": "received", "closed": False, "confirmed": True, "checklist": flat["case"]["checklist"], "tumour_group": "breast"}
        row |= {"due": due, "urgency": due, "open_items": 12, "gates": flat["gates"], "evaluation": answer, "evaluated_at": NOW}
        work.queue(tables.case, [row])
        items = [{"service_request_id": id, "item_id": item["id"], "state": item["state"], "reason": item["reason"] or ""} for item in flat["items"]]
        work.queue(tables.case_item, [{**item, "urgency": due, "good_until": None} for item in items])
        work.queue(tables.case_key, [{"service_request_id": id, "key": key} for key in sorted(referral_keys(_referral(id, patient, position)))])
    return [id for id, _, _ in made]


def _referral(id: str, patient: str, number: int) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest",
        "id": id,
        "identifier": [{"system": "urn:oid:2.16.840.1.113883.19.5.1", "value": f"BG-{number}-{id}"}],
        "status": "active",
        "intent": "order",
        "category": [{"coding": [{"system": "http://loinc.org", "code": "57133-1"}]}],
        "subject": {"reference": f"Patient/{patient}"},
        "reasonCode": [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C50.411"}]}],
    }


def _resources(tx: Transaction, number: int) -> tuple[str, str, str]:
    """Ids of referral, patient and Task; a report and a result beside them."""
    referral, patient, task = new_id(), new_id(), new_id()
    subject, code = {"reference": f"Patient/{patient}"}, {"coding": [{"system": "http://loinc.org", "code": "11529-5"}]}
    record: dict[str, Any] = {"status": "final", "code": code, "subject": subject, "effectiveDateTime": "2026-09-03"}
    for id, resource in (
        (patient, {"resourceType": "Patient", "name": [{"family": f"Marlowe{number}", "given": ["Ines"]}], "birthDate": "1971-03-14"}),
        (referral, _referral(referral, patient, number)),
        (task, {"resourceType": "Task", "status": "received", "intent": "order", "focus": {"reference": f"ServiceRequest/{referral}"}}),
        (new_id(), {"resourceType": "DiagnosticReport", **record}),
        (new_id(), {"resourceType": "Observation", **record}),
    ):
        tx.resources.create(resource, id=id, fresh=True)
    return referral, patient, task


def _in_process(gateway: Gateway, timed: list[str], filled: list[str], size: int) -> Iterator[Cost]:
    chance = random.Random(size)
    any_case = [chance.choice(filled) for _ in range(ROUNDS)]

    def judged(id: str) -> None:
        gateway.store.run(GATEWAY, NOW, lambda tx: gateway.casework.reevaluate(tx, id, NOW))

    def evaluated(id: str) -> None:
        with gateway.store.snapshot(STAFF) as tx:
            gateway.casework.guidance(tx, id, NOW, NOW)

    yield _timed("read a resource by id", size, lambda n: gateway.fhir.read(STAFF, "ServiceRequest", any_case[n]))
    yield _timed("$completeness, as kept", size, lambda n: gateway.completeness(STAFF, any_case[n], None))
    yield _timed("$completeness, evaluated for another moment", size, lambda n: evaluated(timed[n % len(timed)]))
    yield _timed("judge a case and keep the answer", size, lambda n: judged(timed[n % len(timed)]))
    yield _timed("a page of the worklist (50 cases)", size, lambda n: gateway.cases(STAFF, 50))


def _over_http(url: str, filled: list[str]) -> Iterator[Cost]:
    chance = random.Random(1)
    any_case = [chance.choice(filled) for _ in range(ROUNDS)]
    with Server(url, alone=True) as server, httpx.Client(base_url=server.base) as client:
        for what, suffix in (("GET a resource by id over HTTP", ""), ("GET $completeness over HTTP", "/$completeness")):

            def get(n: int, suffix: str = suffix) -> None:
                client.get(f"/fhir/ServiceRequest/{any_case[n]}{suffix}").raise_for_status()

            yield _timed(what, len(filled), get)


def _timed(what: str, size: int, work: Callable[[int], object]) -> Cost:
    for n in range(10):
        work(n)
    spent = []
    for n in range(ROUNDS):
        began = time.perf_counter()
        work(n)
        spent.append(time.perf_counter() - began)
    spent.sort()
    return Cost(what, size, statistics.median(spent), spent[int(len(spent) * 0.99)])
