"""HL7 v2 on its way out: one message over MLLP, and what it was acknowledged with."""

from __future__ import annotations

import ssl

from fhir_gateway.hl7v2.client import MllpClient
from fhir_gateway.pipeline.delivery import Delivery, Outcome
from mappers import v2
from mappers.result import Refused


def carry(delivery: Delivery, seconds: float) -> Outcome:
    """Carry one delivery; never raises for what the other side does. AR and CR are final, AE may pass."""
    host, _, port = delivery.address.rpartition(":")
    try:
        tls = ssl.create_default_context() if delivery.tls else None
        with MllpClient(host, int(port), tls=tls, timeout=seconds) as client:
            code = v2.read_ack(client.exchange(delivery.body)).code
    except (OSError, ValueError) as fault:
        return Outcome(good=False, error=type(fault).__name__)
    except Refused:
        return Outcome(good=False, error="the answer is no acknowledgement")
    if code in ("AA", "CA"):
        return Outcome(good=True)
    return Outcome(good=False, error=f"acknowledged {code[:2]}", final=code in ("AR", "CR"))
