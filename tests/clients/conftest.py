"""Client libraries nobody here wrote, unmodified, against the whole service on a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.server import Server

SYSTEM = "urn:x:clients"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The FHIR base of a server whose database starts empty."""
    with Server(f"sqlite:///{tmp_path_factory.mktemp('clients')}/clients.db") as server:
        yield f"{server.base}/fhir"


def patient(number: str, **more: Any) -> dict[str, Any]:
    """A made-up patient with one number."""
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": number}], "name": [{"family": "Marlowe"}], **more}


def referral(number: str) -> dict[str, Any]:
    """A transaction of a patient and the order for her second opinion, tied by a urn:uuid."""
    urn = "urn:uuid:0c6f1a52-5c1d-4d0e-9d0f-2f7b3a8f1c11"
    order = {
        "resourceType": "ServiceRequest",
        "identifier": [{"system": SYSTEM, "value": number}],
        "status": "active",
        "intent": "order",
        "code": {"coding": [{"system": "http://loinc.org", "code": "57133-1"}]},
        "subject": {"reference": urn},
    }
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": urn,
                "resource": patient(number),
                "request": {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier={SYSTEM}|{number}"},
            },
            {"resource": order, "request": {"method": "POST", "url": "ServiceRequest"}},
        ],
    }
