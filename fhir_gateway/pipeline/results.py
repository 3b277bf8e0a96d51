"""What the pipeline answers the edges with."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from fhir_gateway.store import Stored


@dataclass(frozen=True, slots=True)
class Written:
    """A resource as it stands after a write. created: it did not exist (or was deleted) before. changed: a new version was stored."""

    stored: Stored
    created: bool
    changed: bool = True


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A kept message: `Binary/<inbox id>` over FHIR (ADR 0009)."""

    id: str
    content: bytes
    content_type: str

    def as_resource(self) -> dict[str, Any]:
        """The FHIR Binary."""
        data = base64.b64encode(self.content).decode()
        return {"resourceType": "Binary", "id": self.id, "contentType": self.content_type, "data": data}
