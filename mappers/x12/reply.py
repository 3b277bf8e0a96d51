"""A Question → a 271 about it, for whoever plays the payer: who was asked about is given back, what the payer says is the caller's.

Source: 005010X279A1, loops of the 271; TRN02 and BHT03 give the question's numbers back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from mappers.x12.envelope import Envelope, Row, compose
from mappers.x12.question import Question, party, person

KIND: Final = "271"
Level = Literal["A", "B", "C", "D"]


def reply(question: Question, rows: Sequence[Row], envelope: Envelope, level: Level | None = None) -> bytes:
    """An interchange with one 271. rows: EB and what belongs to it, or AAA. level: in whose loop they stand and where the answer ends (A payer,
    B provider, C subscriber, D dependent); None for the patient. Raises X12Error at an element that can't be sent.
    """
    dependent = question.dependent
    last = level or ("D" if dependent else "C")
    trace = ("TRN", "2", question.trace, question.origin)
    levels: list[tuple[str, list[Row]]] = [
        ("A", [("HL", "1", "", "20", "0" if last == "A" else "1"), party("PR", question.payer)]),
        ("B", [("HL", "2", "1", "21", "0" if last == "B" else "1"), party("1P", question.provider)]),
    ]
    subscriber: list[Row] = [("HL", "3", "2", "22", "1" if last == "D" else "0"), *([] if dependent else [trace])]
    levels.append(("C", [*subscriber, *person("IL", question.subscriber, question.group)]))
    if dependent:
        told = ("INS", "N", question.relationship) if question.relationship else None
        levels.append(("D", [("HL", "4", "3", "23", "0"), trace, *person("03", dependent, ""), *([told] if told else [])]))
    body: list[Row] = [("BHT", "0022", "11", question.trace, f"{envelope.made:%Y%m%d}", f"{envelope.made:%H%M}")]
    for letter, segments in levels:
        if letter <= last:
            body += segments
    return compose(envelope, KIND, [[*body, *rows]])
