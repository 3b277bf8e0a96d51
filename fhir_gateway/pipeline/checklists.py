"""The checklists a clinic may edit: PlanDefinitions in the store, the shipped ones seeded there, compiled once per content and process.

What is in force is asked of the store before every judgement by one number that grows with every write of a PlanDefinition; only when it has
moved are the plans read again. Several processes share one database, so nothing else says whether the compiled lists are still those in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from fhir_gateway.cases.checklist import compile_checklist
from fhir_gateway.cases.choice import BASE, Chooser, categories, focus, overlap
from fhir_gateway.cases.facts import ICD10
from fhir_gateway.cases.inforce import content_digest, derived_from, in_force, is_checklist, is_seed, newer, seeded, url_of
from fhir_gateway.cases.objections import CATEGORY
from fhir_gateway.cases.requirement import Checklist
from fhir_gateway.security.principal import GATEWAY
from fhir_gateway.store import Store, Stored, Transaction

Json = dict[str, Any]
TYPE: Final = "PlanDefinition"
LOCK: Final = "checklists"
_MOST: Final = 512
"""Of each thing kept: every list of a clinic in many versions."""

_compiled: dict[tuple[str, str], Checklist] = {}


def compiled(plan: Json, base: Json | None) -> Checklist:
    """The checklist of a plan and its base, compiled once per content. By content and not by id and version: a save that was rolled back leaves
    nothing wrong behind. Raises ChecklistError.
    """
    key = (content_digest(plan), content_digest(base) if base else "")
    if key not in _compiled:
        _room(_compiled)
        _compiled[key] = compile_checklist(plan, base)
    return _compiled[key]


@dataclass(frozen=True)
class Lists:
    """The lists in force at some moment. plans, bases: by name. ids: of every checklist held, in force or not. since: when the last of them was saved,
    None when nothing was yet.
    """

    plans: Mapping[str, Json]
    bases: Mapping[str, Json | None]
    ids: tuple[str, ...] = ()
    since: datetime | None = None

    @cached_property
    def chooser(self) -> Chooser:
        """Which of them a diagnosis calls for."""
        return Chooser(self.plans)

    @cached_property
    def _made(self) -> dict[str, Checklist]:
        return {}

    def checklist(self, name: str) -> Checklist:
        """One of them, compiled."""
        if name not in self._made:
            self._made[name] = compiled(self.plans[name], self.bases[name])
        return self._made[name]

    def signature(self, name: str) -> tuple[str, str] | None:
        """Equal for two moments at which a case under this name is judged alike; None where there is no such list."""
        plan, base = self.plans.get(name), self.bases.get(name)
        return None if plan is None else (content_digest(plan), content_digest(base) if base else "")

    def concerned(self, before: Lists) -> set[str]:
        """Names under which open cases may be judged otherwise than `before`, or be another list's now."""
        changed = {name for name in {*self.plans, *before.plans} if self.signature(name) != before.signature(name)}
        moved = {name for name in changed - {BASE} if self._focus(name) != before._focus(name)}
        codes = {code for name in moved for code in self._focus(name) | before._focus(name)}
        neighbours = {name for name in self.plans if codes and overlap(codes, self._focus(name))}
        return changed | neighbours | ({BASE} if moved else set())

    def _focus(self, name: str) -> frozenset[tuple[str, str]]:
        return focus(self.plans.get(name, {}))


