"""What a clerk reads of a payer's answer, and what to do next: one sentence each, made of what the answer says and of nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from fhir_gateway.cases.eligibility import IN, OUT, Insured, extended, extensions
from fhir_gateway.cases.evidence import codings, walk
from fhir_gateway.coverage.authorisation import OPEN, WORDS
from profiles.eligibility import BENEFIT_PERIOD, DISCLAIMER, PAYER_CONTACT, REMAINING, RETRY_AFTER, WHO_FIXES

Json = dict[str, Any]

CARD: Final = "insurance-card"
ELIGIBILITY: Final = "coverage-eligibility"
AUTHORISATION: Final = "authorization"
"""Items of the base list."""

PERIODS: Final[dict[str, str]] = {
    "22": "in the service year",
    "23": "in the calendar year",
    "24": "in the year to date",
    "25": "in the contract",
    "26": "per episode",
    "27": "per visit",
    "32": "in a lifetime",
    "33": "in the remaining lifetime",
}
"""X12 element 615, the codes a share of the patient is usually told for."""
BENEFITS: Final[dict[str, str]] = {
    "copay": "copay",
    "copay-percent": "co-insurance",
    "deductible": "deductible",
    "out-of-pocket": "out-of-pocket maximum",
}
FIXERS: Final[dict[str, str]] = {
    "clinic": "the clinic",
    "referrer": "the referring provider",
    "patient": "the patient",
    "payer": "the payer",
}

# (item, reason, or its state where it has none) → what to do next. The first that fits is told; the order is that in which it can be done.
STEPS: Final[dict[tuple[str, str], str]] = {
    (CARD, "missing"): "Ask the patient for the insurance card, both sides, or for word that no insurance is to be billed.",
    (CARD, "requested"): "Wait for the insurance card; it has been asked for.",
    (CARD, "lapsed"): "Ask the patient for the insurance that holds now, or for word that no insurance is to be billed.",
    (CARD, "cancelled"): "Ask the patient for the insurance that holds now, or for word that no insurance is to be billed.",
    (CARD, "incomplete"): "Ask the patient for the member number and the name of the payer.",
    (ELIGIBILITY, "lapsed"): "Ask the patient for the insurance that holds now, or for word that no insurance is to be billed.",
    (ELIGIBILITY, "not-in-force"): "Ask the patient for the insurance that holds now, or for word that no insurance is to be billed.",
    (ELIGIBILITY, "excluded"): "Tell the patient that the plan does not pay for the opinion, and what it costs.",
    (ELIGIBILITY, "out-of-network"): "Ask the payer for an exception, or tell the patient what the opinion costs out of network.",
    (ELIGIBILITY, "named-providers"): "Ask the payer whether it allows the clinic as an exception, or tell the patient whom the plan names.",
    (ELIGIBILITY, "network-unknown"): "Ask the payer whether the plan lets the patient choose this clinic.",
    (ELIGIBILITY, "policy-changed"): "Ask the payer about the insurance as it is now.",
    (ELIGIBILITY, "another-policy"): "Ask the payer that pays first.",
    (ELIGIBILITY, "pended"): "Wait for the payer's answer; it is asked again until it comes.",
    (ELIGIBILITY, "indeterminate"): "Telephone the payer: its answer is neither yes nor no.",
    (ELIGIBILITY, "stale"): "Ask the payer again in the month of the appointment.",
    (ELIGIBILITY, "missing"): "Ask the payer whether the insurance is in force.",
    (ELIGIBILITY, "requested"): "Wait for the payer's answer.",
    (AUTHORISATION, "missing"): "Ask the payer for prior authorisation.",
    (AUTHORISATION, "requested"): "Wait for the prior authorisation; it has been asked for.",
    (AUTHORISATION, "asked"): "Wait for the payer's decision on the authorisation.",
    (AUTHORISATION, "applicability-unknown"): "Ask the payer whether prior authorisation is required.",
    (AUTHORISATION, "pended"): "Wait for the payer's decision on the authorisation.",
    (AUTHORISATION, "cancelled"): "Ask the payer for prior authorisation.",
    (AUTHORISATION, "retracted"): "Ask the payer for prior authorisation.",
    (AUTHORISATION, "failed"): "Correct what the payer objects to, and ask it for prior authorisation again.",
    (AUTHORISATION, "another-policy"): "Ask the payer that pays first for prior authorisation.",
    (AUTHORISATION, "another-service"): "Ask the payer for prior authorisation of this service.",
    (AUTHORISATION, "partly-approved"): "Read what the payer has authorised, and judge whether it covers the opinion.",
    (AUTHORISATION, "indeterminate"): "Ask the payer whether it has authorised the opinion, and for the number: its answer is neither yes nor no.",
    (AUTHORISATION, "denied"): "Ask the payer for its reason, and the patient whether to appeal.",
    (AUTHORISATION, "not-begun"): "Ask the payer to let the authorisation begin by the day of the appointment, or move the appointment.",
    (AUTHORISATION, "lapsed"): "Ask the payer to extend the authorisation to the day of the appointment.",
}
WAIVED: Final = "The clinic does without prior authorisation."
LATE: Final = "Ask the payer for its decision on the authorisation: its time is over."
INFORMATION: Final = "Send the payer what it asks for: file it, and release it to the payer."
ASKED_AGAIN: Final = "Wait: the payer could not answer now and is asked again by itself. Telephone it if nothing has come by tomorrow."
ASKED_AGAIN_LATER: Final = "The payer wants to be asked again after {days} days, and then is. Telephone it if the appointment can't wait for that."
SETTLED: Final = "Nothing: the money side is settled."
SELF_PAY: Final = "The patient pays without insurance: none is to be asked or billed."
SHUT: Final = frozenset({"accepted", "waived", "not-applicable"})


def eligibility(response: Json, said: Insured | None) -> str:
    """Is the insurance in force, and does it cover the opinion?"""
    day = next((f" on {value}" for value in (*walk(response, "servicedDate"), *walk(response, "servicedPeriod.start"))), "")
    if response.get("outcome") in ("queued", "partial"):
        return "The payer has been asked and has not answered yet."
    if response.get("outcome") == "error":
        return "The payer could not answer."
    if said is None or said.inforce is None:
        return f"Whether the insurance is in force{day} is not known. {said.unknown if said else ''}".strip()
    if not said.inforce:
        return f"The insurance is not in force{day}."
    if said.excluded:
        return f"The insurance is in force{day}, but does not cover a second opinion."
    if said.unknown:
        return f"The insurance is in force{day}. {said.unknown}"
    if said.item.get("excluded") is False:
        return f"The insurance is in force{day} and covers {_service(said)}."
    return f"The insurance is in force{day}."


def network(said: Insured | None) -> str:
    """May the patient come to this clinic under the plan?"""
    if said is None or not said.item:
        return "Whether the clinic is in the plan's network is not known."
    if said.providers:
        named = ", ".join(str(one.get("display") or one.get("reference") or "a provider") for one in said.providers)
        among = {IN: " The clinic is among them.", OUT: " The clinic is not among them."}.get(said.network, "")
        return f"The plan names who may give the opinion: {named}.{among}"
    told = {IN: "The clinic is in the plan's network.", OUT: "The clinic is not in the plan's network."}
    restricted = f" The plan restricts the choice: {said.restricted}." if said.restricted else ""
    unknown = "The plan pays alike in and out of its network." if said.either else "Whether the clinic is in the plan's network is not known."
    return told.get(said.network, unknown) + restricted


def authorisation(said: Insured | None) -> str:
    """Must the payer be asked beforehand? Whether it has been is the case's to say (`authorisation.standing`)."""
    required = said.authorisation if said else None
    return WORDS["unknown" if required is None else "needed" if required else "not-needed"]


