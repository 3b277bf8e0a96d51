"""FHIRPath as the checklists use it: parsed strictly once, answered with true, false or "can't be decided".

fhirpathpy's own compile accepts `foo(` and unknown functions without a word, so the text is parsed with its grammar first and
evaluated once on nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, Literal

import fhirpathpy
import fhirpathpy.parser
import msgspec

GRAMMAR: Final[Any] = fhirpathpy.parser  # its names come from the untyped ANTLR runtime
VARIABLE: Final = re.compile(r"%(?:`([^`]+)`|([A-Za-z_]\w*))")
STRINGS: Final = re.compile(r"'(?:[^'\\]|\\.)*'")
BUILT_IN: Final = frozenset({"context", "ucum"})
# Functions whose arguments are asked of each item in turn, and those whose answer depends on more than what they are asked of.
PER_ITEM: Final = frozenset({"where", "exists", "all", "select", "repeat"})
ELEMENT: Final = re.compile(r"[a-z][A-Za-z]*")
WHOLE: Final = "*"
IMPURE: Final = frozenset({"now", "today", "timeOfDay", "trace", "resolve"})
_MOST_KEPT: Final = 20_000
_kept: dict[tuple[str, bytes], bool | None] = {}
"""Answers by what they depend on, as a digest. A case is judged again with every message, and of its records most are those of before."""
_encode: Final = msgspec.json.Encoder(decimal_format="number", order="sorted").encode


class ExpressionError(ValueError):
    """The text is not FHIRPath, names an unknown function, or uses a variable nobody supplies."""


class Expression:
    """One compiled FHIRPath expression."""

    __slots__ = ("_evaluate", "_sees", "source", "variables")

    def __init__(self, source: str, known: Collection[str]) -> None:
        """source: FHIRPath text. known: names of the `%variables` that will be supplied. Raises ExpressionError."""
        self.source = source
        self.variables = frozenset(a or b for a, b in VARIABLE.findall(STRINGS.sub("''", source)))
        unknown = self.variables - BUILT_IN - set(known)
        if unknown:
            raise ExpressionError(f"unknown variable %{sorted(unknown)[0]} in {source!r}")
        self._evaluate = _compiled(source, self.variables)
        self._sees = _sees(source)

    def truth(self, focus: Mapping[str, Any], variables: Mapping[str, Any]) -> bool | None:
        """True, False, or None when the answer is empty, ambiguous or can't be computed from what is held."""
        given = {name: variables.get(name, []) for name in self.variables}
        key = self._key(focus, given)
        if key is None:
            return self._truth(focus, given)
        with suppress(KeyError):  # not looked for first: another thread may empty the table in between
            return _kept[key]
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[key] = answer = self._truth(focus, given)
        return answer

    def _key(self, focus: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[str, bytes] | None:
        """The expression and a digest of what it looks at; None when the answer depends on more, or holds what JSON can't say."""
        if self._sees == "the time":
            return None
        parts = self._sees if isinstance(self._sees, frozenset) else focus
        try:
            seen = _encode((given, {name: focus[name] for name in parts if name in focus}))
        except (TypeError, ValueError, UnicodeEncodeError):
            return None
        return self.source, sha256(seen).digest()

    def _truth(self, focus: Mapping[str, Any], given: Mapping[str, Any]) -> bool | None:
        try:
            answer = self._evaluate(focus, given)
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


@lru_cache(maxsize=1024)
def _sees(source: str) -> frozenset[str] | Literal["the focus", "the time"]:
    """What an answer depends on beside the variables: elements of the focus (none, for most), all of it, or even the moment it is asked. In doubt the
    later.
    """
    tree = GRAMMAR.parse(source)
    if any(node.get("type") == "Identifier" and node.get("text") in IMPURE for node in _nodes(tree)):
        return "the time"
    looks = set(_looks(tree, of_item=False))
    if WHOLE in looks:
        return "the focus"
    return frozenset(looks | {f"_{name}" for name in looks} | {"resourceType"}) if looks else frozenset()


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("children") or ():
        yield from _nodes(child)


def _looks(node: Mapping[str, Any], *, of_item: bool) -> Iterator[str]:
    """The elements of the focus a part of a parsed expression looks at; WHOLE where it is not an element by name. of_item: what begins a path there is
    an item of what was asked before.
    """
    kind, children = node.get("type"), list(node.get("children") or ())
    if kind == "Identifier" and node.get("text") == "context":
        yield WHOLE
    if kind == "InvocationTerm" and not of_item and _called(children[0]) != "iif":
        yield _member(children[0])
    if kind == "FunctionInvocation" and _called(node) in PER_ITEM:
        of_item = True
    for child in children:
        yield from _looks(child, of_item=of_item)


def _member(node: Mapping[str, Any]) -> str:
    """The element a path begins with. A name in capitals may be the type of the focus, and one in backticks anything."""
    name = str(node["children"][0].get("text", "")) if node.get("type") == "MemberInvocation" else ""
    return name if ELEMENT.fullmatch(name) else WHOLE


def _called(node: Mapping[str, Any]) -> str:
    """The name of the function a node calls, "" when it calls none."""
    if node.get("type") != "FunctionInvocation":
        return ""
    return str(node["children"][0]["children"][0].get("text", ""))


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
