"""ACK, of any event: the answer to a message we sent. Nothing of it is a record; the MessageHeader says which message it answers, and how. Guide: MSA
rows 3-4.
"""

from __future__ import annotations

from mappers.v2.context import Context


def map_answer(ctx: Context) -> None:
    """The answer to a message of ours: which, how, and what was found wrong. No record; all of it is in the envelope (`segments.msa`)."""
