"""A payer that wants a sign-in over FHIR, and the keys to sign in with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from fhir_gateway.mockpayer.signin import SignIn
from tests.mockpayer import MockPayer, mock_payer

Json = dict[str, Any]
CLIENT = "second-opinion-gateway"
Keys = dict[str, tuple[Path, bytes]]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Private key file and public PEM by algorithm."""
    folder = tmp_path_factory.mktemp("keys")
    made: Keys = {}
    for name, key in (("RS384", rsa.generate_private_key(65537, 2048)), ("ES384", ec.generate_private_key(ec.SECP384R1()))):
        file = folder / name
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        made[name] = (file, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return made


@pytest.fixture(scope="module")
def payer(keys: Keys) -> Iterator[MockPayer]:
    """One that wants a sign-in over FHIR."""
    with mock_payer(signin=SignIn(keys["RS384"][1], CLIENT)) as made:
        yield made
