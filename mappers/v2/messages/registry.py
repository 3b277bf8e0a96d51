"""Which message types there are: one line each.

To add one: a module in this folder with a function `(Context) -> Draft | None` (the draft the MessageHeader points at), a line here, a folder in
`fixtures/v2/<type>/`. Types and events follow tables 0076 and 0003. What is not listed is refused (AR 200 or 201), never acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from mappers.result import Draft, EventKind
from mappers.v2.context import Context
from mappers.v2.messages.ack import map_answer
from mappers.v2.messages.adt_a01 import map_visit
from mappers.v2.messages.adt_a40 import map_link, map_merge, map_unlink
from mappers.v2.messages.adt_a47 import map_renumbered
from mappers.v2.messages.mdm_t02 import map_document
from mappers.v2.messages.orm_o01 import map_orders
from mappers.v2.messages.oru_r01 import map_results
from mappers.v2.messages.osu_o51 import map_status
from mappers.v2.messages.pin_i07 import map_enquiry, map_insurance
from mappers.v2.messages.ppr_pc1 import map_problems
from mappers.v2.messages.ref_i12 import map_referral
from mappers.v2.messages.ref_i15 import map_question
from mappers.v2.messages.rqa_i08 import map_answer as map_authorisation
from mappers.v2.messages.rqa_i08 import map_request
from mappers.v2.messages.rri_i12 import map_reply
from mappers.v2.messages.siu_s12 import map_appointment


class MessageType(NamedTuple):
    """How one event is mapped, the segments without which it means nothing (refused AE 100), and what it does to the case."""

    map: Callable[[Context], Draft | None]
    required: tuple[str, ...] = ("PID",)
    event: EventKind | None = None


_SCHEDULED: Final = ("SCH", "PID")
_VISITS: Final = (
    *("A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08", "A09", "A10", "A11", "A12", "A13", "A14", "A15", "A16"),
    *("A25", "A26", "A27", "A28", "A31", "A38", "A60"),
)

_ASKED: Final = ("I08", "I09", "I10", "I11")
ANY: Final = ""
"""The event of a message type whose every event is mapped alike."""

MESSAGES: Final = {
    ("ACK", ANY): MessageType(map_answer, ("MSA",)),
    ("REF", "I12"): MessageType(map_referral, event="refer"),
    ("REF", "I13"): MessageType(map_referral, event="modify"),
    ("REF", "I14"): MessageType(map_referral, event="cancel"),
    ("REF", "I15"): MessageType(map_question, ("RF1",), "status"),
    **{("ADT", event): MessageType(map_visit) for event in _VISITS},
    ("ADT", "A24"): MessageType(map_link),
    ("ADT", "A37"): MessageType(map_unlink),
    ("ADT", "A40"): MessageType(map_merge, ("PID", "MRG")),
    **{("MDM", f"T{number:02}"): MessageType(map_document, ("PID", "TXA")) for number in range(1, 12)},
    ("ADT", "A47"): MessageType(map_renumbered, ("PID", "MRG")),
    ("ORM", "O01"): MessageType(map_orders),
    ("OMG", "O19"): MessageType(map_orders),
    ("OML", "O21"): MessageType(map_orders),
    ("OSU", "O51"): MessageType(map_status, ("PID", "ORC")),
    **{("ORU", event): MessageType(map_results) for event in ("R01", "R30", "R31", "R32")},  # R30 to R32: at the point of care
    ("PIN", "I07"): MessageType(map_insurance),
    **{("PPR", event): MessageType(map_problems, ("PID", "PRB")) for event in ("PC1", "PC2", "PC3")},
    ("RPI", "I01"): MessageType(map_insurance),
    ("RQI", "I01"): MessageType(map_enquiry),
    **{("RQA", event): MessageType(map_request) for event in _ASKED},
    **{("RPA", event): MessageType(map_authorisation) for event in _ASKED},
    **{("RRI", event): MessageType(map_reply, ("RF1", "PID")) for event in ("I12", "I13", "I14", "I15")},
    ("SIU", "S12"): MessageType(map_appointment, _SCHEDULED, "book"),
    ("SIU", "S13"): MessageType(map_appointment, _SCHEDULED, "reschedule"),
    ("SIU", "S14"): MessageType(map_appointment, _SCHEDULED, "modify"),
    ("SIU", "S15"): MessageType(map_appointment, _SCHEDULED, "cancel"),
    ("SIU", "S17"): MessageType(map_appointment, _SCHEDULED, "cancel"),  # deleted: booked in error
    ("SIU", "S26"): MessageType(map_appointment, _SCHEDULED, "noshow"),
}
