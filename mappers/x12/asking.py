"""CoverageEligibilityRequest with its Coverage, Patient, payer and provider → the Question of a 270.

Names are written as X12's basic character set allows: without accents, in capitals, separators as blanks. Numbers are never changed: one that can't be
sent is refused. What a 270 must have and FHIR does not hold is an X12Error that names the FHIR element.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from mappers.result import Json
from mappers.x12.parties import NPI
from mappers.x12.place import Place, X12Error
from mappers.x12.question import NPI_QUALIFIER, PAYER_QUALIFIER, Party, Person, Question
from mappers.x12.segment import USUAL
from profiles.eligibility import ASKED_FIRST, SERVICE_TYPES

_UNSENT: Final = re.compile(r"[^A-Z0-9 !\"&'()+,\-./;?=]+")
_LETTERS: Final = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D"}
    | {"þ": "th", "Þ": "TH", "ħ": "h", "Ħ": "H", "ı": "i", "ŋ": "n", "Ŋ": "N", "ŧ": "t", "Ŧ": "T"}
    | dict.fromkeys("\u2018\u2019\u02bc\u00b4`", "'")
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014", "-")
)
"""Letters that are no base letter with an accent, and the apostrophes and hyphens of typesetters."""
_LONGEST: Final = {"NM1": 80, "REF": 50}
"""Characters of NM109 and REF02 (005010X279A1, 2100C)."""
_GENDERS: Final = {"female": "F", "male": "M"}
_RELATIONS: Final = {"spouse": "01", "child": "19"}
_OTHER: Final = "34"
_SERVICE: Final = re.compile("[A-Z0-9]{1,2}")
_HOME: Final = frozenset({"", "US", "USA"})
_SELF: Final = frozenset({"", "self"})
_PROCEDURES: Final = {"http://www.ama-assn.org/go/cpt": "HC", "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": "HC"}


def question(
    request: Json,
    *,
    coverage: Json,
    patient: Json,
    payer: Json,
    provider: Json,
    trace: str,
    origin: str,
    subscriber: Json | None = None,
    payer_number: str = "",
) -> Question:
    """payer, provider: Organization or Practitioner. subscriber: the Patient or RelatedPerson who holds the policy, where that is not the patient.

    trace: the number by which the answer will be known (at most 50 characters). origin: who gave it; made ten characters long as TRN03 wants.
    payer_number: how the payer is numbered on this way, before its own identifier. Service types come from request.item, else the second opinion's.
    """
    relation = _relation(coverage)
    itself = relation in _SELF
    holder = patient if itself else subscriber or {}
    member, insured = _member(coverage, holder), _person(holder, "")
    if not member and not (insured.family and insured.born):
        raise X12Error("neither a member number (Coverage.subscriberId) nor name and date of birth of the subscriber are known", Place(11, "NM1", 9))
    services, procedures = _wanted(request)
    first, last = _dates(request)
    return Question(
        trace=trace,
        origin=_origin(origin),
        payer=_payer(payer, payer_number),
        provider=_provider(provider),
        subscriber=replace(insured, member=member),
        dependent=None if itself else _person(patient, ""),
        relationship="" if itself else _RELATIONS.get(relation, _OTHER),
        group=_group(coverage),
        service_types=services,
        procedures=procedures,
        first=first,
        last=last,
    )


def level(coverage: Json) -> str:
    """In which loop the patient is asked about under a Coverage: C as the subscriber, D as a dependent."""
    return "C" if _relation(coverage) in _SELF else "D"


def _relation(coverage: Json) -> str:
    return next((code for _, code in _codings(coverage.get("relationship"))), "")


def _payer(payer: Json, number: str) -> Party:
    number = number or next((one["value"] for one in payer.get("identifier", ()) if one.get("value")), "")
    if not number:
        raise X12Error("the payer has no number (Organization.identifier)", Place(6, "NM1", 9))
    return Party(_plain(payer.get("name", ""), 60), number, PAYER_QUALIFIER)


def _provider(provider: Json) -> Party:
    number = next((one["value"] for one in provider.get("identifier", ()) if one.get("system") == NPI and one.get("value")), "")
    if not number:
        raise X12Error(f"the provider has no NPI (identifier of {NPI})", Place(8, "NM1", 9))
    name = provider.get("name", "")
    if isinstance(name, str):
        return Party(_plain(name, 60), number, NPI_QUALIFIER)
    person = _person(provider, "")
    return Party(person.family, number, NPI_QUALIFIER, person.given)


def _member(coverage: Json, holder: Json) -> str:
    """The member number: of the Coverage, else what identifies holder or Coverage as a member (type MB)."""
    named = (
        one for one in (*coverage.get("identifier", ()), *holder.get("identifier", ())) if "MB" in {code for _, code in _codings(one.get("type"))}
    )
    number = str(coverage.get("subscriberId") or next((one["value"] for one in named if one.get("value")), "")).strip()
    if len(number) == 1:
        raise X12Error("the member number is shorter than the two characters X12 wants", Place(11, "NM1", 9))
    return _short(number, "the member number", Place(11, "NM1", 9))


def _short(number: str, what: str, where: Place) -> str:
    """A number that fits; it is never cut. Raises X12Error."""
    if len(number) > _LONGEST[where.segment]:
        raise X12Error(f"{what} is longer than the {_LONGEST[where.segment]} characters X12 allows", where)
    if not (number.isascii() and number.isprintable()) or set(number) & set(USUAL):
        raise X12Error(f"{what} holds a character that can't be sent in X12", where)
    return number


def _group(coverage: Json) -> str:
    found = (str(one["value"]).strip() for one in coverage.get("class", ()) if "group" in {code for _, code in _codings(one.get("type"))})
    return _short(next(found, ""), "the group number", Place(12, "REF", 2))


def _person(person: Json, member: str) -> Person:
    names = sorted(person.get("name", ()), key=lambda name: name.get("use") != "official")
    name: Json = names[0] if names else {}
    given = [_plain(text, 35) for text in name.get("given", ())]
    return Person(
        family=_plain(name.get("family", ""), 60),
        given=given[0] if given else "",
        middle=given[1][:25] if len(given) > 1 else "",
        suffix=_plain(" ".join(name.get("suffix", ())), 10),
        member=member,
        born=person.get("birthDate", "").replace("-", "") if len(person.get("birthDate", "")) == 10 else "",
        gender=_GENDERS.get(person.get("gender", ""), ""),
        **_address(next(iter(person.get("address", ())), {})),
    )


def _address(address: Json) -> dict[str, Any]:
    """N3 and N4 of an address in the United States that is whole; a payer is asked without any other, as neither segment must be sent (2100C N3, N4)."""
    lines = tuple(filter(None, (_plain(line, 55) for line in address.get("line", ())[:2])))
    city, state = _plain(address.get("city", ""), 30), _plain(address.get("state", ""), 9)
    postal = re.sub(r"[ -]", "", address.get("postalCode", ""))
    whole = lines and len(city) > 1 and re.fullmatch("[A-Z]{2}", state) and re.fullmatch("[0-9]{5}([0-9]{4})?", postal)
    return {"lines": lines, "city": city, "state": state, "postal": postal} if whole and address.get("country", "US") in _HOME else {}


def _wanted(request: Json) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    services = dict.fromkeys(
        code.upper() for item in request.get("item", ()) for system, code in _codings(item.get("category")) if system == SERVICE_TYPES
    )
    if wrong := [code for code in services if not _SERVICE.fullmatch(code)]:
        raise X12Error(f"{len(wrong)} of the service types asked about (item.category) have no code of one or two characters", Place(14, "EQ", 1))
    asked = (pair for item in request.get("item", ()) for pair in _codings(item.get("productOrService")))
    procedures = dict.fromkeys((_PROCEDURES[system], code) for system, code in asked if system in _PROCEDURES)
    return tuple(services) or (() if procedures else (ASKED_FIRST,)), tuple(procedures)


def _dates(request: Json) -> tuple[str, str]:
    period = request.get("servicedPeriod", {})
    first, last = ((request.get("servicedDate") or period.get(end, ""))[:10].replace("-", "") for end in ("start", "end"))
    whole = [day for day in (first, last) if len(day) == 8]
    return (whole[0], whole[-1]) if whole else ("", "")


def _codings(concept: Json | None) -> Iterable[tuple[str, str]]:
    return [(coding.get("system", ""), coding["code"]) for coding in (concept or {}).get("coding", ()) if coding.get("code")]


def _origin(text: str) -> str:
    """Ten characters: as they are, or after a 9 (a number of our own kind) and filled with zeros."""
    return text if len(text) == 10 else ("9" + re.sub(r"[^A-Za-z0-9]", "", text).upper()[:9]).ljust(10, "0")


def _plain(text: str, width: int) -> str:
    """In X12's basic character set, at most `width` characters."""
    bare = unicodedata.normalize("NFKD", text.translate(_LETTERS)).encode("ascii", "ignore").decode().upper()
    return " ".join(_UNSENT.sub(" ", bare).split())[:width].rstrip()
