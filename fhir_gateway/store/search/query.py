"""A search as asked: parameter names and texts → a typed query. FHIR R4 search.html, sections named at each rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final, Literal, NamedTuple

from fhir_gateway.store.errors import SearchValueError, UnknownModifierError, UnknownParameterError
from fhir_gateway.store.search.composites import Meeting
from fhir_gateway.store.search.dates import Range
from fhir_gateway.store.search.index import COLUMNS, SearchIndex
from fhir_gateway.store.search.references import local
from fhir_gateway.store.search.values import MODIFIERS, DateValue, ReferenceValue, TokenValue, UriValue, Value, parts, reference, tuples
from profiles.searchparameters import SearchParameter

DEFAULT_COUNT: Final = 50
MOST: Final = 1000
"""`_count` above this is cut to it (3.1.1.6: the server may return fewer)."""
MOST_VALUES: Final = 800
"""Values of all parameters together: a statement takes no more than it can be compiled with (SQLite: an expression 1,000 deep)."""
_SELECT: Final = 4
"""What a value of a composite counts, since each pair is a select of its own: 100 pairs at most, compiled in about half a second."""
DEEPEST: Final = 4
"""Links of a chain. Each is a join; real questions need two."""

# Parameters about the answer's form, which the edge reads itself (3.1.1.5); they do not narrow the search.
FORM: Final = frozenset({"_format", "_pretty", "_elements"})
CONTROL: Final = frozenset({"_count", "_cursor", "_sort", "_summary", "_total"})
INCLUDES: Final = ("_include", "_revinclude")


@dataclass(frozen=True, slots=True)
class Condition:
    """One parameter; any of its values will do. Several conditions must all hold. also: other parameters that may have the value instead.

    within: not asked by the client, but what a compartment is made of.
    """

    parameter: SearchParameter
    modifier: str
    values: tuple[Value, ...]
    also: tuple[SearchParameter, ...] = ()
    within: bool = False


@dataclass(frozen=True, slots=True)
class Missing:
    """`:missing` (3.1.1.4.4): has the resource no value of the parameter, or has it one? also: as of a Condition."""

    parameter: SearchParameter
    missing: bool
    also: tuple[SearchParameter, ...] = ()


@dataclass(frozen=True, slots=True)
class Composite:
    """Values of several parameters in one element (search.html#composite). values: by part; any will do. missing: as of Missing, then there are no values."""

    parameter: SearchParameter
    meetings: tuple[Meeting, ...]
    values: tuple[tuple[Value, ...], ...] = ()
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """A condition on what a reference points at (3.1.1.4.13): `subject:Patient.name`. options: by type of the target, any of which will do."""

    parameter: SearchParameter
    options: tuple[tuple[str, Narrowing], ...]


@dataclass(frozen=True, slots=True)
class Has:
    """A condition on what points here (3.1.1.4.14): `_has:Observation:patient:code`. type: of what points; parameter: its reference."""

    type: str
    parameter: SearchParameter
    inner: Narrowing


Narrowing = Condition | Missing | Composite | Chain | Has


class Include(NamedTuple):
    """`_include` or `_revinclude` (3.1.1.5.4). type: of what holds the reference. code: its parameter, "*" for every one. target: "" for any type.

    iterate: also from what was included.
    """

    reverse: bool
    type: str
    code: str
    target: str = ""
    iterate: bool = False


@dataclass(frozen=True, slots=True)
class Sort:
    """One key of the order: `_id`, `_lastUpdated` or a parameter; "" is the order of arrival. names: what its rows are filed under. kind: of the parameter."""

    by: str = ""
    descending: bool = False
    names: tuple[str, ...] = ()
    kind: str = ""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A search on one type. ignored: names left out under lenient handling. used: the pairs that count, for the self link."""

    type: str
    conditions: tuple[Narrowing, ...] = ()
    count: int = DEFAULT_COUNT
    cursor: str | None = None
    sort: tuple[Sort, ...] = ()
    summary: str = ""
    total: Literal["none", "accurate"] = "none"
    ignored: tuple[str, ...] = ()
    used: tuple[tuple[str, str], ...] = ()
    includes: tuple[Include, ...] = ()

    @property
    def only_count(self) -> bool:
        """Only the number of matches is asked for (3.1.1.5.7; `_count=0` means the same)."""
        return self.summary == "count" or self.count == 0


def parse_query(type: str, pairs: Sequence[tuple[str, str]], *, lenient: bool = False, index: SearchIndex | None = None) -> SearchQuery:
    """The pairs of a query string as a query. Values are decoded text.

    Raises UnknownParameterError and UnknownModifierError (lenient: the pair is left out and named in `ignored`), SearchValueError.
    """
    return _Reader(type, index or SearchIndex.load(), lenient).read(pairs)


def in_compartment(query: SearchQuery, type: str, id: str, codes: Sequence[str], index: SearchIndex | None = None) -> SearchQuery:
    """The query narrowed to what refers to `type/id` by any of these parameters."""
    known = (index or SearchIndex.load()).parameters(query.type)
    first, *others = [known[code] for code in codes]
    within = Condition(first, "", (ReferenceValue(type, id),), tuple(others), within=True)
    return replace(query, conditions=(within, *query.conditions))


def during(query: SearchQuery, code: str, span: Range, index: SearchIndex | None = None) -> SearchQuery:
    """The query narrowed to what has a date, or a period, by this parameter of which any part lies in a span."""
    parameter = (index or SearchIndex.load()).parameters(query.type)[code]
    return replace(query, conditions=(*query.conditions, Condition(parameter, "", (DateValue("ap", span),))))


def at_home(query: SearchQuery, base: str) -> SearchQuery:
    """The query with references that name a resource by its whole address under `base` read as those of this server (3.1.1.4.12)."""
    if not base:
        return query
    conditions = tuple(_at_home(one, f"{base}/") for one in query.conditions)
    return query if all(now is before for now, before in zip(conditions, query.conditions, strict=True)) else replace(query, conditions=conditions)


def _at_home(asked: Narrowing, base: str) -> Narrowing:
    match asked:
        case Condition(values=values) if any(isinstance(value, ReferenceValue) and value.target.startswith(base) for value in values):
            return replace(asked, values=tuple(_local(value, base) for value in values))
        case Composite(values=together):
            return replace(asked, values=tuple(tuple(_local(value, base) for value in one) for one in together))
        case Chain(options=options):
            return replace(asked, options=tuple((target, _at_home(inner, base)) for target, inner in options))
        case Has(inner=inner):
            return replace(asked, inner=_at_home(inner, base))
    return asked


def _local(value: Value, base: str) -> Value:
    here = local(value.target.removeprefix(base)) if isinstance(value, ReferenceValue) else None
    return value if here is None else ReferenceValue(*here)


def _size(asked: Narrowing, links: int = 1) -> int:
    """How many values are compared, each counted once more for every link it lies behind: a statement nests that much deeper. Ids are one list."""
    match asked:
        case Condition(parameter=parameter) if parameter.code == "_id":
            return 1
        case Condition(values=values):
            return links * sum(max(1, len(value.exact)) if isinstance(value, UriValue) else 1 for value in values)
        case Composite(meetings=meetings, values=together):
            return links * _SELECT * len(meetings) * sum(map(len, together))
        case Chain(options=options):
            return sum(_size(inner, links + 1) for _, inner in options)
        case Has(inner=inner):
            return _size(inner, links + 1)
    return 1


class _Reader:
    """One query being read."""

    def __init__(self, type: str, index: SearchIndex, lenient: bool) -> None:
        self.type, self.index, self.lenient = type, index, lenient
        self.ignored: list[str] = []

    def read(self, pairs: Sequence[tuple[str, str]]) -> SearchQuery:
        conditions: list[Narrowing] = []
        includes: list[Include] = []
        control: dict[str, str] = {}
        sort: tuple[Sort, ...] = ()
        used: list[tuple[str, str]] = []
        for name, text in pairs:
            try:
                if name in CONTROL or name in FORM:
                    sort = self._sort(text) if name == "_sort" else sort
                    control[name] = text
                elif name.partition(":")[0] in INCLUDES:
                    includes.append(self._include(name, text))
                elif (condition := narrowing(self.index, self.type, name, text)) is not None:
                    conditions.append(condition)
            except (UnknownParameterError, UnknownModifierError):
                if not self.lenient:
                    raise
                self.ignored.append(name)
                continue
            if name != "_cursor":
                used.append((name, text))
        if (size := sum(map(_size, conditions))) > MOST_VALUES:
            raise SearchValueError(f"A search compares {MOST_VALUES} values at most, not {size}: ask in several searches", self.type)
        return SearchQuery(
            self.type,
            tuple(conditions),
            _count(control.get("_count")),
            control.get("_cursor"),
            sort,
            control.get("_summary", ""),
            _total(control.get("_total")),
            tuple(self.ignored),
            tuple(used),
            tuple(dict.fromkeys(includes)),
        )

    def _sort(self, text: str) -> tuple[Sort, ...]:
        """3.1.1.5.2: keys in order, each with an optional minus."""
        keys: list[Sort] = []
        for part in filter(None, text.split(",")):
            by, descending = part.removeprefix("-"), part.startswith("-")
            parameter = self.index.parameters(self.type).get(by)
            if parameter is None:
                raise UnknownParameterError(self.type, f"_sort={by}", _nearest(self.index, self.type, by))
            if parameter.kind == "composite":
                raise SearchValueError(f"{by} is made of several values and gives no order", "_sort")
            own = by in COLUMNS
            names = () if own else tuple(held.name for held in self.index.held_as(parameter))
            keys.append(Sort(by, descending, names, "" if own else parameter.kind))
        return tuple(keys)

    def _include(self, name: str, text: str) -> Include:
        kind, _, modifier = name.partition(":")
        if modifier not in ("", "iterate", "recurse"):
            raise UnknownModifierError(kind, modifier, ["iterate"])
        reverse, iterate = kind == "_revinclude", bool(modifier)
        if text == "*" and not reverse:
            return Include(reverse, self.type, "*", "", iterate)
        type, _, rest = text.partition(":")
        code, _, target = rest.partition(":")
        if code == "*" and not reverse:
            return Include(reverse, type, "*", target, iterate)
        parameter = self.index.parameters(type).get(code)
        if parameter is None or parameter.kind != "reference":
            references = [f"{type}:{known.code}" for known in self.index.parameters(type).values() if known.kind == "reference"]
            raise UnknownParameterError(self.type, f"{kind}={text}", get_close_matches(text, references, n=3, cutoff=0.3))
        return Include(reverse, type, code, target, iterate)


def narrowing(index: SearchIndex, type: str, name: str, text: str, depth: int = 0) -> Narrowing | None:
    """What one pair asks; None when it asks nothing. Raises UnknownParameterError, UnknownModifierError, SearchValueError."""
    if depth > DEEPEST:
        raise SearchValueError(f"A chain of more than {DEEPEST} links is not followed", name)
    if name.startswith("_has:"):
        return _has(index, type, name, text, depth)
    head, point, rest = name.partition(".")
    code, _, modifier = head.partition(":")
    parameter = index.parameters(type).get(code)
    if parameter is None:
        raise UnknownParameterError(type, code, _nearest(index, type, code))
    if point:
        return _chain(index, type, parameter, modifier, rest, text, depth)
    if parameter.kind == "composite":
        return _composite(index, parameter, modifier, text)
    held, *also = index.held_as(parameter)
    if modifier == "missing" and code not in COLUMNS:
        return _missing(held, tuple(also), code, text)
    reading = MODIFIERS[parameter.kind].get(modifier) if modifier == "" or code not in COLUMNS else None
    if reading is None and parameter.kind == "reference" and (modifier in parameter.targets or modifier in index.types):
        read = [reference(code, part if "/" in part else f"{modifier}/{part}") for part in parts(text)]
        return Condition(parameter, "", tuple(read)) if read else None
    if reading is None:
        allowed = [one for one in MODIFIERS[parameter.kind] if one]
        raise UnknownModifierError(code, modifier, [] if code in COLUMNS else [*allowed, "missing"])
    values = tuple(reading(code, part) for part in parts(text))
    return Condition(held, modifier, values, tuple(also)) if values else None


def _missing(parameter: SearchParameter, also: tuple[SearchParameter, ...], code: str, text: str) -> Missing | None:
    missing = _is_missing(code, text)
    return None if missing is None else Missing(parameter, missing, also)


def _is_missing(code: str, text: str) -> bool | None:
    if text not in ("true", "false", ""):
        raise SearchValueError(f"{code}:missing needs true or false", code)
    return text == "true" if text else None


def _composite(index: SearchIndex, parameter: SearchParameter, modifier: str, text: str) -> Composite | None:
    """`code-value-quantity=http://loinc.org|718-7$lt10`: each part is read as its own parameter would be, without a modifier."""
    code, meetings = parameter.code, index.meetings(parameter)
    if modifier == "missing":
        missing = _is_missing(code, text)
        return None if missing is None else Composite(parameter, meetings, missing=missing)
    if modifier:
        raise UnknownModifierError(code, modifier, ["missing"])
    parts = meetings[0].parts
    values: list[tuple[Value, ...]] = []
    for texts in tuples(text):
        if len(texts) != len(parts) or not all(texts):
            form = "$".join(part.code for part in parts)
            raise SearchValueError(f"{code} needs {len(parts)} values with $ between them, {form} (a $ of a value is written \\$)", code)
        values.append(tuple(MODIFIERS[part.kind][""](code, one) for part, one in zip(parts, texts, strict=True)))
    return Composite(parameter, meetings, tuple(values)) if values else None


def _chain(index: SearchIndex, type: str, parameter: SearchParameter, modifier: str, rest: str, text: str, depth: int) -> Narrowing | None:
    """`subject:Patient.name`, or `subject.name` where the targets of the reference are known."""
    code = parameter.code
    if parameter.kind != "reference":
        raise UnknownModifierError(code, f".{rest}", [one for one in MODIFIERS[parameter.kind] if one])
    targets = [modifier] if modifier else list(parameter.targets)
    if not targets or (modifier and modifier not in index.types):
        raise SearchValueError(f"Say which type of resource is meant: {code}:Patient.{rest}", code)
    options: list[tuple[str, Narrowing]] = []
    fault: UnknownParameterError | None = None
    for target in targets:
        try:
            inner = narrowing(index, target, rest, text, depth + 1)
        except UnknownParameterError as unknown:
            fault = unknown
            continue
        if inner is not None:
            options.append((target, _followed(inner, rest)))
    if not options and fault is not None:
        raise fault
    ids = [(target, inner) for target, inner in options if isinstance(inner, Condition) and inner.parameter.code == "_id"]
    if ids:  # an id is in the reference itself
        named = [
            ReferenceValue(target, str(v.code))
            for target, inner in ids
            for v in inner.values
            if isinstance(v, TokenValue) and isinstance(inner, Condition)
        ]
        return Condition(parameter, "", tuple(named))
    return Chain(parameter, tuple(options)) if options else None


def _followed(inner: Narrowing, name: str) -> Narrowing:
    if isinstance(inner, Condition) and inner.parameter.code == "_lastUpdated":
        raise SearchValueError("_lastUpdated can't be asked of what a reference points at", name)
    return inner


def _has(index: SearchIndex, type: str, name: str, text: str, depth: int) -> Narrowing | None:
    """`_has:Observation:patient:code`; what follows the second colon may be a `_has` again."""
    _, _, rest = name.partition(":")
    other, _, rest = rest.partition(":")
    code, _, asked = rest.partition(":")
    parameter = index.parameters(other).get(code) if other in index.types else None
    if parameter is None or parameter.kind != "reference" or not asked:
        raise UnknownParameterError(type, name, [])
    inner = narrowing(index, other, asked, text, depth + 1)
    if isinstance(inner, Condition) and inner.parameter.code in COLUMNS:
        raise SearchValueError(f"{inner.parameter.code} can't be asked by _has", name)
    return Has(other, parameter, inner) if inner is not None else None


def _nearest(index: SearchIndex, type: str, code: str) -> list[str]:
    return get_close_matches(code, [*index.parameters(type), *CONTROL - {"_cursor"}, *INCLUDES], n=3, cutoff=0.6)


def _count(text: str | None) -> int:
    if text is None:
        return DEFAULT_COUNT
    if not text.isascii() or not text.isdigit():
        raise SearchValueError("_count needs a whole number", "_count")
    return min(int(text[:9]), MOST)


def _total(text: str | None) -> Literal["none", "accurate"]:
    """3.1.1.5.3: an estimate may be exact."""
    if text in (None, "none"):
        return "none"
    if text in ("accurate", "estimate"):
        return "accurate"
    raise SearchValueError("_total needs none, estimate or accurate", "_total")
