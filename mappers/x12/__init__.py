"""X12 005010X279A1: eligibility questions (270) and answers (271). Pure: bytes in, loops and FHIR R4 out, and back."""

from __future__ import annotations

from mappers.x12.answer import Answer, Asked, answers
from mappers.x12.loops import Loop, loops
from mappers.x12.place import Finding, Place, X12Error
from mappers.x12.reader import Group, Interchange, Transaction, read, write
from mappers.x12.segment import Segment, Separators

__all__ = [
    "Answer",
    "Asked",
    "Finding",
    "Group",
    "Interchange",
    "Loop",
    "Place",
    "Segment",
    "Separators",
    "Transaction",
    "X12Error",
    "answers",
    "loops",
    "read",
    "write",
]
