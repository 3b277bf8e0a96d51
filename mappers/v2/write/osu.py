"""OSU^O51: the status of an order changed, here of a referral (360X: accepted, declined, cancelled).

hl7apy has no OSU_O51 and version 2.5.1 neither: 360X takes it over from 2.8.2. The structure we write is MSH [MSA] {NTE} PID {ORC}.
"""

from __future__ import annotations

from collections.abc import Sequence

from mappers.v2.write.er7 import Envelope, message, stamp
from mappers.v2.write.segments import Standing, Subject, nte, orc, pid


def osu(subject: Subject, standing: Standing, envelope: Envelope, *, reason: str = "", effective: str = "", notes: Sequence[str] = ()) -> bytes:
    """The status change. reason: why, in words (ORC-16). effective: FHIR date or dateTime from which, or by which, it holds (ORC-15)."""
    order = orc(subject, standing, stamp(envelope.now), reason=reason, effective=effective)
    return message("OSU^O51", "OSU_O51", envelope, [*nte(notes), pid(subject.patient), order])
