"""The FHIR channel: a question to a payer's server, and its answer (`coverage.exchange`)."""

from __future__ import annotations

from typing import Any, Final

from fhir_gateway.coverage.exchange import AnswerError, answer, question
from fhir_gateway.coverage.payer import FhirChannel
from fhir_gateway.pipeline.delivery import BackendSignIn, Delivery, Unsendable
from fhir_gateway.pipeline.enquiry import Asking
from fhir_gateway.pipeline.traces import trace_of
from fhir_gateway.settings import Settings
from fhir_gateway.validation import InvalidResourceError, decode, encode, validate
from profiles.x12codes import Codes

Json = dict[str, Any]
FHIR: Final = "application/fhir+json"
ANSWER_BYTES: Final = 1024 * 1024


def sign_in(channel: FhirChannel) -> BackendSignIn | None:
    """How the server is told who we are; None for one that wants no token."""
    if not channel.token_url:
        return None
    return BackendSignIn(channel.token_url, channel.client_id, channel.key_file, channel.key_id, channel.scope)


def prepare(asked: Asking, settings: Settings) -> Delivery:
    """The question on its way. Raises Unsendable."""
    channel = asked.payer.fhir
    if channel is None:
        raise Unsendable("the payer's FHIR channel is not configured")
    payer = {"name": asked.payer.title}
    numbers = [{name: text for name, text in (("system", one.system), ("value", one.value)) if text} for one in asked.payer.identifiers]
    body = question(
        asked.request,
        [held for _, held in asked.coverages],
        asked.patient,
        subscriber=asked.subscriber,
        payer=payer | ({"identifier": numbers} if numbers else {}),
        clinic=settings.clinic_name,
        npi=settings.clinic_npi,
        number=trace_of(asked.key),
    )
    return Delivery(
        "http",
        f"{channel.base}/CoverageEligibilityRequest/$submit",
        encode(body),
        {"Content-Type": FHIR, "Accept": FHIR},
        answer_bytes=ANSWER_BYTES,
        seconds=asked.payer.seconds,
        sign_in=sign_in(channel),
    )


def read(raw: bytes, kind: str, asked: Asking, codes: Codes) -> Json:
    """The answer. Raises AnswerError."""
    try:
        body = decode(raw)
    except InvalidResourceError as fault:
        raise AnswerError(_said(fault.issues)) from None
    issues = [issue for issue in validate(body) if issue.severity in ("fatal", "error")]
    if issues:
        raise AnswerError(_said(issues))
    members = {str(held["subscriberId"]) for _, held in asked.coverages if held.get("subscriberId")}
    members |= {str(one["value"]) for _, held in asked.coverages for one in held.get("identifier", ()) if one.get("value")}
    return answer(body, trace_of(asked.key), frozenset(members), codes)


def _said(issues: Any) -> str:
    """Where, and nothing of what stands there: it may be about a person."""
    places = list(dict.fromkeys(issue.expression or "the body" for issue in issues))
    return "wrong at " + ", ".join(places[:5]) + (" and more" if len(places) > 5 else "")
