"""Mapping kept messages again, by today's rules and tables, and applying only what comes out otherwise (ADR 0026).

Which resource a draft means is settled by identity keys as when the message came; drafts without a held key are the resources the message's Provenance
says it made. What a resource should hold is carried over element by element (`rebase`). One message is one transaction: broken off, it may simply be run
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from fhir_gateway.pipeline import conflicts
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.codetables import CodeTables
from fhir_gateway.pipeline.homes import find_homes
from fhir_gateway.pipeline.intake import edition, told
from fhir_gateway.pipeline.merging import bare
from fhir_gateway.pipeline.rebase import Cell, Change, Rebased, Version, added, cells, rebase
from fhir_gateway.pipeline.references import rewritten
from fhir_gateway.pipeline.settle import Standing, weigh
from fhir_gateway.pipeline.went import went
from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.store import InboxEntry, Store, Stored, Transaction
from fhir_gateway.store.errors import NotFoundError, RaceLostError, VersionConflictError
from fhir_gateway.store.stored import decode, encode, milliseconds
from fhir_gateway.validation import validate
from mappers import v2
from mappers.result import IdentityKey, Json, Mapped, Refused
from mappers.v2 import RAW_MESSAGE
from profiles.canonical import canonical

HINT: Final = ("warning", "0")
"""What the case had to say to the sender when the message came: no finding of the mapping."""
_STATUS: Final = frozenset({"status", "_status"})
_PERSON: Final = frozenset({"link", "active"})
"""Of a Patient, what follows from who is one person."""
_LINKED: Final = frozenset({"target", "focus"})
"""Where a message that links Patients names their Linkage, which goes by the pair and is not weighed here."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One resource a message would leave otherwise. reference: `Type/id`, of a new one `Type`. note: why nothing is done about it, "" where something is."""

    reference: str
    changes: tuple[Change, ...] = ()
    conflicts: tuple[Change, ...] = ()
    created: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message. refused: why today's rules do not take it, "" when they do. findings: what today's rules say of it."""

    inbox_id: str
    differences: tuple[Difference, ...] = ()
    refused: str = ""
    findings: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Is anything written, or to be written?"""
        return any(one.created or one.changes for one in self.differences)

    @property
    def conflicting(self) -> bool:
        """Does anything wait for a person?"""
        return any(one.conflicts for one in self.differences)


@dataclass(slots=True)
class _Plan:
    """What is to be written for one message. claims: keys by home."""

    entry: InboxEntry
    mapped: Mapped
    edition: str
    created: list[tuple[str, Standing]] = field(default_factory=list)
    changed: list[tuple[Stored, Rebased, Standing]] = field(default_factory=list)
    notes: list[Difference] = field(default_factory=list)
    claims: dict[str, list[IdentityKey]] = field(default_factory=dict)

    def differences(self) -> Iterator[Difference]:
        """As they are told."""
        yield from (Difference(reference.partition("/")[0], created=True) for reference, _ in self.created)
        yield from (Difference(held.reference, found.changes, found.conflicts) for held, found, _ in self.changed)
        yield from self.notes


@dataclass(frozen=True, slots=True)
class Replay:
    """Everything it needs, wired once."""

    store: Store
    codes: CodeTables
    site: v2.Site
    casework: Casework
    clock: Callable[[], datetime]

    def try_one(self, inbox_id: str) -> Outcome:
        """What mapping a message again would change. Nothing is written. Raises NotFoundError."""
        with self.store.snapshot(GATEWAY) as tx:
            return self._judged(tx, inbox_id)[1]

    def one(self, inbox_id: str, who: str = "gateway") -> Outcome:
        """Map a message again and apply what differs. Repeating it changes nothing. Raises NotFoundError, ConflictError."""
        now = self.clock()

        def work(tx: Transaction) -> Outcome:
            plan, outcome = self._judged(tx, inbox_id)
            if plan is None:
                tx.codes.note(inbox_id, "", [], again=True)  # what can't be mapped any more waits for no code
            else:
                self._apply(tx, plan, outcome, now)
            if outcome.changed or outcome.conflicting:
                tx.on_behalf_of(Principal("gateway", name=who)).audit.append("replay", "Binary", inbox_id, inbox_id=inbox_id)
            return outcome

        return self.store.run(GATEWAY, now, work)

    def _judged(self, tx: Transaction, inbox_id: str) -> tuple[_Plan | None, Outcome]:
        entry = tx.inbox.get(inbox_id)
        if entry is None or entry.channel == "fhir" or entry.state != "processed":
            raise NotFoundError("processed HL7 v2 message", inbox_id)
        try:
            message = v2.read(entry.raw)
            tables = self.codes.tables(tx, self.site.sender or message.header.sender)
            mapped = v2.map_message(message, tables, self.site)
        except Refused as refusal:
            return None, Outcome(inbox_id, refused=str(refusal))
        plan = _Plan(entry, mapped, edition(tables))
        _fill(tx, plan)
        differences = tuple(conflicts.unsettled(tx, inbox_id, plan.differences()))
        return plan, Outcome(inbox_id, differences, findings=tuple(f"{f.where or ''} {f.text}".strip() for f in mapped.findings))

    def _apply(self, tx: Transaction, plan: _Plan, outcome: Outcome, now: datetime) -> None:
        sender = tx.on_behalf_of(Principal("gateway", plan.mapped.header.sender, "replay"))
        written = [_create(sender, plan, reference, standing) for reference, standing in plan.created]
        written += [_update(sender, plan, *one) for one in plan.changed if one[1].changes]
        if written:
            sender.resources.create(_provenance(plan, written, now))
        for held, found, _ in plan.changed:
            if found.conflicts:
                written += conflicts.raise_(tx, plan.entry.id, held, found.conflicts, now)
        _remember(tx, plan)
        self.casework.after(sender, written, now)