class Checklists:
    """The lists in force, for the pipeline. Every call is made within a transaction or snapshot, and reads on the gateway's behalf."""

    def __init__(self, shipped: Mapping[str, Json]) -> None:
        """shipped: plans by name, the base list under BASE. Raises ChecklistError naming what is wrong with one."""
        self.shipped = shipped
        for name, plan in shipped.items():
            compiled(plan, None if name == BASE else shipped[BASE])
        self._kept: tuple[int, Lists] | None = None
        self._earlier_lists: dict[tuple[tuple[str, int], ...], Lists] = {}
        self._versions: dict[tuple[str, str | None], Checklist] = {}

    def current(self, tx: Transaction) -> Lists:
        """What is in force, with this transaction's own writes."""
        generation = tx.resources.generation(TYPE)
        kept = self._kept
        if generation is not None and kept is not None and kept[0] == generation:
            return kept[1]
        stored = held(tx)
        since = max((one.last_updated for one in stored), default=None)
        lists = replace(self.lists(tx, [one.resource for one in stored]), ids=tuple(one.id for one in stored), since=since)
        if generation is not None:
            self._kept = generation, lists
        return lists

    def at(self, tx: Transaction, when: datetime) -> Lists:
        """What was in force then: the versions of that moment, and the shipped lists where nothing was stored yet."""
        current = self.current(tx)
        if current.since is None or current.since <= when:
            return current
        then = tx.on_behalf_of(GATEWAY).resources.as_of(TYPE, current.ids, when)
        if tx.resources.generation(TYPE) is None:
            return self.lists(tx, [stored.resource for stored in then.values()])
        versions_then = tuple(sorted((stored.id, stored.version) for stored in then.values()))
        if versions_then not in self._earlier_lists:
            _room(self._earlier_lists)
            self._earlier_lists[versions_then] = self.lists(tx, [stored.resource for stored in then.values()])
        return self._earlier_lists[versions_then]

    def version(self, tx: Transaction, canonical: str, base: str | None) -> Checklist | None:
        """The checklist a case was judged by, in force or not; None when it is nowhere. canonical, base: `url|version`."""
        current = self.current(tx)
        for name, plan in current.plans.items():
            if canonical == f"{url_of(plan)}|{plan.get('version')}" and current.checklist(name).base == base:
                return current.checklist(name)
        if (canonical, base) not in self._versions:
            judged = self._earlier(tx, canonical)
            under = self._earlier(tx, base) if base else None
            if judged is None or (base and under is None):
                return None
            _room(self._versions)
            self._versions[canonical, base] = compiled(judged, under)
        return self._versions[canonical, base]

    def saved(self, tx: Transaction, written: Sequence[Stored], at: datetime) -> int:
        """After a save of lists: have the worker judge the open cases it may concern, in its own time; how many there are."""
        first: dict[str, int] = {}
        for one in written:
            if one.type == TYPE:
                first[one.id] = min(one.version, first.get(one.id, one.version))
        staff = tx.on_behalf_of(GATEWAY)
        earlier = [staff.resources.vread(TYPE, id, version - 1) for id, version in first.items() if version > 1]
        kept = [one.resource for one in held(tx) if one.id not in first]
        before = self.lists(tx, kept + [one.resource for one in earlier if one and not one.deleted and is_checklist(one.resource)])
        return staff.cases.call_again(self.current(tx).concerned(before), at)

    def seed(self, store: Store, now: datetime) -> None:
        """Put the shipped lists into the store where they are absent, or there as an older program shipped them. Repeating it changes nothing; a
        list the clinic has edited is left alone.
        """

        def work(tx: Transaction) -> None:
            tx.lock(LOCK)
            written = [made for name, plan in self.shipped.items() if (made := _seed(tx, name, plan))]
            if written:
                self.saved(tx, written, now)

        store.run(GATEWAY, now, work)

    def lists(self, tx: Transaction, plans: Iterable[Json]) -> Lists:
        """The lists that would be in force were `plans` the checklists held."""
        lists = in_force(self.shipped, plans)
        return Lists(lists, {name: self.base(tx, plan, lists) for name, plan in lists.items()})

    def base(self, tx: Transaction, plan: Json, lists: Mapping[str, Json]) -> Json | None:
        """The base list a plan derives from: the one in force, or the version it names; None when it stands alone or names one never held."""
        wanted = derived_from(plan)
        if wanted is None:
            return None
        return self._earlier(tx, wanted) if "|" in wanted else lists[BASE]

    def _earlier(self, tx: Transaction, canonical: str) -> Json | None:
        return next((plan for plan in versions(tx, self.shipped, canonical.partition("|")[0]) if _named(plan, canonical)), None)


def _room(kept: dict[Any, Any]) -> None:
    """Before one more is kept. What is thrown away is made again when it is asked for."""
    if len(kept) >= _MOST:
        kept.clear()


def held(tx: Transaction) -> list[Stored]:
    """The checklists the clinic holds, whatever their status. A sender's PlanDefinition is never one."""
    return [stored for stored in tx.on_behalf_of(GATEWAY).resources.clinics_own(TYPE) if is_checklist(stored.resource)]


def versions(tx: Transaction, shipped: Mapping[str, Json], url: str) -> list[Json]:
    """Everything ever held under a url, the newest first, and what is shipped under it."""
    staff = tx.on_behalf_of(GATEWAY)
    found = [one for stored in held(tx) if url_of(stored.resource) == url for one in staff.resources.history(TYPE, stored.id)]
    return [*(one.resource for one in found if not one.deleted), *(plan for plan in shipped.values() if plan["url"] == url)]


def widened(type: str, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A search for the lists of a diagnosis also asks for those of the categories above it: `context=C50.411` finds the list for C50.

    The ICD-10 systems are one system here, as they are where a case's list is chosen.
    """
    if type != TYPE:
        return pairs
    return [(name, ",".join(one for part in value.split(",") for one in _above(part)) if name == "context" else value) for name, value in pairs]


def _above(text: str) -> list[str]:
    system, bar, code = text.rpartition("|")
    if not CATEGORY.fullmatch(code) or (bar and system not in ICD10):
        return [text]
    systems = [system, *sorted(ICD10 - {system})] if bar else [""]
    return [f"{one}{bar}{form}" for one in systems for form in dict.fromkeys([code, *categories(code)])]


def _named(plan: Json, canonical: str) -> bool:
    return f"{url_of(plan)}|{plan.get('version')}" == canonical


def _seed(tx: Transaction, name: str, plan: Json) -> Stored | None:
    before = tx.resources.read(TYPE, name)
    if before is None:
        return tx.resources.create(seeded(plan), id=name)
    if before.deleted or (is_seed(before.resource) and newer(plan["version"], str(before.resource.get("version", "")))):
        return tx.resources.update({**seeded(plan), "id": name})
    return None
