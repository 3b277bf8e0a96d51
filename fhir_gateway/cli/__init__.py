"""The command line, `fhir-gateway`: one module per command family, registered here and nowhere else.

Exit codes: 0 done, 1 something was refused or wrong with what was given, 2 the command was used wrongly. A module is imported only when its
command is asked for: `map` needs no database, `send` no mapper tables.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Final

import typer

# command → (module, function), or (module, typer app) for a family.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "serve": ("serving", "serve"),
    "demo": ("demo", "demo"),
    "map": ("mapping", "map_files"),
    "send": ("sending", "send"),
    "case": ("cases", "app"),
    "payer": ("payers", "app"),
    "coverage": ("coverage", "app"),
    "eligibility": ("eligibility", "eligibility"),
    "mock-payer": ("mockpayer", "mock_payer"),
    "checklist": ("checklist", "app"),
    "inbox": ("inbox", "app"),
    "codes": ("codes", "app"),
    "replay": ("replay", "app"),
    "partner": ("partners", "app"),
    "outbox": ("partners", "outbox"),
    "reindex": ("reindexing", "reindex"),
    "intake": ("intake", "app"),
    "db": ("database", "app"),
    "settings": ("serving", "settings"),
}


def build(names: list[str]) -> typer.Typer:
    """The application with these commands only."""
    app = typer.Typer(name="fhir-gateway", help=_about.__doc__, no_args_is_help=True, add_completion=False)
    app.callback()(_about)
    for name in names:
        module, attribute = COMMANDS[name]
        found: Any = getattr(import_module(f"fhir_gateway.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _about() -> None:
    """Second-opinion referrals: HL7 v2 and FHIR in, one case out, and what it still lacks."""


def main() -> None:
    """Entry point of the installed command."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    build([wanted] if wanted in COMMANDS else list(COMMANDS))()
