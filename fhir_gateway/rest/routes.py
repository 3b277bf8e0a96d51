"""Every address of the FHIR API, in the order in which they are tried: operations and histories before what would take their names for ids."""

from __future__ import annotations

from fastapi import APIRouter

from fhir_gateway.rest import instances, operations, system, types

router = APIRouter()
for part in (system, operations, types, instances):
    router.routes.extend(part.router.routes)
