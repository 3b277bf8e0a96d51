"""@medplum/core's MedplumClient and fhir-kit-client: small JavaScript programs in `js/`, run by Node's own test runner when Node is there.

Their packages are installed once for each lock file, into the user's cache folder, never into the repository. What can't be had is skipped, loudly;
with GATEWAY_REQUIRE_JAVASCRIPT=1 (set in `.ci/run`) the packages must be there wherever Node is.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).with_name("js")
NODE, NPM = shutil.which("node"), shutil.which("npm")


def installed() -> Path:
    """The folder with the packages of the lock file. Raises OSError or CalledProcessError when they can't be had."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "second-opinion-gateway"
    there = caches / f"js-{hashlib.sha256((PROGRAMS / 'package-lock.json').read_bytes()).hexdigest()[:16]}"
    if not there.is_dir():
        caches.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=caches) as making:
            made = Path(making) / "made"
            made.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(PROGRAMS / name, made)
            subprocess.run([str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=made, check=True, capture_output=True, timeout=90)
            made.rename(there)  # whole or not at all
    return there / "node_modules"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs beside their packages."""
    if NODE is None or NPM is None:
        pytest.skip("node and npm are not here: MedplumClient and fhir-kit-client are not run")
    try:
        packages = installed()
    except (OSError, subprocess.SubprocessError) as fault:
        if os.environ.get("GATEWAY_REQUIRE_JAVASCRIPT"):
            raise
        pytest.skip(f"npm ci failed ({type(fault).__name__}): MedplumClient and fhir-kit-client are not run")
    here = tmp_path_factory.mktemp("javascript")
    for program in PROGRAMS.glob("*.mjs"):
        shutil.copy(program, here)
    (here / "node_modules").symlink_to(packages)
    return here


@pytest.mark.parametrize("program", sorted(path.name for path in PROGRAMS.glob("*.test.mjs")))
def test_it_runs_unmodified(programs: Path, base: str, program: str) -> None:
    environment = {**os.environ, "FHIR_BASE": base}
    done = subprocess.run(
        [str(NODE), "--test", "--test-reporter=tap", program], cwd=programs, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    written = len(re.findall(r"^test\(", (PROGRAMS / program).read_text(encoding="utf-8"), re.MULTILINE))
    assert passed and int(passed[1]) == written, done.stdout
