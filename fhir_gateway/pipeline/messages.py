"""HL7 v2: bytes → acknowledgement. The whole flow of a message on one screen.

Original mode: bytes and effect in one transaction, then AA. Enhanced mode: bytes in one (CA), effect in a second (AA or AE). What is
refused or fails is kept by a transaction of its own with its located findings, and the sender is told where the fault lies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from fhir_gateway import metrics
from fhir_gateway.errors import InvalidError
from fhir_gateway.events import event
from fhir_gateway.outcomes import issues_of
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.codetables import CodeTables
from fhir_gateway.pipeline.intake import UNKNOWN, V2_TYPE, AckMode, Arrival, edition, keep_unframed, told
from fhir_gateway.pipeline.questions import asked_about
from fhir_gateway.pipeline.settle import settle
from fhir_gateway.pipeline.went import report as unpacked
from fhir_gateway.pipeline.went import summed_up, went
from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.store import InboxEntry, Store, Transaction
from fhir_gateway.store.errors import ConflictError
from fhir_gateway.store.ids import new_id
from fhir_gateway.validation import validate
from mappers import v2
from mappers.result import Finding, Header, Location, Mapped, Refused
from profiles.conceptmaps import Tables

Code = Literal["AA", "AE", "AR", "CA", "CE", "CR"]


class Told(NamedTuple):
    """The report of a message. edition: what it was mapped with. more: rows left out."""

    rows: list[v2.Row]
    edition: str
    more: int


@dataclass(frozen=True, slots=True)
class V2Intake:
    """Everything the flow needs, wired once."""

    store: Store
    codes: CodeTables
    site: v2.Site
    casework: Casework
    clock: Callable[[], datetime]

    def receive(self, raw: bytes, channel: str, peer: str) -> Iterator[bytes]:
        """Take a message in; yields each acknowledgement as soon as it is true, none for an acknowledgement. Never raises for what the message holds."""
        arrival = Arrival.now(raw, channel, peer, self.clock())
        with metrics.INTAKE.labels(channel).time():
            try:
                message = v2.read(raw)
                header, mode = v2.header(message), AckMode(*v2.ack_mode(message))
            except Refused as refusal:
                yield self._refuse(arrival, None, UNKNOWN, refusal.ack_code, refusal.findings, "refused")
                return
            if mode.enhanced:
                yield from self._enhanced(arrival, message, header, mode)
            elif _answers(header):
                self._effect(arrival, message, header)
            else:
                yield self._effect(arrival, message, header)

    def finish(self, entry: InboxEntry) -> bytes:
        """Work on a kept message again: recovery after a crash, or a person's retry. Safe to repeat."""
        arrival = Arrival(entry.raw, entry.channel, "retry", self.clock(), entry.id, entry.content_hash, True)  # type: ignore[arg-type]  # a channel as stored
        try:
            message = v2.read(entry.raw)
            return self._effect(arrival, message, v2.header(message))
        except Refused as refusal:
            return self._refuse(arrival, None, UNKNOWN, refusal.ack_code, refusal.findings, "refused")

    def report(self, entry: InboxEntry) -> Told:
        """Where every field of a kept message went when it was last mapped; of one that was not noted then, where it would go today.

        Raises InvalidError for one today's rules refuse.
        """
        if entry.report is not None:
            kept = unpacked(entry.report)
            return Told(v2.rows(kept.entries, v2.read(entry.raw).header.version), entry.mapping, kept.more)
        try:
            message = v2.read(entry.raw)
            with self.store.snapshot(GATEWAY) as tx:
                tables = self.codes.tables(tx, self.site.sender or message.header.sender)
            mapped = v2.map_message(message, tables, self.site)
        except Refused as refusal:
            raise InvalidError(f"{entry.id} is not mapped", issues=issues_of(refusal.findings)) from None
        return Told(v2.report(mapped), f"{edition(tables)}, by today's rules", 0)

    def _enhanced(self, arrival: Arrival, message: v2.Message, header: Header, mode: AckMode) -> Iterator[bytes]:
        answer = self.store.run(_sender(header, arrival), arrival.at, lambda tx: self._commit(tx, arrival, message, header), brief=arrival.brief)
        if isinstance(answer, bytes):  # seen before and settled: the same answers again
            arrival_done, application = True, answer
        else:
            arrival_done, application = False, b""
            arrival = Arrival(arrival.raw, arrival.channel, arrival.peer, arrival.at, answer.id, arrival.hash, True)
        if mode.wants_commit(good=True):
            yield self._ack(message, "CA", [], arrival)
        if not arrival_done:
            application = self._effect(arrival, message, header)
        if not _answers(header) and mode.wants_application(good=v2.read_ack(application)[0] == "AA"):
            yield application

    def _commit(self, tx: Transaction, arrival: Arrival, message: v2.Message, header: Header) -> bytes | Arrival:
        """First half of enhanced mode: the bytes are safe. The stored answer when the message was settled before."""
        same = tx.inbox.find_same(header.sender, header.control_id, arrival.hash) if header.control_id else None
        if same is not None and same.answer is not None and same.state in ("processed", "discarded"):
            return same.answer
        return Arrival(arrival.raw, arrival.channel, arrival.peer, arrival.at, self._kept(tx, arrival, header, same), arrival.hash)

    def _effect(self, arrival: Arrival, message: v2.Message, header: Header) -> bytes:
        """Map, check and apply; then, and only then, say so."""
        try:
            tables = self.codes.latest(self.site.sender or header.sender)
            mapped = self._mapped(message, tables)
            return self.store.run(
                _sender(header, arrival), arrival.at, lambda tx: self._apply(tx, arrival, message, mapped, tables), brief=arrival.brief
            )
        except Refused as refusal:
            return self._refuse(arrival, message, header, refusal.ack_code, refusal.findings, "refused")
        except ConflictError:
            busy = [Finding("error", "206", "Other messages about the same records kept getting in the way; send it again")]
            return self._refuse(arrival, message, header, "AE", busy, "failed")
        except Exception as fault:  # noqa: BLE001 - whatever a message does to us, it is kept and answered
            event("message-failed", "error", inbox=arrival.id, channel=arrival.channel, type=header.message_type, error=type(fault).__name__)
            broken = [Finding("error", "207", f"The message could not be worked on ({type(fault).__name__}); it is kept and can be retried")]
            return self._refuse(arrival, message, header, "AE", broken, "failed")

    def _mapped(self, message: v2.Message, tables: Tables) -> Mapped:
        mapped = v2.map_message(message, tables, self.site)
        _check(mapped)
        return mapped

    def _apply(self, tx: Transaction, arrival: Arrival, message: v2.Message, mapped: Mapped, tables: Tables) -> bytes:
        """The one transaction: inbox row, resources, case evaluation, and the answer itself. tables: those it was mapped with, if they still stand."""
        header = mapped.header
        same = tx.inbox.find_same(header.sender, header.control_id, arrival.hash) if header.control_id else None
        if same is not None and same.state == "processed" and same.answer is not None:
            event("message-repeated", inbox=same.id, channel=arrival.channel)
            return same.answer
        if same is not None and same.state == "discarded":
            aside = "This very message came before and was put aside by the clinic; send it under another control id"
            raise Refused([Finding("error", "205", aside, Location("MSH", 1, 10))], "AR")
        inbox_id = self._kept(tx, arrival, header, same)
        if (current := self.codes.tables(tx, self.site.sender or header.sender)) is not tables:
            tables, mapped = current, self._mapped(message, current)
        settled = settle(tx, mapped.drafts, inbox_id)
        hints = self.casework.after(tx, settled.written, arrival.at).hints
        findings = [*mapped.findings, *(Finding("warning", "0", hint) for hint in hints.values())]
        if (case := asked_about(tx, mapped)) is not None:
            tx.outbox.put(
                "answer",
                f"answer/{inbox_id}",
                {"case": case.service_request_id, "answers": header.control_id},
                lane=f"case/{case.service_request_id}",
            )
        ledger, fields = went(mapped.ledger)
        answer = self._ack(message, "AA", findings, arrival, summed_up(fields, mapped.unmapped))
        tx.inbox.settle(inbox_id, "processed", answer=answer, answer_type=V2_TYPE, findings=told(findings), went=ledger, mapping=edition(tables))
        if fields:
            tx.codes.keep_fields(ledger.kept, fields)
        if mapped.unmapped:
            tx.codes.note(inbox_id, header.sender, mapped.unmapped)
        self._log(inbox_id, arrival, header, "processed", "AA")
        return answer

    def _kept(self, tx: Transaction, arrival: Arrival, header: Header, same: InboxEntry | None) -> str:
        """The inbox row of this message: the one it has already, or a new one."""
        if same is not None:
            return same.id
        if arrival.kept and tx.inbox.get(arrival.id) is not None:
            return arrival.id
        return tx.inbox.add(
            id=arrival.id,
            channel=arrival.channel,
            sender=header.sender,
            control_id=header.control_id or None,
            message_type=header.message_type,
            raw=arrival.raw,
            content_hash=arrival.hash,
            charset=header.charset,
        )

    def _refuse(
        self, arrival: Arrival, message: v2.Message | None, header: Header, code: Code, findings: list[Finding], state: Literal["refused", "failed"]
    ) -> bytes:
        """Keep what can't be taken, with its findings, and say where the fault lies. Repeats get the same answer."""
        answer = self._ack(message or arrival.raw, code, findings, arrival)

        def keep(tx: Transaction) -> bytes:
            same = tx.inbox.find_same(header.sender, header.control_id, arrival.hash) if header.control_id else None
            settled = same is not None and same.state in ("processed", "discarded")
            if same is not None and (settled or (same.state != "pending" and same.findings == told(findings))):
                return same.answer if same.answer is not None and same.state != "discarded" else answer
            inbox_id = self._kept(tx, arrival, header, same)
            tx.inbox.settle(inbox_id, state, answer=answer, answer_type=V2_TYPE, findings=told(findings))
            return answer

        kept = self.store.run(_sender(header, arrival), arrival.at, keep)
        self._log(arrival.id, arrival, header, state, code)
        return kept

    def oversize(self, head: bytes, length: int, sha256: str, channel: str, peer: str, limit: int) -> bytes:
        """Refuse a message over the limit, keeping its beginning, length and hash."""
        arrival = Arrival(head, channel, peer, self.clock(), new_id(), sha256)  # type: ignore[arg-type]  # the channel comes from the edge
        finding = Finding("error", "104", f"The message has {length} bytes; {limit} is the limit", Location("MSH"))
        answer = self._ack(head, "AR", [finding], arrival)
        keep_unframed(self.store, arrival, length, sha256, finding, answer)
        event("message-too-large", "warning", inbox=arrival.id, channel=channel, bytes=length, limit=limit)
        return answer

    def broken(self, content: bytes, length: int, why: str, channel: str, peer: str) -> None:
        """Keep bytes that made no whole message."""
        arrival = Arrival.now(content, channel, peer, self.clock())
        keep_unframed(self.store, arrival, length, arrival.hash, Finding("error", "100", why[:1].upper() + why[1:]), None)
        metrics.BROKEN.labels(channel).inc()
        event("frame-broken", "warning", peer=peer, bytes=length, why=why, inbox=arrival.id)

    def _ack(self, message: v2.Message | bytes, code: Code, findings: list[Finding], arrival: Arrival, note: str = "") -> bytes:
        serial = arrival.id.replace("-", "")
        control_id = f"C{serial[-19:]}" if code.startswith("C") else serial[-20:]
        return v2.acknowledge(message, code, findings, now=arrival.at, control_id=control_id, note=note)

    def _log(self, inbox_id: str, arrival: Arrival, header: Header, state: str, code: str) -> None:
        kind = header.message_type or "unknown"
        metrics.MESSAGES.labels(arrival.channel, kind if state == "processed" else "refused", code).inc()
        event("message-received", inbox=inbox_id, channel=arrival.channel, type=kind[:20], bytes=len(arrival.raw), state=state, code=code)


def _sender(header: Header, arrival: Arrival) -> Principal:
    """The gateway acts for the sending organisation: what is stored belongs to it."""
    return Principal("gateway", header.sender, arrival.peer)


def _answers(header: Header) -> bool:
    """An acknowledgement is never acknowledged (chapter 2.9.2), or two systems would answer each other for ever."""
    return header.message_type.partition("^")[0] == "ACK"


def _check(mapped: Mapped) -> None:
    """Nothing illegal is stored: a fault here is the mapper's, so the message fails as a whole and is kept for a retry."""
    for draft in mapped.drafts:
        issues = [issue for issue in validate(draft.resource) if issue.severity in ("fatal", "error")]
        if issues:
            places = ", ".join(issue.expression for issue in issues[:5])
            raise Refused([Finding("error", "207", f"The mapping made an illegal resource ({places}); the message is kept and can be retried")], "AE")
