"""The transcript in the README, made by running the commands (`python -m tests.docs.transcript`)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.docs.generate import DOCS
from tests.server import Server

ROOT = DOCS.parent
COMMANDS = (
    "fhir-gateway send fixtures/v2/ref_i12/breast-second-opinion/input.hl7 --mllp 127.0.0.1:{mllp}",
    "fhir-gateway send fixtures/v2/ref_i12/breast-second-opinion/input.hl7 --mllp 127.0.0.1:{mllp}   # again: nothing changes",
    "fhir-gateway send fixtures/v2/oru_r01/pathology-pdf/input.hl7 --url http://127.0.0.1:{http}/hl7v2",
    "fhir-gateway case list",
    "fhir-gateway case show REF-2026-0417 | head -12",
    "printf garbage | curl -s --data-binary @- -H 'Content-Type: application/hl7-v2' http://127.0.0.1:{http}/hl7v2 | tr '\\r' '\\n'",
)


def main() -> None:
    """Run the commands against a fresh server and put what they print into the README."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/transcript.db"
        with Server(url) as server:
            lines = ["$ GATEWAY_AUTH=off fhir-gateway serve &"]
            for command in COMMANDS:
                lines += _run(command.format(mllp=server.mllp_port, http=server.http_port), url)
    text = "\n".join(lines).replace(str(server.mllp_port), "2575").replace(str(server.http_port), "8080")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = f"<!-- transcript: made by `python -m tests.docs.transcript` -->\n```\n{text}\n```\n<!-- /transcript -->"
    (ROOT / "README.md").write_text(re.sub(r"<!-- transcript.*?/transcript -->", lambda _: block, readme, flags=re.DOTALL), encoding="utf-8")


def _run(command: str, url: str) -> list[str]:
    environment = {**os.environ, "GATEWAY_DATABASE_URL": url, "GATEWAY_AUTH": "off", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return [f"$ {command}", *(line.rstrip() for line in (done.stdout + done.stderr).splitlines())]


if __name__ == "__main__":
    main()
