"""Questions to payers as files in a folder, and the answers they lay down there.

FOLDER/out    our questions (*.270); the other side takes them away
FOLDER/in     its answers; each is read once and moved to FOLDER/in/taken
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from fhir_gateway.events import event
from fhir_gateway.pipeline.delivery import Delivery, Outcome

TAKEN: Final = "taken"
QUIET: Final = 2.0
"""Seconds a file must not have been written to before it is read: some write into the folder itself instead of moving a whole file there."""
LARGEST: Final = 16 * 1024 * 1024
_UNFINISHED: Final = (".part", ".tmp", ".filepart")


def carry(delivery: Delivery, seconds: float) -> Outcome:
    """Lay a question down, whole or not at all. The answer comes later, by `Folders`."""
    path = Path(delivery.address)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(delivery.body)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as fault:
        return Outcome(good=False, error=type(fault).__name__)
    return Outcome(good=True)


class Folders:
    """Picks up answers. A round reads every file that is whole and gives it on, once: what is given twice because we crashed changes nothing."""

    def __init__(self, folders: Callable[[], Iterable[tuple[str, str]]], take: Callable[[str, str, bytes], None], quiet: float = QUIET) -> None:
        """folders: (payer, folder) as configured now. take: is given the payer, the file's name and its content."""
        self._folders, self._take, self._quiet = folders, take, quiet

    def round(self) -> int:
        """0: a full round is not followed by another at once, as the files that stay could not be taken."""
        for payer, folder in self._folders():
            try:
                files = sorted((Path(folder) / "in").iterdir())
            except OSError as fault:
                event("payer-folder-failed", "warning", payer=payer, error=type(fault).__name__)
                continue
            for file in files:
                try:
                    self._read(payer, file)
                except OSError as fault:  # one that can't be read or moved must not hold up the others
                    event("payer-folder-failed", "warning", payer=payer, error=type(fault).__name__)
        return 0

    def _read(self, payer: str, file: Path) -> None:
        if file.is_symlink() or not file.is_file() or file.name.startswith(".") or file.suffix in _UNFINISHED:
            return
        if time.time() - file.stat().st_mtime < self._quiet:
            return
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
        self._take(payer, file.name, content)
        taken = file.parent / TAKEN
        taken.mkdir(exist_ok=True)
        file.replace(taken / file.name)
