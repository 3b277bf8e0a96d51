"""The gateway's own database from the command line, without a running server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from fhir_gateway.cli.terminal import stop
from fhir_gateway.errors import GatewayError
from fhir_gateway.events import configure
from fhir_gateway.pipeline import Gateway
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store.errors import StoreError

STAFF = Principal("administrator", name="command-line")


@contextmanager
def gateway() -> Iterator[Gateway]:
    """The gateway over the configured database; faults end the command with a sentence."""
    settings = Settings()
    configure("warning")
    with ThreadPoolExecutor(1) as executor:
        try:
            opened = Gateway(settings, executor)
            if not opened.store.ready():
                stop("The database is not there, or not at this version's schema; run: fhir-gateway db upgrade")
            yield opened
            opened.stop()
        except (GatewayError, StoreError) as fault:
            stop(str(fault))
