"""A page that is one table."""

from __future__ import annotations

from collections.abc import Iterable

NOTE = "<!-- Made from the code by `make docs`; change the code, not this page. -->\n"


def table(title: str, intro: str, columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = [f"# {title}", NOTE, intro, "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def section(title: str, intro: str, columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """The same as a part of a page."""
    return table(title, intro, columns, rows).replace(NOTE + "\n", "").replace(NOTE, "").replace("# ", "## ", 1)
