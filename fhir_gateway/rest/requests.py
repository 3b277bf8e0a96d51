"""What a FHIR request asks for, read from its headers and query: preferences, conditions, the base address."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request

from fhir_gateway.errors import UnknownParameterError, UnreadableError
from fhir_gateway.pipeline.preconditions import Expected, Tags

Return = Literal["minimal", "representation", "OperationOutcome"]
RETURNS: Final[tuple[Return, ...]] = ("minimal", "representation", "OperationOutcome")
RESULT_PARAMETERS: Final = ("_format", "_pretty", "_totalMethod")
"""Parameters about the answer's looks, not about what is searched. `_totalMethod` is Aidbox's, sent by fhirpy's `count()`; the total it wants is given anyway."""
ABOUT_ANSWER: Final = (*RESULT_PARAMETERS, "_summary", "_elements", "_filename")
"""Parameters that have no part in a condition. `_filename` is Medplum's, sent with every upload of a file."""


def base_of(request: Request) -> str:
    """The FHIR base as this client wrote it, without a trailing slash: links are built from the request (a proxy's host included)."""
    host = request.headers.get("host")
    if host and not request.scope.get("root_path"):
        return f"{request.scope['scheme']}://{host}/fhir"
    return f"{str(request.base_url).rstrip('/')}/fhir"


def expected(request: Request) -> Expected | None:
    """If-Match and If-None-Match of a write. Raises PreconditionError for an If-Match that is nothing this server ever gave out."""
    return Expected.of(request.headers.get("if-match"), request.headers.get("if-none-match"))


def condition(request: Request) -> str | None:
    """If-None-Exist, or the query of the address, which is where fhirpy's `get_or_create` puts it (ADR 0029). None: create without looking.

    Raises UnreadableError when the header is there and empty, or says something else than the query: creating without looking is not what was asked.
    """
    given, query = request.headers.get("if-none-exist"), _asked(request)
    if given is None:
        return query or None
    if not given.strip():
        raise UnreadableError("If-None-Exist is empty; it must name at least one search parameter")
    if query:
        raise UnreadableError("The condition of a create stands in If-None-Exist or in the query of the address, not in both")
    return given


def query_condition(request: Request) -> str:
    """The query of a conditional update, patch or delete. Raises UnreadableError when there is none: it would mean every resource of the type."""
    query = _asked(request)
    if not query:
        raise UnreadableError("A write at the address of a type needs a condition: ?identifier=system|value, or another search")
    return query


def _asked(request: Request) -> str:
    return urlencode([(name, value) for name, value in request.query_params.multi_items() if name not in ABOUT_ANSWER])


def check_synchronous(request: Request) -> None:
    """Raises UnknownParameterError for a message that wants its answer later, at an address of the sender's."""
    later = request.query_params.get("async", "false").lower() != "false"
    if later or "response-url" in request.query_params:
        raise UnknownParameterError("Messages are answered at once, in the response to this request: leave out async and response-url")


def not_modified(request: Request, version: int, last_updated: datetime) -> bool:
    """Does the client hold this version already (If-None-Match, If-Modified-Since)?"""
    given = request.headers.get("if-none-match")
    if given is not None:
        return version in Tags.of(given)
    since = request.headers.get("if-modified-since")
    if since is not None:
        try:
            moment = parsedate_to_datetime(since)
        except (TypeError, ValueError):
            return False
        # RFC 9110 5.6.7: all three forms are times in UTC, and asctime's does not say so.
        return last_updated.replace(microsecond=0) <= (moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return False


def wanted_return(request: Request) -> Return:
    """Prefer: return=…; the whole resource when nothing is said."""
    return preferred_return(request) or "representation"


def preferred_return(request: Request) -> Return | None:
    """Prefer: return=…, None when nothing is said."""
    prefer = request.headers.get("prefer", "")
    for part in re.split(r"[;,]", prefer):
        name, _, value = part.strip().partition("=")
        if name.strip().lower() == "return":
            for choice in RETURNS:
                if value.strip().strip('"').lower() == choice.lower():
                    return choice
    return None


def lenient(request: Request) -> bool:
    """Prefer: handling=lenient, unknown search parameters are then ignored and named; strict is the default."""
    return "handling=lenient" in request.headers.get("prefer", "").replace(" ", "").lower()


def search_pairs(request: Request, body: bytes = b"") -> list[tuple[str, str]]:
    """Search parameters in the order given, from the address and from a POSTed form, without those about the answer's looks."""
    pairs = list(request.query_params.multi_items())
    if body:
        try:
            pairs += parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=1000)
        except (UnicodeDecodeError, ValueError):
            raise UnreadableError("The form of _search can't be read") from None
    return [(name, value) for name, value in pairs if name not in RESULT_PARAMETERS]
