"""Saying who we are to another side: SMART Backend Services, or a user's password or token that the operator has laid down.

Secrets are read when they are needed and held nowhere; access tokens are held until shortly before their end. Source: SMART App Launch 2.2, Backend
Services, and asymmetric client authentication (private_key_jwt, RFC 7523): RS384 or ES384, `exp` at most five minutes ahead, `jti` never twice.
"""

from __future__ import annotations

import base64
import json
import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fhir_gateway.outbound.bounded import TooLongError, post
from fhir_gateway.pipeline.delivery import BackendSignIn, SecretSignIn
from mappers.x12 import core

ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS: Final = 240
TOKEN_BYTES: Final = 64 * 1024
EARLY: Final = 30.0
"""Seconds before its end a token is not used any more."""
USUAL_LIFE: Final = 300.0
"""Seconds a token holds whose answer does not say (SMART: expires_in should be at most 300)."""


class SignInError(Exception):
    """We could not say who we are; in words, without the secret."""


@dataclass(slots=True)
class SignIns:
    """Access tokens held, for every thread that sends. clock: seconds, for how long a token holds."""

    clock: Callable[[], float] = time.time
    _held: dict[BackendSignIn, tuple[str, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def authorization(self, sign_in: BackendSignIn | SecretSignIn, seconds: float) -> str:
        """The value of the Authorization header. seconds: how long the token endpoint may take. Raises SignInError."""
        if isinstance(sign_in, SecretSignIn):
            return _secret(sign_in)
        with self._lock:
            token, until = self._held.get(sign_in, ("", 0.0))
        if not token or self.clock() >= until - EARLY:
            token, life = _token(sign_in, _assertion(sign_in, time.time()), seconds)
            with self._lock:
                self._held[sign_in] = (token, self.clock() + life)
        return f"Bearer {token}"

    def enveloped(self, sign_in: SecretSignIn, kind: str, body: bytes) -> bytes:
        """A CORE envelope with user and password in it. Raises SignInError."""
        try:
            return core.signed(kind, body, sign_in.user, _read_secret(sign_in))
        except core.CoreError as fault:
            raise SignInError(str(fault)) from None

    def forget(self, sign_in: BackendSignIn | SecretSignIn) -> bool:
        """A token was refused: is there any use in trying once more, with a new one?"""
        with self._lock:
            return isinstance(sign_in, BackendSignIn) and self._held.pop(sign_in, None) is not None


def _secret(sign_in: SecretSignIn) -> str:
    secret = _read_secret(sign_in)
    if not sign_in.user:
        return f"Bearer {secret}"
    return "Basic " + base64.b64encode(f"{sign_in.user}:{secret}".encode()).decode()


def _read_secret(sign_in: SecretSignIn) -> str:
    try:
        secret = os.environ[sign_in.variable] if sign_in.variable else Path(sign_in.file).read_text(encoding="utf-8").strip()
    except KeyError:
        raise SignInError("the environment variable with the secret is not set") from None
    except (OSError, UnicodeDecodeError) as fault:
        raise SignInError(f"the file with the secret can't be read: {type(fault).__name__}") from None
    if not secret or not secret.isprintable():
        raise SignInError("the secret is empty, or is no single line")
    return secret


def _assertion(sign_in: BackendSignIn, now: float) -> str:
    try:
        key = load_pem_private_key(Path(sign_in.key_file).read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as fault:
        raise SignInError(f"the private key can't be read: {type(fault).__name__}") from None
    claims = {"iss": sign_in.client_id, "sub": sign_in.client_id, "aud": sign_in.token_url, "jti": str(uuid.uuid4())}
    claims_at = {"iat": int(now), "exp": int(now) + ASSERTION_SECONDS}
    if isinstance(key, RSAPrivateKey):
        return jwt.encode({**claims, **claims_at}, key, "RS384", {"kid": sign_in.key_id})
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP384R1):
        return jwt.encode({**claims, **claims_at}, key, "ES384", {"kid": sign_in.key_id})
    raise SignInError("the private key is neither RSA nor on the curve P-384")


def _token(sign_in: BackendSignIn, assertion: str, seconds: float) -> tuple[str, float]:
    form = {"grant_type": "client_credentials", "scope": sign_in.scope, "client_assertion_type": ASSERTION, "client_assertion": assertion}
    try:
        status, _, said = post(sign_in.token_url, seconds, TOKEN_BYTES, {"Accept": "application/json"}, data=form)
    except (OSError, httpx.HTTPError, httpx.InvalidURL, TooLongError) as fault:
        raise SignInError(f"no token: {type(fault).__name__}") from None
    if status != 200:
        raise SignInError(f"no token: HTTP {status}")
    return _read(said or b"")


def _read(said: bytes) -> tuple[str, float]:
    """The token and how long it holds."""
    try:
        found: Any = json.loads(said)
        token, life = found["access_token"], float(found.get("expires_in", USUAL_LIFE))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SignInError("no token: the answer can't be read") from None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token or not token:
        raise SignInError("no token: the answer holds none that can be sent")
    return token, life
