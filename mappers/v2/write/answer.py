"""Reading the answer to a message we sent: MSA and ERR of a received ACK."""

from __future__ import annotations

from typing import NamedTuple

from mappers.result import Finding, Refused
from mappers.v2.message import read


class Answer(NamedTuple):
    """code: MSA-1 (AA AE AR CA CE CR); control_id: MSA-2, the message answered; texts: what MSA-3 and each ERR say, in words."""

    code: str
    control_id: str
    texts: list[str]


def read_ack(raw: bytes) -> Answer:
    """Read an ACK. Raises Refused (AE 100) when it has no MSA, or is no message at all."""
    message = read(raw)
    found = message.named("MSA")
    if not found:
        raise Refused([Finding("error", "100", "an answer without MSA", message.segments[0].where())], "AE")
    msa = found[0]
    texts = [text] if (text := msa.value(3)) else []
    for err in message.named("ERR"):
        where = err.raw(2).replace(message.delimiters.component, ".")
        words = err.value(8) or err.value(7) or err.value(3, 2) or err.value(1, 4)
        code = err.value(3)
        texts.append(" ".join(p for p in (err.value(4), code, where, words) if p))
    return Answer(msa.value(1), msa.value(2), texts)