def mandated(said: Insured | None) -> str:
    """Does the plan itself want the second opinion?"""
    if said is None or said.mandated is None:
        return "The payer does not say whether the plan requires a second opinion."
    return "The plan requires a second opinion." if said.mandated else "The plan does not require a second opinion."


def share(said: Insured | None) -> str:
    """What the patient is likely to pay."""
    told = [line for benefit in (walk(said.item, "benefit") if said else ()) if isinstance(benefit, dict) and (line := _share(benefit))]
    return f"The patient's likely share: {'; '.join(told)}." if told else "What the patient has to pay is not known."


def problems(response: Json, said: Insured | None) -> list[str]:
    """What went wrong, with who must fix it; and answers of the payer that do not agree."""
    found = []
    for error in walk(response, "error"):
        code = error.get("code") if isinstance(error, dict) else None
        if isinstance(code, dict):
            fixer = FIXERS.get(str(extended(error, WHO_FIXES)), "")
            text = str(code.get("text") or next(iter(walk(code, "coding.display")), "") or next(iter(walk(code, "coding.code")), "an error"))
            found.append(text.rstrip(".") + (f". To be fixed by {fixer}." if fixer else "."))
    if said and said.others:
        found.append(f"The payer names another insurance: {', '.join(said.others)}. Ask the patient about it: it may have to pay first.")
    if said and said.disagreeing:
        kinds = ", ".join(kind or "unnamed" for kind in said.disagreeing)
        found.append(f"The payer answers otherwise for other service types ({kinds}); what is nearest to a second opinion counts.")
    return found


