"""A 270 answered as the script says: one interchange with a 271 for each question in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Final, Literal

from fhir_gateway.mockpayer.book import Book
from fhir_gateway.mockpayer.script import Step
from fhir_gateway.mockpayer.statement import rows
from mappers.x12 import Envelope, Interchange, Question, asked, read, reply

_LEVELS: Final[dict[str, Literal["A", "B", "C"]]] = {"payer": "A", "provider": "B", "subscriber": "C"}
_CONTROL: Final = count(1)


def answers(raw: bytes, book: Book, way: str, now: datetime) -> Iterator[tuple[Step, bytes]]:
    """Each question's step, and the answer in bytes (b"" where the step gives none). Raises X12Error for what is no 270."""
    for interchange in read(raw):
        for transaction in interchange.transactions:
            for question in asked(transaction):
                step = book.step(way, question.subscriber.member, trace=question.trace, service_types=list(question.service_types))
                yield step, _answer(question, step, _envelope(interchange, now))


def _answer(question: Question, step: Step, envelope: Envelope) -> bytes:
    if step.fault in ("no-answer", "http-error"):
        return b""
    if step.fault == "somebody-else":
        question = replace(question, trace="SOMEBODY-ELSE")
    whole = reply(question, rows(step), envelope, _LEVELS.get(step.level) if step.reject else None)
    return whole[: len(whole) * 2 // 3] if step.fault in ("malformed", "breaks-specification") else whole


def _envelope(interchange: Interchange, now: datetime) -> Envelope:
    """Back to whoever asked."""
    isa = interchange.segments[0]
    return Envelope(
        sender=isa.value(8).strip(),
        receiver=isa.value(6).strip(),
        control=next(_CONTROL),
        made=now,
        sender_qualifier=isa.value(7),
        receiver_qualifier=isa.value(5),
        usage=isa.value(15),
    )
