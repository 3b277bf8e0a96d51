"""Every log line the gateway can write, in one catalogue: event → the fields it may carry. A privacy review reads this one file.

Fields are ids, codes, counts and times. Names, identifiers of people, free text of messages and URLs with queries never appear.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final, TextIO, cast

import structlog

EVENTS: Final[dict[str, tuple[str, ...]]] = {
    "started": ("http", "mllp", "database"),
    "stopped": (),
    "recovered": ("messages",),
    "message-received": ("inbox", "channel", "type", "bytes", "state", "code", "milliseconds"),
    "message-repeated": ("inbox", "channel"),
    "message-refused": ("inbox", "channel", "type", "code", "where"),
    "message-failed": ("inbox", "channel", "type", "error"),
    "message-too-large": ("inbox", "channel", "bytes", "limit"),
    "frame-broken": ("peer", "bytes", "why", "inbox"),
    "connection-opened": ("peer", "open"),
    "connection-closed": ("peer", "messages", "why"),
    "connection-refused": ("peer", "open", "why"),
    "case-opened": ("case", "confirmed"),
    "case-moved": ("case", "from_state", "to_state", "cause"),
    "case-evaluated": ("case", "open_items", "why"),
    "orphan-attached": ("patient", "case", "how"),
    "orphan-rejected": ("patient", "case"),
    "orphans-expired": ("records",),
    "request": ("method", "route", "status", "milliseconds"),
    "request-failed": ("method", "route", "error"),
    "not-delivered": ("job", "kind", "attempts", "error", "became"),
    "payer-answer-file": ("inbox", "payer", "answers", "unmatched"),
    "payer-folder-failed": ("payer", "error"),
    "worker-failed": ("task", "error"),
}
"""`peer` is an address and port; `route` is the path template (`/fhir/{type}/{id}`), never the path; `error` is an exception's class name."""

_ALLOWED: Final = {name: frozenset(fields) for name, fields in EVENTS.items()}
_LEVELS: Final = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
_least = logging.NOTSET
"""What is less than this is not written; compared here, since the logger takes longer to find that it has nothing to do than a request's other steps."""
_log: structlog.stdlib.BoundLogger = structlog.get_logger()


def event(name: str, level: str = "info", **fields: Any) -> None:
    """Write one catalogued event. An unknown event or field raises: the catalogue is the review, so nothing may slip past it."""
    stray = fields.keys() - _ALLOWED[name]
    if stray:
        raise ValueError(f"event {name} may not carry {sorted(stray)}")
    if _LEVELS[level] >= _least:
        getattr(_log, level)(name, **fields)


class _Stderr:
    """Whatever stderr is when a line is written, not what it was when logging was set up."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure(level: str = "info") -> None:
    """JSON lines on stderr, readable text when stderr is a terminal."""
    global _least
    _least = _LEVELS[level.lower()]
    renderer: Any = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True), renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_least),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Stderr())),
        cache_logger_on_first_use=False,
    )