def disclaimers(response: Json, said: Insured | None) -> list[str]:
    """The payer's words, verbatim."""
    return [str(text) for element in (response, said.item if said else {}) for text in extensions(element, DISCLAIMER)]


def contact(response: Json) -> str:
    """Whom to ask at the payer, "" when it does not say."""
    told = extended(response, PAYER_CONTACT)
    return str(told.get("value", "")) if isinstance(told, dict) else str(told or "")


def next_step(items: Mapping[str, Mapping[str, Any]], response: Json, authorisation: str = "", *, overdue: bool = False) -> str:
    """The one thing to do now. items: the flat items of a case by id; authorisation: the state of the state table."""
    if items.get(ELIGIBILITY, {}).get("state") == "not-applicable":
        return SELF_PAY
    for (name, cause), step in STEPS.items():
        item = items.get(name, {})
        if item and item.get("state") not in SHUT and (item.get("reason") or item.get("state")) == cause:
            if cause == "indeterminate" and name == ELIGIBILITY and (again := _asked_again(response)):
                return again
            who = contact(response)
            if name == AUTHORISATION and authorisation in OPEN:  # asked already, whether it had to be or not
                waits = STEPS[AUTHORISATION, "pended"]
                step = LATE if overdue else INFORMATION if authorisation == "information-requested" else waits
            return f"{step} Contact: {who}." if who and "payer" in step else step
    open_items = [name for name in (CARD, ELIGIBILITY, AUTHORISATION) if items.get(name, {}).get("state", "accepted") not in SHUT]
    return "Look at what is open: " + ", ".join(open_items) + "." if open_items else SETTLED


def _asked_again(response: Json) -> str:
    """When a question the payer could not answer is asked again by itself (AAA03, AAA04), "" when it is not."""
    waits = [wait for one in walk(response, "error") if isinstance(one, dict) and isinstance(wait := extended(one, RETRY_AFTER), dict)]
    if not waits or response.get("outcome") != "error":
        return ""
    return ASKED_AGAIN_LATER.format(days=min(wait["value"] for wait in waits)) if all(wait.get("code") == "d" for wait in waits) else ASKED_AGAIN


def _service(said: Insured) -> str:
    name = next((str(text) for text in walk(said.item, "category.coding.display")), "")
    return (
        f"{name} ({said.service_type})"
        if name and said.service_type
        else name or (f"service type {said.service_type}" if said.service_type else "it")
    )


def _share(benefit: Json) -> str:
    kind = next((BENEFITS[code] for _, code in codings(benefit.get("type")) if code in BENEFITS), "")
    amount, left = _amount(benefit), extended(benefit, REMAINING)
    if not kind or not (amount or isinstance(left, dict)):
        return ""
    period = extended(benefit, BENEFIT_PERIOD)
    when = PERIODS.get(str(period.get("code")), "") if isinstance(period, dict) else ""
    rest = f"{money(left)} left" if isinstance(left, dict) else ""
    return " ".join(filter(None, (kind, amount, when, f"({rest})" if rest and amount else rest)))


def _amount(benefit: Json) -> str:
    if isinstance(benefit.get("allowedMoney"), dict):
        return money(benefit["allowedMoney"])
    if "allowedUnsignedInt" in benefit:
        return f"{benefit['allowedUnsignedInt']} %"
    return str(benefit.get("allowedString") or "")


def money(value: Json) -> str:
    """A Money as a person writes it."""
    amount = value.get("value")
    shown = f"{amount:,.2f}" if isinstance(amount, int | float | Decimal) else str(amount)
    return f"{shown} {value.get('currency') or ''}".strip()
