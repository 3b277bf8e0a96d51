"""Asking payers by machine: the question as it leaves the outbox, and what becomes of what comes back, each in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from fhir_gateway.cases.eligibility import extended
from fhir_gateway.cases.evidence import walk
from fhir_gateway.coverage import circuit
from fhir_gateway.coverage.rules import serviced, valid_until
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.delivery import Delivery, Later, Outcome, Unsendable
from fhir_gateway.pipeline.enquiry import Asking, asking, error, frame, withheld
from fhir_gateway.pipeline.payerchannels import CHANNELS, AnswerError
from fhir_gateway.pipeline.payers import kept_answer
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import Circuit, Job, Transaction
from fhir_gateway.validation import validate
from profiles.eligibility import CHANNEL, COVERAGE_CHECKED, RAW_ANSWER, RETRY_AFTER, VALID_UNTIL, WHO_FIXES
from profiles.x12codes import Codes, load

Json = dict[str, Any]

ANSWER_BYTES: Final = 1024 * 1024
"""The most an answer may have; a 271 has some thousand bytes."""
BY_OTHER_MEANS: Final = "Ask it by telephone or at its portal, and enter what it says."
IN_VAIN: Final = f"The payer was asked again in vain, and is not asked any more. {BY_OTHER_MEANS}"
PROBE: Final = timedelta(minutes=1)
"""How long one question that finds out whether a payer is back keeps the others waiting."""
_SECONDS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Enquiries:
    """Questions to payers, from the outbox to the case. Everything it needs, wired once."""

    casework: Casework
    settings: Settings

    @property
    def codes(self) -> Codes:
        """The X12 codes in words, those of the site among them. Raises ValueError for a file that can't be read."""
        return loaded(self.settings.x12_codes)

    def prepare(self, tx: Transaction, job: Job, now: datetime) -> list[Delivery]:
        """The question in bytes. Raises Later while the payer rests, Unsendable where there is no way to ask."""
        asked = self.asked(tx, job, now)
        if withheld(tx, asked, self.casework.payers):
            raise Unsendable("the patient wants this plan not to be told")
        held = tx.payers.circuit(asked.payer.name)
        if (until := circuit.rests(held.failures, held.rests_until, now)) is not None:
            raise Later(until)
        channel = CHANNELS.get(asked.payer.channel)
        if channel is None:
            raise Unsendable(f"the payer's channel {asked.payer.channel} can't be used")
        if circuit.probing(held.failures):
            tx.payers.answered(Circuit(held.payer, held.failures, now + PROBE))
        return [channel.prepare(asked, self.settings)]

    def taken(self, tx: Transaction, job: Job, outcome: Outcome, now: datetime) -> datetime | None:
        """Turn what came back into the answer, and keep it as it came; when to ask again, None when that is that."""
        raw = kept_answer(tx, outcome, "eligibility answer")
        if (asked := self._still(tx, job, now)) is None:
            return None
        body, kind = outcome.answer or b"", outcome.answer_type
        return self.understood(tx, job, asked, lambda: CHANNELS[asked.payer.channel].read(body, kind, asked, self.codes), raw)

    def understood(self, tx: Transaction, job: Job, asked: Asking, read: Callable[[], Json], raw: str) -> datetime | None:
        """As `taken`, of bytes that are kept as `raw` (an inbox id). read: what they say; raises AnswerError."""
        now = asked.at.now
        response = self._read(read, asked)
        if response["outcome"] == "error" and self.answered(tx, job):
            return None
        self._answer(tx, job, _with(response, raw), now)
        tx.payers.answered(Circuit(asked.payer.name))
        seconds = _retry_after(response)
        return now + timedelta(seconds=seconds) if seconds is not None else None

    def answered(self, tx: Transaction, job: Job) -> bool:
        """Has it an answer that can be used? What comes later and can't be used, or is an error, leaves the word to it."""
        held = tx.resources.read("CoverageEligibilityResponse", job.payload["response"])
        return held is not None and not held.deleted and held.resource.get("outcome") == "complete"

    def exhausted(self, tx: Transaction, job: Job, now: datetime) -> None:
        """The payer said that it can't answer now until there was no more time to ask again: the answer says so, for a person to ask by other means."""
        held = tx.resources.read("CoverageEligibilityResponse", job.payload["response"])
        if held is None or held.deleted:
            return
        told = [_without(one, RETRY_AFTER) for one in walk(held.resource, "error") if isinstance(one, dict)]
        told.append({"extension": [{"url": WHO_FIXES, "valueCode": "clinic"}], "code": {"text": IN_VAIN}})
        self._answer(tx, job, {**held.resource, "error": told}, now)

    def missed(self, tx: Transaction, job: Job, outcome: Outcome, now: datetime, *, gone: bool) -> None:
        """Nothing came back. Once it is given up the answer says so, for a person to ask by other means."""
        if (asked := self._still(tx, job, now)) is None:
            return
        if outcome.retry_at is None and not outcome.final and asked.payer.name:  # what is final was never sent, or was answered
            held = tx.payers.circuit(asked.payer.name)
            tx.payers.answered(Circuit(held.payer, *circuit.after_failure(held.failures, now, outcome.retry_after)))
        if gone:
            why = f"The payer could not be asked: {outcome.error}." if outcome.final else "The payer could not be reached."
            text = f"{why} {BY_OTHER_MEANS}"
            response = error(asked, "", "", text, "clinic", asked.payer.channel)
            self._answer(tx, job, _with(response, kept_answer(tx, outcome, "eligibility answer")) if outcome.answer else response, now)

    def _still(self, tx: Transaction, job: Job, now: datetime) -> Asking | None:
        """As `asked`, None when the request was deleted meanwhile."""
        try:
            return self.asked(tx, job, now)
        except Unsendable:
            return None

    def asked(self, tx: Transaction, job: Job, now: datetime) -> Asking:
        """The question of a job. Raises Unsendable when it is gone, or was taken back."""
        stored = tx.resources.read("CoverageEligibilityRequest", job.payload["request"])
        if stored is None or stored.deleted:
            raise Unsendable("the request is gone")
        if stored.resource.get("status") != "active":
            raise Unsendable("the request was taken back")
        return asking(tx, stored.resource, self.casework.payers, self.casework.moment(now), job.key)

    def _read(self, read: Callable[[], Json], asked: Asking) -> Json:
        """What the payer said, with what we know ourselves; an answer against the specification is an answer that says nothing."""
        try:
            response = _completed(read(), asked)
            issues = validate(response)
        except AnswerError as fault:
            return _unreadable(asked, f" ({fault})")
        except (ValueError, KeyError, TypeError, AttributeError):
            return _unreadable(asked)
        return _unreadable(asked) if issues else response

    def _answer(self, tx: Transaction, job: Job, response: Json, now: datetime) -> None:
        held = tx.resources.read("CoverageEligibilityResponse", job.payload["response"])
        if held is None or held.deleted:
            return
        writer = tx.on_behalf_of(Principal("gateway", held.owner))
        stored = writer.resources.update({**response, "id": held.id})
        self.casework.after(tx, [stored], now)


