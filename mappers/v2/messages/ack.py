"""ACK, of any event: the answer to a message we sent. Nothing of it is a record; the MessageHeader says which message it answers, and how. Guide: MSA
rows 3-4.
"""

from __future__ import annotations

from mappers.v2.context import Context


def map_answer(ctx: Context) -> None:
    """Everything is in the envelope (see `segments.msa`)."""
