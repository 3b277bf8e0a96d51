"""`fhir-gateway reindex`: rebuild what is derived from the stored resources."""

from __future__ import annotations

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from fhir_gateway.cli.connection import gateway
from fhir_gateway.cli.terminal import err, out


def reindex() -> None:
    """Rebuild search and record rows from the stored resources, after search parameters have changed. May run beside a server; repeating it is safe."""
    with gateway() as opened, Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=err, transient=True) as shown:
        task = shown.add_task("", total=opened.store.size())
        done = opened.store.reindex(opened.clock(), progress=lambda count: shown.update(task, completed=count))
    out.print(f"{done} resources reindexed")
