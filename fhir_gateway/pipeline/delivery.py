"""One thing to carry to a partner, in bytes, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class BackendSignIn:
    """SMART Backend Services: a token of `token_url`, asked for with an assertion signed by the PEM key in `key_file` and named `key_id`."""

    token_url: str
    client_id: str
    key_file: str
    key_id: str
    scope: str


@dataclass(frozen=True, slots=True)
class SecretSignIn:
    """A secret from an environment variable, else from a file: the password of `user`, or a bearer token where there is no user.

    in_envelope: user and password travel in the CAQH CORE envelope (UserName, Password) instead of in a header.
    """

    user: str = ""
    variable: str = ""
    file: str = ""
    in_envelope: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """channel: http (POST to `address`), mllp (`address` is host:port), or another way out of `app.CARRIERS`. headers: of the HTTP request.

    tls: MLLP over TLS. answer_bytes: how much of the answer's body is wanted; 0: none is read. seconds: how long it may take, None for the usual time.
    sign_in: how the other side is told who we are; the secret itself is fetched when it is needed, and is held nowhere.
    """

    channel: str
    address: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    tls: bool = False
    answer_bytes: int = 0
    seconds: float | None = None
    sign_in: BackendSignIn | SecretSignIn | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a sending. final: trying again would not help. error: what went wrong, without patient data.

    answer, answer_type: the body that came back with its media type, where the delivery wanted one; of a refusal as well.
    retry_at: when to try again, instead of the usual time. retry_after: seconds the other side wants to be left alone for.
    """

    good: bool
    error: str = ""
    final: bool = False
    answer: bytes | None = None
    answer_type: str = ""
    retry_at: datetime | None = None
    retry_after: float | None = None


class Later(Exception):
    """What is asked may not be sent before `at`: the other side is left alone until then."""

    def __init__(self, at: datetime) -> None:
        super().__init__("left alone for a while")
        self.at = at


class Unsendable(Exception):
    """What is asked can't be sent at all; its words say why, for whoever asked."""
