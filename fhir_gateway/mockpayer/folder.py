"""Questions as files in one folder, answers as files in another, as a clearing house would exchange them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

from fhir_gateway.mockpayer.book import Book
from fhir_gateway.mockpayer.x12 import answers
from mappers.x12 import X12Error


def answer_all(book: Book, questions: Path, replies: Path) -> int:
    """Answer and remove every question there is; how many files. What is no 270 is set aside as `.refused`."""
    done = 0
    for file in sorted(questions.glob("*.270")):
        try:
            said = b"".join(body for _, body in answers(file.read_bytes(), book, "file", datetime.now(UTC)))
        except X12Error:
            file.rename(file.with_suffix(".refused"))
            continue
        if said:
            part = replies / f".{file.stem}.part"
            part.write_bytes(said)
            part.rename(replies / f"{file.stem}.271")
        file.unlink()
        done += 1
    return done


class Watch:
    """Looks into the folder again and again, in a thread of its own."""

    def __init__(self, book: Book, questions: Path, replies: Path, beat: float = 0.5) -> None:
        """beat: seconds between two looks."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(book, questions, replies, beat), name="mock-payer-folder", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the look under way."""
        self._stop.set()
        self._thread.join(10)

    def _run(self, book: Book, questions: Path, replies: Path, beat: float) -> None:
        while not self._stop.wait(beat):
            answer_all(book, questions, replies)
