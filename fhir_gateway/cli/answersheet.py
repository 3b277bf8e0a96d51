"""A CoverageEligibilityResponse as a sheet a clerk can read, whoever answered: who, in force, each service type, what went wrong, the payer's own words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC
from decimal import Decimal
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fhir_gateway.cases.eligibility import CONTRADICTORY, outside
from profiles.eligibility import (
    BENEFIT_NOTE,
    BENEFIT_PERIOD,
    BENEFIT_UNIT,
    CHANNEL,
    DISCLAIMER,
    ERROR_AT,
    FOLLOW_UP,
    IN_FORCE,
    INDETERMINATE,
    KEPT,
    NETWORK_PROVIDER,
    NETWORK_RESTRICTED,
    OTHER_PAYER,
    PAYER_CONTACT,
    REMAINING,
    RETRY_AFTER,
    SECOND_OPINION_REQUIRED,
    VALID_UNTIL,
    WHO_FIXES,
)

Json = dict[str, Any]
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_NETWORKS: Final = {frozenset({"in"}): "in network", frozenset({"out"}): "out of network", frozenset({"in", "out"}): "in and out of network"}
_COSTS: Final = {"copay-percent": "co-insurance", "out-of-pocket": "out-of-pocket limit", "visit": "visits"}
_COLOURS: Final = {"yes": "green", "no": "red", "required": "yellow", "in network": "green", "out of network": "red"}


def sheet(response: Json) -> RenderableType:
    """Everything the answer says, nothing it does not: what is unknown is called unknown."""
    parts: list[RenderableType] = [_head(response)]
    for insurance in response.get("insurance", ()):
        parts += [_standing(response, insurance)]
        if items := insurance.get("item"):
            parts.append(_items(items, included="yes" if insurance.get("inforce") and not _from_x12(response) else "not said"))
    if errors := response.get("error"):
        parts.append(_errors(errors))
    parts += [Text(f"the payer says: {_plain(text)}") for text in _values(response, DISCLAIMER)]
    parts += [Text(f"contact: {_contact(point)}") for point in _values(response, PAYER_CONTACT)]
    parts += [Text(f"kept as sent: {_plain(text)}", style="dim") for text in _values(response, KEPT)]
    return Group(*parts, Text(""))


def _head(response: Json) -> Text:
    patient, payer = _named(response, response["patient"]), _named(response, response["insurer"])
    line = Text(f"{patient or 'Patient'} · {payer or 'Payer'}", style="bold")
    serviced = response.get("servicedDate") or _period(response.get("servicedPeriod"))
    facts = [f"answered {response['created']}", f"outcome {response['outcome']}"]
    facts += [f"for {serviced}"] if serviced else []
    facts += [f"may be relied on until {day}" for day in _values(response, VALID_UNTIL)]
    number = response["request"].get("identifier", {}).get("value")
    facts += [f"question {_plain(number)}"] if number else []
    facts += [_plain(response["disposition"])] if response.get("disposition") else []
    return line.append("\n" + "   ".join(facts), style="not bold")


def _standing(response: Json, insurance: Json) -> Text:
    inforce, why = insurance.get("inforce"), "; ".join(map(_plain, _values(insurance, INDETERMINATE)))
    if inforce and outside(response, insurance.get("benefitPeriod", {}), UTC):
        inforce, why = None, CONTRADICTORY
    word = _either(inforce, "yes", "no", "unknown")
    line = Text("plan in force: ").append(word, style=_COLOURS.get(word, "yellow"))
    if period := _period(insurance.get("benefitPeriod")):
        line.append(f"   {period}")
    if number := _held(response, insurance["coverage"]).get("subscriberId"):
        line.append(f"   member {_plain(number)}")
    if why:
        line.append(f"   {why}")
    for name in _values(insurance, OTHER_PAYER):
        line.append(f"\nanother payer: {_plain(name)}")
    return line


def _items(items: Iterable[Json], included: str) -> Table:
    """included: what an item means that says neither excluded nor in force."""
    table = Table(title_justify="left")
    for column in ("service type", "covered", "network", "the patient's share", "authorisation", "second opinion", "in the payer's words"):
        table.add_column(column, overflow="fold")
    for item in items:
        cells = [_service(item), _covered(item, included), _network(item), "\n".join(map(_cost, item.get("benefit", ())))]
        cells += [_either(item.get("authorizationRequired"), "required", "not required", "unknown")]
        cells += [_either(next(iter(_values(item, SECOND_OPINION_REQUIRED)), None), "required", "not required", "")]
        cells += ["\n".join(_words(item))]
        table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in cells))
    return table


def _service(item: Json) -> str:
    return " / ".join(filter(None, (_concept(item.get("category")), _concept(item.get("productOrService")), _plain(item.get("name", "")))))


def _covered(item: Json, included: str) -> str:
    if _values(item, INDETERMINATE):
        return "unknown"
    if item.get("excluded"):
        return "no"
    return _either(next(iter(_values(item, IN_FORCE)), None), "yes", "no", included)


def _network(item: Json) -> str:
    codes = frozenset(coding.get("code") for coding in item.get("network", {}).get("coding", ()))
    lines = [_NETWORKS.get(codes, "") or _concept(item.get("network")) or "unknown"]
    lines += [f"restricted to: {_plain(text)}" for text in _values(item, NETWORK_RESTRICTED)]
    lines += [_contact(provider) for provider in _values(item, NETWORK_PROVIDER)]
    return "\n".join(lines)


def _cost(benefit: Json) -> str:
    """`deductible 1500 USD per calendar year, individual; 412.50 USD left`."""
    kind = next((coding.get("code", "") for coding in benefit["type"].get("coding", ())), "") or _concept(benefit["type"])
    amount = _amount(benefit, "allowed")
    if kind == "copay-percent" and "allowedUnsignedInt" in benefit:
        amount += " %"
    text = " ".join(filter(None, (_COSTS.get(kind, kind), amount)))
    text += "".join(f" per {_plain(period.get('display') or period.get('code'))}" for period in _values(benefit, BENEFIT_PERIOD))
    text += "".join(f", {_plain(unit.get('display') or unit.get('code'))}" for unit in _values(benefit, BENEFIT_UNIT))
    if used := _amount(benefit, "used"):
        text += f"; {used} used"
    text += "".join(f"; {_money(money)} left" for money in _values(benefit, REMAINING))
    notes = [*_values(benefit, BENEFIT_NOTE), *_values(benefit, KEPT)]
    return text + (f" ({'; '.join(map(_plain, notes))})" if notes else "")


def _amount(benefit: Json, name: str) -> str:
    if money := benefit.get(f"{name}Money"):
        return _money(money)
    value = benefit.get(f"{name}UnsignedInt", benefit.get(f"{name}String", ""))
    return _plain(value)


def _money(money: Json) -> str:
    value = Decimal(str(money.get("value", 0)))
    return f"{value:f}" if value == int(value) and not money.get("currency") else f"{value:.2f} {_plain(money.get('currency', ''))}".strip()


def _words(item: Json) -> Iterator[str]:
    yield from map(_plain, _values(item, INDETERMINATE))
    if item.get("description"):
        yield _plain(item["description"])
    yield from map(_plain, _values(item, DISCLAIMER))
    yield from (f"kept as sent: {_plain(text)}" for text in _values(item, KEPT))
    if item.get("authorizationUrl"):
        yield _plain(item["authorizationUrl"])


def _errors(errors: Iterable[Json]) -> Table:
    table = Table(title="The payer could not answer all of it", title_justify="left")
    for column in ("where", "code", "what it means and what to do", "who puts it right", "when to ask again"):
        table.add_column(column, overflow="fold")
    for error in errors:
        code = error["code"]
        number = next((coding.get("code", "") for coding in code.get("coding", ())), "")
        again = [f"after {wait.get('value')} {_plain(wait.get('unit', ''))}" for wait in _values(error, RETRY_AFTER)]
        again += [_plain(action.get("display") or action.get("code")) for action in _values(error, FOLLOW_UP)]
        cells = (
            next(iter(_values(error, ERROR_AT)), ""),
            number,
            code.get("text") or _concept(code),
            next(iter(_values(error, WHO_FIXES)), "unknown"),
        )
        table.add_row(*(Text(_plain(cell)) for cell in cells), Text("\n".join(again) or "not said"))
    return table


def _named(response: Json, reference: Json) -> str:
    """A person or organisation by name and number, as far as the response itself says."""
    held = _held(response, reference)
    name = held.get("name", "")
    if isinstance(name, list):
        name = next((one.get("text") or " ".join([*one.get("given", ()), one.get("family", "")]) for one in name), "")
    number = next((one.get("value", "") for one in [*held.get("identifier", ()), reference.get("identifier", {})]), "")
    said = [
        name or reference.get("display") or ("" if held else reference.get("reference", "")),
        f"born {held['birthDate']}" if held.get("birthDate") else "",
    ]
    return ", ".join(filter(None, (*map(_plain, said), f"no. {_plain(number)}" if number else "")))


def _held(response: Json, reference: Json) -> Json:
    """The contained resource a reference means, {} where it means another."""
    id = reference.get("reference", "")
    return next((one for one in response.get("contained", ()) if f"#{one.get('id')}" == id), {})


def _contact(point: Any) -> str:
    """A string, a ContactPoint or a Reference in words."""
    if not isinstance(point, dict):
        return _plain(point)
    number = point.get("value") or point.get("identifier", {}).get("value", "")
    return " ".join(filter(None, (_plain(point.get("system", "")), _plain(point.get("display", "")), _plain(number))))


def _concept(concept: Json | None) -> str:
    """`20 Second surgical opinion`."""
    for coding in (concept or {}).get("coding", ()):
        return _plain(" ".join(filter(None, (coding.get("code", ""), coding.get("display", "")))))
    return _plain((concept or {}).get("text", ""))


def _period(period: Json | None) -> str:
    """`2026-01-01 to 2026-12-31`."""
    start, end = (period or {}).get("start", ""), (period or {}).get("end", "")
    return f"{start} to {end}".strip() if end else f"from {start}" if start else ""


def _from_x12(response: Json) -> bool:
    """A 271 that does not say "active" leaves it open; FHIR's `excluded`, left out, means included."""
    return "x12" in _values(response, CHANNEL)


def _either(value: Any, yes: str, no: str, otherwise: str) -> str:
    return yes if value is True else no if value is False else otherwise


def _values(element: Json, url: str) -> list[Any]:
    """The values of its extensions of one url."""
    return [value for one in element.get("extension", ()) if one.get("url") == url for name, value in one.items() if name.startswith("value")]


def _plain(value: Any) -> str:
    """Text that can't move a terminal's cursor."""
    return _CONTROLS.sub(" ", str(value))
