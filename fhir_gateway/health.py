"""`/healthz`, `/readyz` and `/metrics`: is it alive, may traffic come, how is it doing."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from fhir_gateway import metrics

router = APIRouter()


@router.get("/healthz", summary="Is the process alive?")
async def alive() -> Response:
    """Answers whenever the event loop turns."""
    return JSONResponse({"status": "alive"})


@router.get("/readyz", summary="May traffic be sent here?")
async def ready(request: Request) -> Response:
    """200 only when recovery is done, the database answers at the right migration, and listener and worker run."""
    state = request.app.state
    loop = asyncio.get_running_loop()
    database, backlog = await loop.run_in_executor(state.gateway.executor, state.gateway.health)
    parts = {
        "recovered": bool(state.ready),
        "database": database,
        "mllp": state.listener is None or state.listener.listening,
        "worker": state.worker.alive,
    }
    good = all(parts.values())
    return JSONResponse({"status": "ready" if good else "not-ready", "parts": parts, "backlog": backlog}, 200 if good else 503)


@router.get("/metrics", summary="Prometheus")
async def measured() -> Response:
    """Counters and histograms, labelled by codes only."""
    return PlainTextResponse(metrics.text(), media_type=metrics.CONTENT_TYPE)