def _fill(tx: Transaction, plan: _Plan) -> None:
    """Find every draft's home and compare what it would make there with what stands."""
    drafts = list(plan.mapped.drafts)
    linked = any(draft.resource["resourceType"] == "Linkage" for draft in drafts)
    if linked:  # who is one person is told once, and may have been told otherwise since
        drafts = [bare(draft) for draft in drafts if draft.resource["resourceType"] != "Linkage"]
    settled = find_homes(tx, drafts)
    homes, new, plan.claims = settled.homes, settled.new, settled.claims
    plan.notes += [Difference(reference, note=note) for reference, note in settled.notes]
    addresses = {url: home for url, home in homes.items() if home}
    histories = tx.resources.histories(sorted(set(addresses.values()) - new))
    hands = _Hands(plan.entry, histories, tx.inbox.channels({s.inbox_id for versions in histories.values() for s in versions if s.inbox_id}))
    placed = {home: stored for home, versions in histories.items() if (stored := hands.before(home, versions)) is not None}
    placing: dict[str, Standing] = {}
    others = _LINKED if linked else frozenset[str]()
    addresses[RAW_MESSAGE] = f"Binary/{plan.entry.id}"
    steps: set[str] = set()
    for draft in drafts:
        if home := homes[draft.full_url]:
            weigh(placing, home, replace(draft, resource=rewritten(draft.resource, addresses.get)), placed, new)
            steps |= {home} if draft.steps else set()
    for home, standing in placing.items():
        if standing.content is None:
            continue
        if home in new:
            plan.created.append((home, standing))
        elif histories[home][-1].deleted:
            if _otherwise(histories[home], hands, home, standing):
                plan.notes.append(Difference(home, note="deleted since; it stays so"))
        else:
            found = _compared(histories[home], hands, home, standing, others | (_STATUS if home in steps else frozenset()))
            plan.changed.append((histories[home][-1], found, standing))
    plan.changed = [one for one in plan.changed if one[1].changes or one[1].conflicts]


def _compared(versions: Sequence[Stored], hands: _Hands, home: str, standing: Standing, others: frozenset[str]) -> Rebased:
    """What the resource should hold. others: elements that may not be the mapping's to say: a status that has moved on since belongs to the case."""
    rows = [Version(stored.resource, hands.of(home, stored)) for stored in versions]
    first = hands.first(home, versions)
    ignored = others - _STATUS
    if others & _STATUS and first is not None and versions[first].resource.get("status") != versions[-1].resource.get("status"):
        ignored |= _STATUS
    if versions[0].type == "Patient":
        ignored |= _PERSON
    expected = decode(encode(standing.content))
    found = added(rows, expected, ignored) if first is None else rebase(rows, first, expected, ignored)
    if found.changes and validate(found.content):
        return Rebased(versions[-1].resource, (), (*found.changes, *found.conflicts))  # the parts do not go together: a person's to settle
    return found


def _otherwise(versions: Sequence[Stored], hands: _Hands, home: str, standing: Standing) -> bool:
    """Would the message make something else of a resource than it did?"""
    first = hands.first(home, versions)
    if first is None:
        return True
    now, then = (rebasable(content) for content in (decode(encode(standing.content)), versions[first].resource))
    return now != then


def rebasable(resource: Json) -> dict[Cell, Any]:
    """The cells that are the mapping's to say."""
    return {cell: value for cell, value in cells(resource).items() if resource["resourceType"] != "Patient" or cell[0] not in _PERSON}


