"""X12 005010X279A1: eligibility questions (270) and answers (271). Pure: bytes in, loops and FHIR R4 out, and back.

    raw = ask([question(request, coverage=…, patient=…, payer=…, provider=…, trace=…, origin=…)], Envelope(…))
    for interchange in read(answer):                      # X12Error with its place for what is no interchange
        for transaction in interchange.transactions:
            for answer in answers(transaction, Asked(…)): # a CoverageEligibilityResponse, the question's number, findings

Whoever plays the payer reads a question with `asked` and answers with `reply`.
"""

from __future__ import annotations

from mappers.x12.acknowledged import ACKNOWLEDGING, Acknowledgement, acknowledgements
from mappers.x12.answer import Answer, Asked, answers
from mappers.x12.asking import level, question
from mappers.x12.envelope import Envelope, compose
from mappers.x12.loops import Loop, loops
from mappers.x12.place import Finding, Place, X12Error
from mappers.x12.question import Party, Person, Question, ask, asked
from mappers.x12.reader import Interchange, read, write
from mappers.x12.rejections import explained
from mappers.x12.reply import reply
from mappers.x12.segment import Segment, Separators
from mappers.x12.sets import Group, Transaction

__all__ = [
    "ACKNOWLEDGING",
    "Acknowledgement",
    "Answer",
    "Asked",
    "Envelope",
    "Finding",
    "Group",
    "Interchange",
    "Loop",
    "Party",
    "Person",
    "Place",
    "Question",
    "Segment",
    "Separators",
    "Transaction",
    "X12Error",
    "acknowledgements",
    "answers",
    "ask",
    "asked",
    "compose",
    "explained",
    "level",
    "loops",
    "question",
    "read",
    "reply",
    "write",
]
