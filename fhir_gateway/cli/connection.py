"""The gateway's own database from the command line, without a running server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from fhir_gateway.cli.terminal import stop
from fhir_gateway.coverage.payer import PayerError
from fhir_gateway.errors import GatewayError
from fhir_gateway.events import configure
from fhir_gateway.pipeline import Gateway
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store.errors import StoreError

STAFF = Principal("administrator", name="command-line")


@contextmanager
def gateway(*, anywhere: bool = False) -> Iterator[Gateway]:
    """The gateway over the configured database; faults end the command with a sentence. anywhere: over an empty one where there is none."""
    settings = Settings()
    configure("warning")
    with ThreadPoolExecutor(1) as executor, TemporaryDirectory() as folder:
        try:
            opened = Gateway(settings, executor)
            if anywhere and not opened.store.ready():
                opened = Gateway(settings.model_copy(update={"database_url": f"sqlite:///{folder}/empty.db"}), executor)
                opened.store.upgrade()
            if not opened.store.ready():
                stop("The database is not there, or not at this version's schema; run: fhir-gateway db upgrade")
            yield opened
            opened.stop()
        except GatewayError as fault:
            stop("\n".join(f"{issue.expression} {issue.text}".strip() for issue in fault.issues))
        except PayerError as fault:
            stop("\n".join(map(str, fault.faults)))
        except StoreError as fault:
            stop(str(fault))
