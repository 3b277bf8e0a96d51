"""The addresses of pages for people."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from fhir_gateway.security.request import principal_of

router = APIRouter()
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@router.get("/cases/{name}/letter", summary="The printable letter that asks for what is missing")
async def letter(request: Request, name: str) -> Response:
    """HTML with a print style; nothing in it runs and nothing is loaded from elsewhere."""
    principal, gateway = principal_of(request), request.app.state.gateway
    page = await asyncio.get_running_loop().run_in_executor(gateway.executor, lambda: gateway.letter(principal, name))
    return HTMLResponse(page, headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-store"})
