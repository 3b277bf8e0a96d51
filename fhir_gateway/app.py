"""The one place where objects are wired: settings → store, pipeline, listeners, web application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from fhir_gateway import health, middleware
from fhir_gateway.errors import GatewayError
from fhir_gateway.events import configure, event
from fhir_gateway.hl7v2 import carrier
from fhir_gateway.hl7v2 import http as hl7v2_http
from fhir_gateway.hl7v2.mllp import Limits, MllpListener, server_tls
from fhir_gateway.outbound import channels, folders
from fhir_gateway.outbound.sender import Sender
from fhir_gateway.outbound.worker import Worker
from fhir_gateway.pages import routes as pages
from fhir_gateway.pipeline import Gateway
from fhir_gateway.rest import routes
from fhir_gateway.settings import Settings

CARRIERS: Final = {"http": channels.carry, "mllp": carrier.carry, "folder": folders.carry}
"""Every way out, by channel: a new one is one function and its line here."""


def build(settings: Settings, *, host: str = "127.0.0.1", mllp_port: int | None = None, clock: Callable[[], datetime] | None = None) -> FastAPI:
    """The whole service as one ASGI application; MLLP listens while it runs when a port is given (0: any free one). clock: what time it is, aware."""
    executor = ThreadPoolExecutor(settings.threads, thread_name_prefix="gateway")
    gateway = Gateway(settings, executor, clock)
    gateway.submission.carriers.update(CARRIERS)
    sender = Sender(gateway.outgoing, CARRIERS, settings.send_seconds)
    mail = folders.Folders(gateway.answer_files.folders, gateway.answer_files.take)
    rounds = {"evaluate": lambda: gateway.evaluate_due(100), "send": sender.round, "codes": gateway.codework.round, "folders": mail.round}
    worker = Worker(rounds, settings.worker_seconds)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(executor, gateway.start)
        if mllp_port is not None:
            app.state.listener = _listener(gateway, executor, settings)
            await app.state.listener.start(host, mllp_port, shared=settings.workers > 1)
        worker.start()
        app.state.ready = True
        event("started", http=host, mllp=app.state.listener.port if app.state.listener else None, database=gateway.store.dialect)
        try:
            yield
        finally:
            app.state.ready = False
            if app.state.listener is not None:
                await app.state.listener.stop()
            await loop.run_in_executor(executor, worker.stop)
            await loop.run_in_executor(executor, gateway.stop)
            executor.shutdown(wait=True)
            event("stopped")

    # Its telemetry would carry addresses with their queries, and the texts of faults: both may be about people.
    silent: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
    bare: dict[str, Any] = {"docs_url": None, "redoc_url": None, "openapi_url": None, "redirect_slashes": False}
    app = FastAPI(title="Second Opinion Gateway", lifespan=lifespan, telemetry=silent, **bare)
    app.state.gateway, app.state.worker, app.state.listener, app.state.ready = gateway, worker, None, False
    app.add_middleware(middleware.RequestFrame, seconds=settings.request_seconds)
    app.add_exception_handler(GatewayError, middleware.on_error)
    app.add_exception_handler(404, middleware.on_unknown_path)
    app.add_exception_handler(405, middleware.on_unknown_method)
    for part in (routes, health, hl7v2_http, pages):
        app.router.routes.extend(part.router.routes)  # not included: an included router is searched twice for each request
    return app


def from_environment() -> FastAPI:
    """The application as `serve` runs it, in this or a worker process: every setting from the environment."""
    settings = Settings()
    configure(settings.log_level)
    return build(settings, host=settings.host, mllp_port=settings.mllp_port)


def _listener(gateway: Gateway, executor: ThreadPoolExecutor, settings: Settings) -> MllpListener:
    limits = Limits(settings.message_bytes, settings.mllp_connections, settings.mllp_idle_seconds, settings.mllp_stall_seconds)
    tls = None
    if settings.mllp_tls_cert and settings.mllp_tls_key:
        tls = server_tls(settings.mllp_tls_cert, settings.mllp_tls_key, settings.mllp_tls_ca)
    return MllpListener(gateway, executor, limits, tls)
