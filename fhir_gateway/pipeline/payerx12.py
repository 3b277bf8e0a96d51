"""The X12 channel: a 270 over HTTP (CAQH CORE envelope, or raw) or into a folder, and the 271 that answers it."""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from fhir_gateway.coverage.exchange import NPI, AnswerError
from fhir_gateway.coverage.payer import X12Channel
from fhir_gateway.pipeline.delivery import Delivery, SecretSignIn, Unsendable
from fhir_gateway.pipeline.enquiry import Asking
from fhir_gateway.pipeline.traces import same, trace_of
from fhir_gateway.settings import Settings
from mappers import x12
from mappers.x12 import core
from profiles.x12codes import Codes

Json = dict[str, Any]
X12: Final = "application/edi-x12"
ANSWER_BYTES: Final = 1024 * 1024
QUESTION: Final = "270"
ANSWER: Final = "271"
_ERROR_CODE: Final = re.compile(r"[A-Za-z]{1,40}")
"""ErrorCode of CORE, one word; free text of the other side is not repeated."""


def prepare(asked: Asking, settings: Settings) -> Delivery:
    """The question on its way. Raises Unsendable where something a 270 must have is not known."""
    channel = asked.payer.x12
    if channel is None:
        raise Unsendable("the payer's X12 channel is not configured")
    if not settings.clinic_npi:
        raise Unsendable("the clinic's NPI is not set (GATEWAY_CLINIC_NPI)")
    try:
        raw = _question(asked, channel, settings)
    except x12.X12Error as fault:
        raise Unsendable(fault.text) from None
    if channel.folder:
        return Delivery("folder", str(Path(channel.folder) / "out" / f"{trace_of(asked.key)}.270"), raw)
    kind, body = (X12, raw) if channel.envelope == "raw" else _wrapped(raw, asked, channel)
    secret = SecretSignIn(channel.user, channel.secret_variable, channel.secret_file, channel.sign_in == "envelope")
    known = secret if secret.variable or secret.file else None
    return Delivery("http", channel.url, body, {"Content-Type": kind}, answer_bytes=ANSWER_BYTES, seconds=asked.payer.seconds, sign_in=known)


def read(raw: bytes, kind: str, asked: Asking, codes: Codes) -> Json:
    """The answer to this question among what came back. Raises AnswerError."""
    try:
        if kind.lower().lstrip().startswith("multipart/"):
            message = core.read(kind, raw)
            if message.failed:
                code = message.error_code if _ERROR_CODE.fullmatch(message.error_code) else ""
                raise AnswerError("the payer refused the envelope of the question" + (f": {code}" if code else ""))
            raw = message.payload
        interchanges = x12.read(raw)
        notices = [notice for one in interchanges for notice in x12.acknowledgements(one)]
        found = [transaction for one in interchanges for transaction in one.transactions]
        if notices and not any(one.kind == ANSWER for one in found):
            raise AnswerError(notices[0].text)
        return of(found, asked, codes)
    except core.CoreError as fault:
        raise AnswerError(str(fault)) from None
    except x12.X12Error as fault:
        raise AnswerError(str(fault)) from None


def numbers(answer: x12.Answer) -> tuple[str, ...]:
    """The questions an answer is to: a payer that refuses before it has looked for the member gives back only the number of the whole (BHT03)."""
    return answer.traces or (answer.submitted,)


def of(found: list[x12.Transaction], asked: Asking, codes: Codes) -> Json:
    """The answer to this question. Raises AnswerError where there is none, X12Error for what can't be read.

    Of several under its number the one about the subscriber, or about a dependent where one was asked about.
    """
    sets = [one for one in found if one.kind == ANSWER]
    if not sets:
        kinds = ", ".join(sorted({one.kind for one in found})) or "nothing"
        raise AnswerError(f"the payer sent {kinds} instead of an answer (271)")
    number = trace_of(asked.key)
    answers = [(one, answer) for one in sets for answer in x12.answers(one, codes=codes)]
    ours = [(one, answer) for one, answer in answers if any(same(number, told) for told in numbers(answer))]
    if not ours:
        raise AnswerError("the answer is about another question (TRN02)")
    level = x12.level(asked.coverages[0][1]) if asked.coverages else ""
    transaction, answer = min(ours, key=lambda one: (not one[1].traces, one[1].level != level))
    if transaction.faults:
        raise AnswerError(str(transaction.faults[0]))
    return answer.response


def _question(asked: Asking, channel: X12Channel, settings: Settings) -> bytes:
    _, coverage = asked.coverages[0]
    question = x12.question(
        asked.request,
        coverage=coverage,
        patient=asked.patient,
        payer={"name": asked.payer.title},
        provider={"name": settings.clinic_name, "identifier": [{"system": NPI, "value": settings.clinic_npi}]},
        trace=trace_of(asked.key),
        origin=channel.sender_id,
        subscriber=asked.subscriber or None,
        payer_number=channel.payer_id,
    )
    envelope = x12.Envelope(
        sender=channel.sender_id,
        receiver=channel.receiver_id,
        control=_control(asked.key, asked.at.now),
        made=asked.at.now.astimezone(asked.at.zone),
        sender_qualifier=channel.sender_qualifier,
        receiver_qualifier=channel.receiver_qualifier,
        application_sender=channel.application_sender,
        application_receiver=channel.application_receiver,
        usage=channel.usage,
    )
    return x12.ask([question], envelope)


def _wrapped(raw: bytes, asked: Asking, channel: X12Channel) -> tuple[str, bytes]:
    """In the CORE envelope, under a number of this sending."""
    number = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{asked.key}/{asked.at.now.isoformat()}"))
    return core.build(core.Message(raw, core.REQUEST_270, number, core.stamp(asked.at.now), channel.sender_id, channel.receiver_id))


def _control(key: str, at: datetime) -> int:
    """ISA13: nine digits that are new for every sending, as partners refuse one they have seen (TA1 025). Two of a year's questions are hardly the same."""
    return int.from_bytes(sha256(f"{key}/{at.isoformat()}".encode()).digest()[:8]) % 999_999_999 + 1
