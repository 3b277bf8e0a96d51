"""REF^I15: how does this referral stand? A question, not a record: nothing of it becomes a resource, the referral it names is only looked up (11.3.4).

Who answers (RRI^I15) needs RF1-6 and RF1-11, nothing else; everything beside them is accounted for as part of the question.
"""

from __future__ import annotations

from typing import Final

from mappers.result import Finding, Told
from mappers.v2.context import Context
from mappers.v2.datatypes.ids import ei_identifier

WHY: Final = "part of a question; nothing of it is stored but the message"
NUMBERS: Final = ((6, "PLAC"), (11, "FILL"))


def map_question(ctx: Context) -> None:
    """Note which referral is asked about."""
    for segment in ctx.message.segments:
        if segment.index in ctx.done:
            continue
        rows: list[Told] = ctx.account(segment)
        rows += [(segment.name, n, None, None, None, "structural", "", WHY) for n, raw in enumerate(segment.fields) if n and raw]
    rf1 = ctx.message.named("RF1")[0]
    for number, kind in NUMBERS:
        ctx.segment, ctx.number = rf1, number
        ctx.asked += [found for repetition in rf1.repetitions(number) if (found := ei_identifier(repetition, ctx, kind))]
    if not ctx.asked:
        ctx.findings.append(Finding("error", "101", "the question names no referral", rf1.where(6)))