def _completed(said: Json, asked: Asking) -> Json:
    """A payer's answer in its place: to our request, about our Patient and Coverages, each marked with what it was asked about."""
    ours = frame(asked, asked.payer.channel)
    insurances = [one for one in walk(said, "insurance") if isinstance(one, dict)]
    placed = [_placed(one, known) for one, known in zip(insurances, ours.get("insurance", ()), strict=False)]
    kept = {name: value for name, value in said.items() if name not in ("id", "meta", "text", "extension", "insurance", "contained")}
    made = {**ours, **kept, **{name: ours[name] for name in ("request", "patient", "insurer", "status", "purpose", "created")}}
    told = [one for one in said.get("extension", ()) if one.get("url") not in (CHANNEL, RAW_ANSWER)]
    if not any(one.get("url") == VALID_UNTIL for one in told) and made["outcome"] == "complete":
        until = valid_until(serviced(asked.request, asked.at), asked.at)
        told.append({"url": VALID_UNTIL, "valueDate": until.isoformat()})
    made["extension"] = [*ours["extension"], *told]
    made["insurance"] = placed or ours.get("insurance", [])
    return {name: value for name, value in made.items() if value != []}


def _with(response: Json, raw: str) -> Json:
    """With a reference to the payer's bytes, an inbox id."""
    return {**response, "extension": [*response.get("extension", ()), {"url": RAW_ANSWER, "valueReference": {"reference": f"Binary/{raw}"}}]}


def _without(element: Json, url: str) -> Json:
    """A copy that lacks its extensions of one url."""
    kept = [one for one in element.get("extension", ()) if one.get("url") != url]
    return {**{name: value for name, value in element.items() if name != "extension"}, **({"extension": kept} if kept else {})}


@lru_cache(maxsize=4)
def loaded(path: Path | None) -> Codes:
    """The shipped X12 codes and those of a site's file. Read once. Raises OSError, ValueError."""
    return load(path.read_bytes() if path else b"")


def _placed(one: Json, known: Json) -> Json:
    others = [x for x in one.get("extension", ()) if x.get("url") != COVERAGE_CHECKED]
    return {**one, "coverage": known["coverage"], "extension": [*known["extension"], *others]}


def _unreadable(asked: Asking, why: str = "") -> Json:
    """why: in brackets after a blank, "" where nobody can say more."""
    text = f"The payer's answer could not be read or used{why}; it is kept as it came. Ask the payer by telephone."
    return error(asked, "", "", text, "payer", asked.payer.channel)


def _retry_after(response: Json) -> float | None:
    """Seconds after which the payer says it may be asked again; None when it has answered, or must not be asked again as it is."""
    if response.get("outcome") != "error":
        return None
    told = [extended(one, RETRY_AFTER) for one in walk(response, "error") if isinstance(one, dict)]
    found = [float(one["value"]) * _SECONDS.get(str(one.get("code")), 1) for one in told if isinstance(one, dict) and "value" in one]
    return min(found, default=None)