class _Hands:
    """Whose each version of each resource is, as seen from one message."""

    def __init__(self, entry: InboxEntry, histories: Mapping[str, Sequence[Stored]], channels: Mapping[str, str]) -> None:
        self._entry, self._channels = entry, channels
        self._orders: dict[str, dict[str | None, int]] = {}
        for home, versions in histories.items():
            order: dict[str | None, int] = {}
            for position, stored in enumerate(versions):
                order.setdefault(stored.inbox_id, position)
            self._orders[home] = order

    def first(self, home: str, versions: Sequence[Stored]) -> int | None:
        """Position of the version the message made, else of the one that stood when it came; None when there was none yet."""
        made = self._orders[home].get(self._entry.id)
        if made is not None:
            return made
        return max((position for position, stored in enumerate(versions) if self._stood(stored)), default=None)

    def _stood(self, stored: Stored) -> bool:
        """Did a version stand when the message was first applied? Within one millisecond, messages stand in the order of their ids."""
        at = milliseconds(self._entry.settled_at or self._entry.received_at)
        return stored.last_updated < at or (stored.last_updated == at and "" < (stored.inbox_id or "") < self._entry.id)

    def before(self, home: str, versions: Sequence[Stored]) -> Stored | None:
        """What the message is to be weighed against."""
        made = self._orders[home].get(self._entry.id)
        first = self.first(home, versions)
        if made is not None:
            return versions[made - 1] if made and not versions[made - 1].deleted else None
        stored = versions[-1] if first is None else versions[first]
        return None if stored.deleted else stored

    def of(self, home: str, stored: Stored) -> Any:
        """The hand of a version."""
        if stored.inbox_id == self._entry.id:
            return "this"
        if stored.inbox_id is None or self._channels.get(stored.inbox_id, "fhir") == "fhir":
            return "person"
        order = self._orders[home]
        made = order.get(self._entry.id)
        if made is not None:
            return "earlier" if order[stored.inbox_id] < made else "later"
        return "earlier" if stored.inbox_id < self._entry.id else "later"


def _create(tx: Transaction, plan: _Plan, reference: str, standing: Standing) -> Stored:
    type, _, identity = reference.partition("/")
    tx.keys.claim(list(dict.fromkeys(plan.claims.get(reference, ()))), type, identity, strict=True)
    assert standing.content is not None
    return tx.resources.create(standing.content, id=identity, fresh=True, inbox_id=plan.entry.id, clock=standing.clock)


def _update(tx: Transaction, plan: _Plan, held: Stored, found: Rebased, standing: Standing) -> Stored:
    """A new version made of the message. Its clock is the message's where nothing newer has been told, which can only be so if the clocks agree."""
    same = (held.clock.clinical, held.clock.message) == (standing.clock.clinical, standing.clock.message)
    try:
        return tx.resources.update(
            {**found.content, "id": held.id},
            clock=standing.clock if same else held.clock,
            inbox_id=plan.entry.id,
            expected_version=held.version,
            known_by_key=True,
        )
    except VersionConflictError as fault:
        raise RaceLostError("another transaction changed the resource between reading and writing it") from fault


def _remember(tx: Transaction, plan: _Plan) -> None:
    """The inbox row as of today: edition, findings, where the fields went, which codes are still untranslated."""
    packed, fields = went(plan.mapped.ledger)
    tx.codes.note(plan.entry.id, plan.mapped.header.sender, plan.mapped.unmapped, again=True)
    if fields:
        tx.codes.keep_fields(packed.kept, fields)
    hints = [one for one in plan.entry.findings or () if (one["severity"], one["code"]) == HINT]
    findings = [*told(plan.mapped.findings), *hints]
    if (plan.edition, packed.report, packed.kept or None) != (plan.entry.mapping, plan.entry.report, plan.entry.kept):
        tx.inbox.remapped(plan.entry.id, findings=findings, went=packed, mapping=plan.edition)


def _provenance(plan: _Plan, written: Sequence[Stored], now: datetime) -> Json:
    """That, when and by which rules the message was mapped again."""
    return {
        "resourceType": "Provenance",
        "target": [{"reference": stored.reference} for stored in written],
        "recorded": now.isoformat(timespec="milliseconds"),
        "policy": [canonical("mapping", plan.edition)],
        "activity": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-DataOperation", "code": "UPDATE"}], "text": "Mapped again"},
        "agent": [
            {
                "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type", "code": "assembler"}]},
                "who": {"display": "Second Opinion Gateway"},
            }
        ],
        "entity": [{"role": "source", "what": {"reference": f"Binary/{plan.entry.id}"}}],
    }
