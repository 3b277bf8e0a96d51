"""RRI^I12…I15: what has become of a referral (chapter 11.3, structure RRI_I12).

I12 tells a sender unasked, or answers REF^I12; I14 confirms a withdrawal; I15 answers the question of REF^I15. RF1-1 says how the referral stands,
NTE why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from mappers.v2.write.er7 import Envelope, message
from mappers.v2.write.fields import table
from mappers.v2.write.segments import Standing, Subject, nte, pid, prd, rf1

Event = Literal["I12", "I13", "I14", "I15"]
WRITTEN_REPORT: Final = table("WR", "0282", "Send Written Report")
"""RF1-4 of a referral that ends with an opinion: the report is on its way."""


def rri(subject: Subject, standing: Standing, envelope: Envelope, *, event: Event = "I12", notes: Sequence[str] = (), report: bool = False) -> bytes:
    """How the referral stands. notes: reasons in words, one NTE each. report: a written report goes with it or follows (RF1-4 WR)."""
    providers = [prd("RP", subject.requester), prd("RT", subject.performer)]
    if not any(providers):  # at least one is required
        providers = [prd("RT", {"name": [{"text": envelope.sender.facility or envelope.sender.application}]})]
    parts = [rf1(subject, standing.referral, [WRITTEN_REPORT] if report else []), *providers, pid(subject.patient), *nte(notes)]
    return message(f"RRI^{event}", "RRI_I12", envelope, parts)
