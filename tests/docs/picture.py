"""The picture in the README: what `fhir-gateway case show` prints for the demo's case, drawn from a real run (`python -m tests.docs.picture`)."""

from __future__ import annotations

import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from rich.console import Console

from fhir_gateway.cli import cases, terminal
from fhir_gateway.pipeline import Gateway
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from tests.docs.generate import DOCS
from tests.stories import fixture

STAFF = Principal("administrator", name="picture")
NOW = datetime(2026, 9, 8, 15, 0, tzinfo=UTC)
SENT = (
    "v2/ref_i12/breast-second-opinion/input.hl7",
    "v2/oru_r01/pathology-pdf/input.hl7",
    "v2/oru_r01/cbc/input.hl7",
    "v2/siu_s12/consultation-booked/input.hl7",
)


def main() -> None:
    """Send the synthetic story and draw the case."""
    console = Console(record=True, width=150, highlight=False, file=tempfile.TemporaryFile("w"))  # noqa: SIM115 - drawn, not printed
    terminal.out = cases.out = console
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as executor:
        gateway = Gateway(Settings(database_url=f"sqlite:///{folder}/picture.db", auth="off"), executor, clock=lambda: NOW)
        gateway.store.upgrade()
        for name in SENT:
            list(gateway.receive_v2(fixture(name), "mllp", "picture"))
        gateway.receive_bundle(fixture("cases/breast/imaging-and-notes.json"), STAFF, "http://localhost/fhir")
        console.print("[dim]$[/] fhir-gateway case show REF-2026-0417\n")
        cases.print_case(gateway.case(STAFF, "REF-2026-0417", None))
        gateway.stop()
    drawn = console.export_svg(title="Second Opinion Gateway")
    (DOCS / "case.svg").write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
