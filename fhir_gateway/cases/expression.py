"""FHIRPath as the checklists use it: parsed strictly once, answered with true, false or "can't be decided".

fhirpathpy's own compile accepts `foo(` and unknown functions without a word, so the text is parsed with its grammar first and
evaluated once on nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, Final

import fhirpathpy
import fhirpathpy.parser

GRAMMAR: Final[Any] = fhirpathpy.parser  # its names come from the untyped ANTLR runtime
VARIABLE: Final = re.compile(r"%(?:`([^`]+)`|([A-Za-z_]\w*))")
STRINGS: Final = re.compile(r"'(?:[^'\\]|\\.)*'")
BUILT_IN: Final = frozenset({"context", "ucum"})


class ExpressionError(ValueError):
    """The text is not FHIRPath, names an unknown function, or uses a variable nobody supplies."""


class Expression:
    """One compiled FHIRPath expression."""

    __slots__ = ("_evaluate", "source", "variables")

    def __init__(self, source: str, known: Collection[str]) -> None:
        """source: FHIRPath text. known: names of the `%variables` that will be supplied. Raises ExpressionError."""
        self.source = source
        self.variables = frozenset(a or b for a, b in VARIABLE.findall(STRINGS.sub("''", source)))
        unknown = self.variables - BUILT_IN - set(known)
        if unknown:
            raise ExpressionError(f"unknown variable %{sorted(unknown)[0]} in {source!r}")
        self._evaluate = _compiled(source, self.variables)

    def truth(self, focus: Mapping[str, Any], variables: Mapping[str, Any]) -> bool | None:
        """True, False, or None when the answer is empty, ambiguous or can't be computed from what is held."""
        try:
            answer = self._evaluate(focus, {name: variables.get(name, []) for name in self.variables})
        except Exception:  # noqa: BLE001 - an odd resource makes the answer unknown, it never stops an evaluation
            return None
        if len(answer) != 1:
            return None
        return answer[0] if isinstance(answer[0], bool) else True


@lru_cache(maxsize=1024)
def _compiled(source: str, variables: frozenset[str]) -> Callable[..., list[Any]]:
    """Parsed once per text: fifteen lists derive from one base and share its conditions, and parsing costs milliseconds."""
    _check_syntax(source)
    try:
        evaluate: Callable[..., list[Any]] = fhirpathpy.compile(source)
        evaluate({}, {name: [] for name in variables})
    except Exception as problem:  # fhirpathpy raises bare Exception for unknown functions
        raise ExpressionError(f"{source!r}: {problem}") from problem
    return evaluate


def _check_syntax(source: str) -> None:
    lexer = GRAMMAR.FHIRPathLexer(GRAMMAR.InputStream(source))
    lexer.removeErrorListeners()
    lexer.recover = _refuse
    parser = GRAMMAR.FHIRPathParser(GRAMMAR.CommonTokenStream(lexer))
    parser.removeErrorListeners()
    parser.entireExpression()
    if parser.getNumberOfSyntaxErrors():
        raise ExpressionError(f"{source!r} is not FHIRPath")


def _refuse(problem: Exception) -> None:
    raise ExpressionError("a character that FHIRPath does not know") from problem
