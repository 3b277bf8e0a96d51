"""Signing in to a payer: SMART Backend Services over FHIR, secrets, and user and password in a CORE envelope."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fhir_gateway.mockpayer.signin import SignIn
from fhir_gateway.outbound import channels
from fhir_gateway.outbound.signin import SignInError, SignIns
from fhir_gateway.pipeline.delivery import BackendSignIn, Delivery, SecretSignIn
from mappers.x12 import core
from tests.coverage.conftest import CLIENT, Keys
from tests.mockpayer import MockPayer

Json = dict[str, Any]


def backend(payer: MockPayer, key: Path, **changes: str) -> BackendSignIn:
    return BackendSignIn(
        **{"token_url": f"{payer.base}/token", "client_id": CLIENT, "key_file": str(key), "key_id": "k1", "scope": "system/*.*", **changes}
    )


def asks(payer: MockPayer, sign_in: BackendSignIn | SecretSignIn | None, sign_ins: SignIns) -> Any:
    """One question over FHIR as the channel sends it."""
    request = {"resourceType": "CoverageEligibilityRequest", "status": "active", "purpose": ["benefits"]}
    delivery = Delivery(
        "http", f"{payer.base}/fhir/CoverageEligibilityRequest/$submit", json.dumps(request).encode(), answer_bytes=10_000, sign_in=sign_in
    )
    return channels.carry(delivery, 20, sign_ins)


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
def test_a_token_is_asked_for_once_and_used_until_shortly_before_its_end(payer: MockPayer, keys: Keys, algorithm: str) -> None:
    file, payer.signin.key = keys[algorithm]
    now = [time.time()]
    sign_ins, sign_in = SignIns(lambda: now[0]), backend(payer, file)
    first = sign_ins.authorization(sign_in, 20)
    assert asks(payer, sign_in, sign_ins).good and sign_ins.authorization(sign_in, 20) == first
    now[0] += 271
    assert sign_ins.authorization(sign_in, 20) != first


def test_a_token_the_payer_has_forgotten_is_asked_for_anew(payer: MockPayer, keys: Keys) -> None:
    file, payer.signin.key = keys["RS384"]
    sign_ins, sign_in = SignIns(), backend(payer, file)
    assert asks(payer, sign_in, sign_ins).good
    payer.signin.forget()
    assert asks(payer, sign_in, sign_ins).good


def test_who_can_not_sign_in_is_told_why_and_asks_again_later(payer: MockPayer, keys: Keys, tmp_path: Path) -> None:
    payer.signin.key = keys["RS384"][1]
    weak = tmp_path / "p256"
    weak.write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    file = keys["RS384"][0]
    for sign_in, why in (
        (backend(payer, keys["ES384"][0]), "no token: HTTP 401"),
        (backend(payer, file, client_id="somebody"), "no token: HTTP 401"),
        (backend(payer, file, token_url=f"{payer.base}/nothing"), "no token: HTTP 404"),
        (backend(payer, tmp_path / "none"), "the private key can't be read: FileNotFoundError"),
        (backend(payer, weak), "the private key is neither RSA nor on the curve P-384"),
        (None, "HTTP 401"),
    ):
        outcome = asks(payer, sign_in, SignIns())
        assert (outcome.good, outcome.error) == (False, why)
        assert outcome.final == (sign_in is None)


def test_an_assertion_is_good_for_five_minutes_and_once(keys: Keys) -> None:
    file, public = keys["RS384"]
    door, form = SignIn(public, CLIENT), {"grant_type": "client_credentials", "scope": "x"}
    claims = {"iss": CLIENT, "sub": CLIENT, "aud": "http://payer/token", "jti": "1", "exp": int(time.time()) + 240}

    def taken(**changes: Any) -> bool:
        assertion = jwt.encode({**claims, **changes}, file.read_bytes(), "RS384", {"kid": "k1"})
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        try:
            return bool(door.token({**form, "client_assertion_type": kind, "client_assertion": assertion}, "http://payer/token"))
        except ValueError:
            return False

    assert [taken(), taken(), taken(jti="2"), taken(jti="3", exp=int(time.time()) + 900), taken(jti="4", aud="http://other")] == [
        True,
        False,
        True,
        False,
        False,
    ]


def test_a_secret_is_read_where_the_operator_laid_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    monkeypatch.setenv("PAYER_SECRET", "from-environment")
    assert SignIns().authorization(SecretSignIn("clinic", file=str(tmp_path / "secret")), 1) == "Basic Y2xpbmljOnMzY3JldA=="
    assert SignIns().authorization(SecretSignIn(variable="PAYER_SECRET"), 1) == "Bearer from-environment"
    for missing in (SecretSignIn(variable="NOT_SET"), SecretSignIn(file=str(tmp_path / "none"))):
        with pytest.raises(SignInError):
            SignIns().authorization(missing, 1)


def test_user_and_password_may_stand_in_the_envelope(payer: MockPayer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYER_SECRET", "s3cret")
    kind, body = core.build(core.Message(b"ISA", core.REQUEST_270, "1", "2026-09-10T09:00:00Z", "CLINIC", "EXPAY"))
    sent = SignIns().enveloped(SecretSignIn("clinic", "PAYER_SECRET", in_envelope=True), kind, body)
    assert b'name="UserName"\r\n\r\nclinic\r\n' in sent and b'name="Password"\r\n\r\ns3cret\r\n' in sent
    assert core.read(kind, sent) == core.read(kind, body)
    with pytest.raises(SignInError, match="can't stand"):
        SignIns().enveloped(SecretSignIn("two\nlines", "PAYER_SECRET", in_envelope=True), kind, body)
