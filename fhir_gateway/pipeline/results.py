"""What the pipeline answers the edges with."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_gateway.cases.model import CaseFile, Json
from fhir_gateway.store import Stored
from fhir_gateway.store.cases import Case


@dataclass(frozen=True, slots=True)
class Written:
    """A resource as it stands after a write. created: it did not exist (or was deleted) before. changed: a new version was stored. hint: what its sender
    should know, "" for nothing.
    """

    stored: Stored
    created: bool
    changed: bool = True
    hint: str = ""


@dataclass(frozen=True, slots=True)
class After:
    """What a write meant for cases. cases: ServiceRequest ids of those judged. hints: what the sender should know about what it sent, by `Type/id`."""

    cases: tuple[str, ...] = ()
    hints: Mapping[str, str] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class Judged:
    """One case as just judged.

    case: as it stood before, with the flat answer of then (`case.evaluation`, None at the first judgement). after: the flat answer now. file: what it
    was judged from. task: the coordination Task as it stands now. tumour_group: name of the checklist.
    """

    case: Case
    after: Json
    file: CaseFile
    task: Stored | None
    tumour_group: str

    @property
    def before(self) -> Json | None:
        """The flat answer before this judgement."""
        return self.case.evaluation
