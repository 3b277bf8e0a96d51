"""Codes no table translates, as work for staff: one Task per sender, table and code; once it is said what a code means, what waited for it is mapped
again.

Everything follows from what is stored: which messages wait for which code, and which ConceptMaps are in force. A round does what follows and has not
been done; broken off anywhere, the next one does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from fhir_gateway.cases.decisions import TASK_CODES
from fhir_gateway.errors import InvalidError, NotFoundError
from fhir_gateway.events import event
from fhir_gateway.pipeline import writes
from fhir_gateway.pipeline.codetables import CONTEXT, SENDER, TYPE, CodeTables
from fhir_gateway.pipeline.replay import Replay
from fhir_gateway.security.principal import GATEWAY
from fhir_gateway.store import LocalCode, Store, Stored, Transaction
from fhir_gateway.store.errors import ConflictError
from fhir_gateway.validation import validate
from mappers.result import Json
from profiles import conceptmaps
from profiles.canonical import canonical

CODE: Final = "code-translation"
LOCK: Final = "codes"
MOST_TASKS: Final = 200
"""Open Tasks for one sender: one that fills a coded field with free text must not bury the staff. What is beyond is listed all the same."""
BATCH: Final = 20
_V2: Final = "http://terminology.hl7.org/CodeSystem/v2-"


@dataclass(frozen=True, slots=True)
class CodeWork:
    """Everything it needs, wired once."""

    store: Store
    codes: CodeTables
    replay: Replay
    clock: Callable[[], datetime]

    def round(self) -> int:
        """Make the Tasks that are missing, map again what need not wait any longer, end the Tasks that are done; how much of that there was."""
        now = self.clock()
        with self.store.snapshot(GATEWAY) as tx:
            waiting = tx.codes.wanted()
            told = [code for code in waiting if self._told(tx, code)]
            known = {code.pk for code in told}
            unmade = [code for code in waiting if code.task is None and code.pk not in known]
            room = {sender: MOST_TASKS - tx.codes.open_tasks(sender) for sender in {code.sender for code in unmade}}
            unmade = [code for code in unmade if room[code.sender] > 0]
        done = self.store.run(GATEWAY, now, lambda tx: self._make(tx, unmade, now)) if unmade else 0
        done += sum(self._map_again(code) for code in told)
        with self.store.snapshot(GATEWAY) as tx:
            turned = tx.codes.turned()
        return done + (self.store.run(GATEWAY, now, lambda tx: self._turn(tx, turned, now)) if turned else 0)

    def resolve(self, name: str, system: str, code: str, display: str, *, everywhere: bool, who: str) -> Stored:
        """Say what a code means, or with no code that it means nothing elsewhere; the ConceptMap that says so from now on.

        name: its number or its Task. everywhere: for every sender. Raises NotFoundError, InvalidError.
        """
        now = self.clock()

        def work(tx: Transaction) -> Stored:
            tx.lock(LOCK)
            local = tx.codes.find(name)
            if local is None:
                raise NotFoundError(f"There is no code {name[:64]}; fhir-gateway codes list shows them")
            identity = _map_id(local, everywhere)
            held = tx.resources.read(TYPE, identity)
            before = held.resource if held is not None and not held.deleted else _empty(local, everywhere)
            resource = _saying(before, local, system, code, display)
            if issues := validate(resource):
                raise InvalidError(issues[0].text, issues=issues)
            made = writes.update(tx, resource, identity, None, create_allowed=True).stored
            tx.audit.append("resolve-code", TYPE, identity, detail=who)
            return made

        return self.store.run(GATEWAY, now, work)

    def _told(self, tx: Transaction, code: LocalCode) -> bool:
        """Is it said by now what the code means?"""
        tables = self.codes.tables(tx, code.sender)
        if tables.settled(code.map, code.code):
            return True
        known = tables.translate(code.map, code.code) if code.map in tables else tables.standard(code.map, code.code)
        return known is not None

    def _make(self, tx: Transaction, codes: Iterable[LocalCode], now: datetime) -> int:
        tx.lock(LOCK)
        room: dict[str, int] = {}
        made: list[Stored] = []
        for code in codes:
            if code.sender not in room:
                room[code.sender] = MOST_TASKS - tx.codes.open_tasks(code.sender)
            held = tx.codes.find(str(code.pk)) if room[code.sender] > 0 else None
            if held is not None and held.task is None:
                room[code.sender] -= 1
                made.append(tx.resources.create(task_for(code, now)))
                tx.codes.assign(code.pk, made[-1].id)
        self.replay.casework.after(tx, made, now)  # whoever subscribed to such Tasks is told
        return len(made)

    def _map_again(self, code: LocalCode) -> int:
        """Map the messages that wait for a code again, oldest first, each in a transaction of its own; how many, 0 where some wait on."""
        done, last = 0, ""
        while ids := self._waiting(code, last):
            done += len(ids)
            for last in ids:
                try:
                    self.replay.one(last, "codes")
                except ConflictError:
                    return 0  # busy: the next round goes on here
                except Exception as fault:  # noqa: BLE001 - one message must not keep the others waiting
                    event("message-failed", "error", inbox=last, channel="replay", type="", error=type(fault).__name__)
                    self.store.run(GATEWAY, self.clock(), partial(_left_waiting, id=last))
        return 0 if self._waiting(code, "") else done

    def _waiting(self, code: LocalCode, after: str) -> list[str]:
        with self.store.snapshot(GATEWAY) as tx:
            return tx.codes.messages(code.pk, BATCH, after)

    def _turn(self, tx: Transaction, codes: Iterable[LocalCode], now: datetime) -> int:
        """Complete the Tasks of codes nothing waits for, and open those again that are wanted again. What a person did with one stands."""
        tx.lock(LOCK)
        for code in codes:
            was, becomes = ("requested", "completed") if code.messages == 0 else ("completed", "requested")
            stored = tx.resources.read("Task", code.task or "")
            if stored is not None and not stored.deleted and stored.resource["status"] == was:
                tx.resources.update({**stored.resource, "status": becomes, "lastModified": now.isoformat(timespec="milliseconds")})
            tx.codes.end(code.pk, code.messages == 0)
        return 0


def task_for(code: LocalCode, now: datetime) -> Json:
    """The Task that asks staff what a code means."""
    coding: Json = {"system": system_of(code), "code": code.code} | ({"display": code.display} if code.display else {})
    stamp = now.isoformat(timespec="milliseconds")
    return {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": TASK_CODES, "code": CODE}]},
        "description": f"{code.sender} sends a code in {code.field} that no table translates",
        "authoredOn": stamp,
        "lastModified": stamp,
        "input": [
            {"type": {"text": "sender"}, "valueString": code.sender or "sender not named"},
            {"type": {"text": "field"}, "valueString": code.field},
            {"type": {"text": "table"}, "valueString": code.map},
            {"type": {"text": "code"}, "valueCoding": coding},
        ],
    }


def _left_waiting(tx: Transaction, id: str) -> None:
    """A message that could not be mapped again is looked at again another time."""
    tx.codes.note(id, "", [], again=True)


def system_of(code: LocalCode) -> str:
    """The code system a code is of: an HL7 table's, or the sender's own."""
    return _V2 + code.map[:4] if code.map in conceptmaps.load() else code.map


def targets_of(code: LocalCode) -> list[str]:
    """The code systems a table translates into; empty where any will do."""
    return [into for (_, into), key in conceptmaps.translating().items() if key == code.map]


def _map_id(code: LocalCode, everywhere: bool) -> str:
    """One ConceptMap per table or system and sender, so that what is said of one code leaves the others as they are."""
    name = code.map if code.map in conceptmaps.load() else "codes"
    return conceptmaps.clinic_id(name, code.map, "" if everywhere else code.sender)


def _empty(code: LocalCode, everywhere: bool) -> Json:
    made: Json = {
        "resourceType": TYPE,
        "url": canonical(TYPE, _map_id(code, everywhere)),
        "status": "active",
        "title": f"What codes of {code.map} mean" + ("" if everywhere else f" when {code.sender} sends them"),
        "group": [],
    }
    if not everywhere:
        value = {"coding": [{"system": SENDER, "code": code.sender}]}
        made["useContext"] = [{"code": {"system": CONTEXT, "code": "sender"}, "valueCodeableConcept": value}]
    return made


def _saying(before: Json, code: LocalCode, system: str, target: str, display: str) -> Json:
    """The ConceptMap with one code said anew."""
    source = system_of(code)
    groups = [
        {**group, "element": [e for e in group["element"] if e.get("code") != code.code or group.get("source") != source]}
        for group in before["group"]
    ]
    into = system if target else next(iter(targets_of(code)), "")
    if target:
        said: Json = {"code": target, "equivalence": "relatedto"} | ({"display": display} if display else {})
    else:
        said = {"equivalence": "unmatched"}
    element: Json = {"code": code.code} | ({"display": code.display} if code.display else {}) | {"target": [said]}
    group = next((g for g in groups if g.get("source") == source and g.get("target", "") == into), None)
    if group is None:
        groups.append({"source": source} | ({"target": into} if into else {}) | {"element": [element]})
    else:
        group["element"].append(element)
    return {**before, "status": "active", "group": [g for g in groups if g["element"]]}
