"""A process killed at every commit, and writers racing: a payer is never shown what the resources do not justify. On both databases."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, text

from fhir_gateway.coverage.payer import read
from fhir_gateway.errors import GatewayError
from fhir_gateway.pipeline import Gateway
from fhir_gateway.security.principal import Principal
from fhir_gateway.store import Transaction
from fhir_gateway.validation import encode
from tests import messages
from tests.pipeline.conftest import STAFF, Told

Json = dict[str, Any]
Act = Callable[[Gateway], object]
BLUE = Principal("payer", "blue")
DOCUMENT = json.dumps({"name": "blue", "title": "Plan of blue", "identifier": [{"value": "BLUE01"}]})
SELF_PAY = {"coding": [{"system": "https://nahdo.org/sopt", "code": "81"}]}
ROWS = "SELECT s.payer, r.type, r.id, s.patient_id FROM payer_share s JOIN resource r ON r.pk = s.resource"
MOST = 12
"""Commits an act may take; it takes fewer."""


def rows(told: Told) -> set[tuple[str, ...]]:
    """What is kept of who is shown what."""
    with told.gateway.store._database.read() as connection:
        return {tuple(row) for row in connection.execute(text(ROWS))}


def justified(told: Told) -> set[tuple[str, ...]]:
    """The same, made anew from the resources."""

    def work(tx: Transaction) -> None:
        tx.shares.forget()
        tx.shares.settle_next(0, 1000)

    told.gateway.store.run(STAFF, told.now, work)
    return rows(told)


def killed(fresh: Gateway, act: Act, commit: int, *, after: bool) -> bool:
    """Do it in a process that is killed at one of its commits; False when it had fewer. fresh: has opened nothing yet."""
    pid = os.fork()
    if pid == 0:
        code = 1
        with suppress(Exception):
            _armed(fresh, commit, after)
            act(fresh)
            code = 0
        os._exit(code)
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert ended in (0, -signal.SIGKILL), ended
    return ended != 0


def _armed(gateway: Gateway, commit: int, after: bool) -> None:
    database = gateway.store._database
    begin, writes = database.write, [0]

    @contextmanager
    def write() -> Iterator[Connection]:
        with begin() as connection:
            yield connection
            writes[0] += 1
            if writes[0] == commit and not after:
                os.kill(os.getpid(), signal.SIGKILL)
        if writes[0] == commit and after:
            os.kill(os.getpid(), signal.SIGKILL)

    database.write = write  # type: ignore[method-assign]


def case(told: Told) -> None:
    """A member's case, an authorisation asked for, a letter; and a second Patient who will turn out to be her."""
    told.gateway.payers.put(STAFF, read(DOCUMENT), DOCUMENT)
    told.receives(messages.referral())
    told.receives(messages.document("T02", "Her history, in words", made="20260911090000-0500"))
    told.receives(messages.referral("REF-2", mrn="118204", family="Marlow").replace(b"M-554321", b"M-118204"))
    told.gateway.authorising.ask(STAFF, "REF-1")


def letter(told: Told) -> str:
    return f"DocumentReference/{told.found('DocumentReference')[0]['id']}"


def update(resource: Json) -> Act:
    return lambda gateway: gateway.fhir.update(STAFF, resource["resourceType"], resource["id"], encode(resource), None)


def consent(told: Told, status: str) -> Json:
    patient = told.found("ServiceRequest", identifier="REF-1")[0]["subject"]
    about = {"scope": {"coding": [{"code": "patient-privacy"}]}, "category": [{"text": "restriction"}], "policyRule": {"text": "x"}}
    payment = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HPAYMT"}]
    return {"resourceType": "Consent", "id": "no", "status": status, "patient": patient, **about, "provision": {"type": "deny", "purpose": payment}}


def test_killed_at_every_commit_the_rows_are_those_the_resources_justify(told: Told) -> None:
    case(told)
    name = letter(told)
    plan = next(one for one in told.found("Coverage") if one["subscriberId"] == "M-554321")
    plan.pop("meta")
    acts: dict[str, tuple[Act, Callable[[set[str]], bool]]] = {
        "a release": (lambda gateway: gateway.releases.release(STAFF, "REF-1", name, "blue"), lambda seen: name in seen),
        "a restriction": (update(consent(told, "active")), lambda seen: name not in seen and f"Coverage/{plan['id']}" not in seen),
        "a merge": (lambda gateway: list(gateway.receive_v2(MERGE, "mllp", "test")), lambda seen: not seen),
        "its withdrawal": (update(consent(told, "inactive")), lambda seen: name in seen),
        "self-pay": (update(plan | {"type": SELF_PAY}), lambda seen: f"Coverage/{plan['id']}" not in seen and name not in seen),
    }
    fresh = Gateway(told.gateway.settings, told.executor, clock=lambda: told.now)
    for what, (act, done) in acts.items():
        before = rows(told)
        assert not done(seen(told)), what
        for commit, after in ((n, after) for n in range(1, MOST) for after in (False, True)):
            told.gateway.store.close()  # nothing open, and no thread of its own at work, while it forks
            again = killed(fresh, act, commit, after=after)
            held = rows(told)
            assert held == justified(told), (what, commit, after)
            if commit == 1 and not after:
                assert held == before, what
            if not again:
                break
        assert done(seen(told)), what


MERGE = messages.merge("554321", "118204")


def seen(told: Told) -> set[str]:
    """Names of what the payer is shown."""
    return {f"{type}/{id}" for _, type, id, _ in rows(told)}


def test_a_plan_made_self_pay_while_it_is_read_and_a_document_released(told: Told) -> None:
    case(told)
    name = letter(told)
    plan = next(one for one in told.found("Coverage") if one["subscriberId"] == "M-554321")
    plan.pop("meta")
    wrong: list[str] = []
    over = threading.Event()

    def reads() -> None:
        while not over.wait(0.002):
            with told.gateway.store.snapshot(BLUE) as tx:
                shown = [one for one in (plan_name, name) if tx.resources.read(*one.split("/"))]
                held = tx.on_behalf_of(STAFF).resources.read("Coverage", plan["id"])
                if shown and held is not None and held.resource.get("type") == SELF_PAY:
                    wrong.append(str(shown))

    def bills(kind: Json) -> None:
        told.gateway.fhir.update(STAFF, "Coverage", plan["id"], encode({**plan, "type": kind}), None)

    def releases() -> None:
        with suppress(GatewayError):  # refused once the plan is not billed
            told.gateway.releases.release(STAFF, "REF-1", name, "blue")

    plan_name = f"Coverage/{plan['id']}"
    reader = threading.Thread(target=reads)
    reader.start()
    try:
        for _ in range(3):
            at_once(lambda: bills(SELF_PAY), releases)
            assert not {name, plan_name} & seen(told)
            at_once(lambda: bills(plan["type"]), releases)
            assert rows(told) == justified(told) and plan_name in seen(told)
            with suppress(GatewayError):
                told.gateway.releases.take_back(STAFF, "REF-1", name, "blue")
    finally:
        over.set()
        reader.join()
    assert wrong == []


def at_once(*works: Callable[[], object]) -> None:
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        start.wait()
        work()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
