"""How a payer is asked by machine: one line per channel.

A channel says what goes out and what the bytes that come back mean; carrying them is `outbound`'s. The rules channel is none of these: it answers in the
transaction that asks (`pipeline.enquiry`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from fhir_gateway.coverage.exchange import AnswerError as AnswerError
from fhir_gateway.pipeline import payerfhir, payerx12
from fhir_gateway.pipeline.delivery import Delivery
from fhir_gateway.pipeline.enquiry import Asking
from fhir_gateway.settings import Settings
from profiles.x12codes import Codes

Json = dict[str, Any]


class Channel(NamedTuple):
    """prepare: the one Delivery of a question; raises Unsendable. read: the CoverageEligibilityResponse in an answer's bytes (and media type), without
    what `pipeline.eligibility` adds (request, patient, insurer, raw answer, channel); raises AnswerError.
    """

    prepare: Callable[[Asking, Settings], Delivery]
    read: Callable[[bytes, str, Asking, Codes], Json]


CHANNELS: Final[dict[str, Channel]] = {
    "fhir": Channel(payerfhir.prepare, payerfhir.read),
    "x12": Channel(payerx12.prepare, payerx12.read),
}
