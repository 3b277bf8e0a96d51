"""The token endpoint: a client assertion signed with a private key for an access token.

Source: SMART App Launch 2.2, Backend Services and asymmetric client authentication (private_key_jwt): RS384 or ES384, `iss` and `sub` the client,
`aud` this endpoint, `exp` at most five minutes ahead, each `jti` once.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from jwt.types import Options

Json = dict[str, Any]
ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST: Final = 300
LIFE: Final = 300
"""Seconds an access token holds."""


class SignInError(ValueError):
    """A request for a token that is refused; its words are the `error` code of RFC 6749."""


@dataclass(slots=True)
class SignIn:
    """key: PEM of the public key of the only client, b"" where everybody is let in. client: its id."""

    key: bytes = b""
    client: str = ""
    _tokens: dict[str, float] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def token(self, form: dict[str, str], address: str) -> Json:
        """The answer to a form of the token endpoint. Raises SignInError."""
        if form.get("grant_type") != "client_credentials":
            raise SignInError("unsupported_grant_type")
        if form.get("client_assertion_type") != ASSERTION or not form.get("scope"):
            raise SignInError("invalid_request")
        self._check(form.get("client_assertion", ""), address)
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[token] = time.time() + LIFE
        return {"access_token": token, "token_type": "bearer", "expires_in": LIFE, "scope": form["scope"]}

    def admits(self, authorization: str) -> bool:
        """May this `Authorization` ask? Everybody may where no key is configured."""
        if not self.key:
            return True
        scheme, _, token = authorization.partition(" ")
        with self._lock:
            return scheme.lower() == "bearer" and self._tokens.get(token, 0.0) > time.time()

    def forget(self) -> None:
        """Every token given so far holds no more."""
        with self._lock:
            self._tokens.clear()

    def _check(self, assertion: str, address: str) -> None:
        try:
            wanted: Options = {"require": ["iss", "sub", "aud", "exp", "jti"]}
            claims = jwt.decode(assertion, self.key.decode(), algorithms=["RS384", "ES384"], audience=address, options=wanted)
            kid = jwt.get_unverified_header(assertion).get("kid")
        except (jwt.PyJWTError, ValueError):
            raise SignInError("invalid_client") from None
        with self._lock:
            fresh = claims["jti"] not in self._seen
            self._seen.add(claims["jti"])
        if not (fresh and kid and claims["iss"] == claims["sub"] == self.client and claims["exp"] <= time.time() + LONGEST + 5):
            raise SignInError("invalid_client")
