"""Saying things on a terminal: results on stdout, everything else on stderr; faults in a sentence, never a stack trace."""

from __future__ import annotations

import sys
from typing import Any, Final, NoReturn, TextIO

import typer
from rich.console import Console

PLAIN_WIDTH: Final = 170
"""Columns of a table that goes to a file or a pipe; a terminal says its own width."""


def _console(stream: TextIO, *, stderr: bool = False) -> Console:
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else PLAIN_WIDTH)


out = _console(sys.stdout)
err = _console(sys.stderr, stderr=True)


def write(text: str | bytes) -> None:
    """A result, exactly as it is, on stdout."""
    sys.stdout.buffer.write(text.encode() if isinstance(text, str) else text)
    sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


def stop(sentence: str, code: int = 1) -> NoReturn:
    """End the command with a sentence."""
    err.print(sentence, style="red", markup=False)
    raise typer.Exit(code)


def note(sentence: Any) -> None:
    """Progress or explanation, on stderr."""
    err.print(sentence)
