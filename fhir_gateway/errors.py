"""One tree of errors; each knows how every entrance says it.

    GatewayError
    ├── SignInError              401  nobody has shown who they are
    ├── NotFoundError            404  no such resource, or none that this principal may know of
    │   └── GoneError            410  it was deleted
    ├── UnreadableError          400  the bytes are not what they claim to be
    ├── InvalidError             422  readable, but against the rules (carries located issues)
    ├── UnknownParameterError    400  a search parameter or modifier that does not exist
    ├── UnsupportedError         405  a known thing that is not done here
    ├── MediaTypeError           415  a body in a format not read here
    ├── NotAcceptableError       406  an answer in a format not written here
    ├── PreconditionError        412  If-Match names another version than the current one
    │   └── SeveralMatchesError  412  a condition that may mean one resource means several
    ├── ConflictError            409  lost a race, or would break something that hangs on it
    ├── TransitionError          422  a case may not move that way (names the ways it may)
    └── TooLargeError            413  over a limit

`http`: status. `issue`: OperationOutcome.issue.code. `ack`: MSA-1. `v2_0357`: ERR-3. Issues are collected and answered once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from fhir_gateway.validation import Issue


class GatewayError(Exception):
    """What went wrong, where, in words a person can act on; never with patient data in the words."""

    http: ClassVar[int] = 500
    issue: ClassVar[str] = "exception"
    ack: ClassVar[Literal["AE", "AR"]] = "AE"
    v2_0357: ClassVar[str] = "207"

    def __init__(self, text: str, expression: str = "", *, issues: Sequence[Issue] = ()) -> None:
        super().__init__(text)
        self.text = text
        self.issues: tuple[Issue, ...] = tuple(issues) or (Issue("error", self.issue, text, expression),)


class SignInError(GatewayError):
    http, issue = 401, "login"


class NotFoundError(GatewayError):
    http, issue, v2_0357 = 404, "not-found", "204"


class GoneError(NotFoundError):
    http, issue = 410, "deleted"


class UnreadableError(GatewayError):
    http, issue, v2_0357 = 400, "structure", "100"


class InvalidError(GatewayError):
    http, issue, v2_0357 = 422, "invalid", "102"


class UnknownParameterError(GatewayError):
    http, issue = 400, "not-supported"


class UnsupportedError(GatewayError):
    http, issue, ack, v2_0357 = 405, "not-supported", "AR", "200"


class MediaTypeError(GatewayError):
    http, issue = 415, "not-supported"


class NotAcceptableError(GatewayError):
    http, issue = 406, "not-supported"


class PreconditionError(GatewayError):
    http, issue = 412, "conflict"


class SeveralMatchesError(PreconditionError):
    issue = "multiple-matches"


class ConflictError(GatewayError):
    http, issue, v2_0357 = 409, "conflict", "206"


class TransitionError(GatewayError):
    http, issue = 422, "business-rule"


class NotTheClinicError(GatewayError):
    """What the clinic asks for, and what a sender's codes mean here, is the clinic's to say."""

    http, issue = 403, "forbidden"


class NotOpenError(GatewayError):
    """What a payer may not ask or do, whatever is held."""

    http, issue = 403, "forbidden"


class TooLargeError(GatewayError):
    http, issue, ack = 413, "too-long", "AR"


def operation_outcome(issues: Sequence[Issue]) -> dict[str, Any]:
    """An OperationOutcome resource from issues; `expression` only where one is known."""
    made: list[dict[str, Any]] = []
    for issue in issues:
        entry: dict[str, Any] = {"severity": issue.severity, "code": issue.code, "diagnostics": issue.text}
        if issue.expression:
            entry["expression"] = [issue.expression]
        made.append(entry)
    if not made:
        made.append({"severity": "information", "code": "informational", "diagnostics": "Nothing to report"})
    return {"resourceType": "OperationOutcome", "issue": made}
