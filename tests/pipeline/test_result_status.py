"""Every code of the status tables through the gateway, and which version of a result stands, in every order of arrival."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count, permutations
from typing import Any

import pytest

from tests import messages
from tests.pipeline.conftest import Told

serial = count(1)
ALTERNATE = "http://hl7.org/fhir/StructureDefinition/alternate-codes"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """One gateway for all codes; each message is about a report of its own."""
    told = Told(f"sqlite:///{tmp_path_factory.mktemp('status')}/told.db")
    yield told
    told.gateway.stop()
    told.executor.shutdown()


def result(*obx: str, filler: str, obr25: str = "F", reported: str = "", made: str = "20260905120000-0500", orc: str = "RE", orc5: str = "") -> bytes:
    """ORU^R01 of one order."""
    order = f"ORC|{orc}|P-{filler}^LAB|{filler}^LAB||{orc5}"
    report = f"OBR|1|P-{filler}^LAB|{filler}^LAB|24323-8^Metabolic panel^LN|||20260905|||||||||||||||{reported}||CH|{obr25}"
    return messages.result(order, report, *obx, made=made)


def obx(status: str, value: str = "5.1", code: str = "2823-3") -> str:
    return f"OBX|1|NM|{code}^Potassium^LN||{value}|mmol/L^^UCUM|||||{status}"


def arrives(told: Told, message: bytes, filler: str) -> dict[str, Any]:
    """The report as it stands after a message."""
    assert told.receives(message)[0] == "AA"
    (report,) = told.found("DiagnosticReport", identifier=filler)
    return report


def original(resource: Mapping[str, Any]) -> str:
    """The sender's own code beside a status, "" when it was translated exactly."""
    for extension in resource.get("_status", {}).get("extension", ()):
        if extension["url"] == ALTERNATE:
            return str(extension["valueCodeableConcept"]["coding"][0]["code"])
    return ""


def stands(told: Told, reference: Mapping[str, str]) -> dict[str, Any]:
    (found,) = told.found("Observation", _id=reference["reference"].partition("/")[2])
    return found


# Table 0123 → DiagnosticReport.status, and the letter where the status does not say all of it
REPORTS = {
    "O": ("registered", ""),
    "I": ("registered", ""),
    "S": ("registered", ""),
    "A": ("partial", "A"),
    "P": ("preliminary", ""),
    "C": ("corrected", ""),
    "R": ("partial", ""),
    "F": ("final", ""),
    "X": ("cancelled", ""),
    "M": ("preliminary", "M"),
    "N": ("registered", "N"),
    "Y": ("unknown", "Y"),
    "Z": ("unknown", "Z"),
    "?": ("unknown", "?"),
    "": ("unknown", ""),
}


@pytest.mark.parametrize("code", REPORTS, ids=lambda code: code or "empty")
def test_obr_25(gateway: Told, code: str) -> None:
    filler = f"R{next(serial)}"
    report = arrives(gateway, result(obx("F"), filler=filler, obr25=code), filler)
    assert (report["status"], original(report)) == REPORTS[code]


# Table 0085 → Observation.status
RESULTS = {
    "A": ("amended", ""),
    "B": ("amended", "B"),
    "C": ("corrected", ""),
    "D": ("entered-in-error", ""),
    "F": ("final", ""),
    "I": ("registered", "I"),
    "N": ("registered", "N"),
    "O": ("registered", "O"),
    "P": ("preliminary", ""),
    "R": ("preliminary", "R"),
    "S": ("preliminary", "S"),
    "U": ("final", "U"),
    "V": ("final", "V"),
    "W": ("entered-in-error", ""),
    "X": ("cancelled", ""),
    "?": ("unknown", "?"),
    "": ("unknown", ""),
}


@pytest.mark.parametrize("code", RESULTS, ids=lambda code: code or "empty")
def test_obx_11(gateway: Told, code: str) -> None:
    filler = f"R{next(serial)}"
    report = arrives(gateway, result(obx(code, "" if code in "NX" else "5.1"), filler=filler), filler)
    found = stands(gateway, report["result"][0])
    assert (found["status"], original(found)) == RESULTS[code]
    assert ("dataAbsentReason" in found) is (code == "N")
    assert (report["status"] == "entered-in-error") is (code in "DW" and code != "")


def test_a_value_that_was_not_asked_for_is_still_a_value(gateway: Told) -> None:
    filler = f"R{next(serial)}"
    found = stands(gateway, arrives(gateway, result(obx("N"), filler=filler), filler)["result"][0])
    assert "valueQuantity" in found
    assert "dataAbsentReason" not in found


# Table 0119: what ends, holds or completes an order; every other control leaves it active
ENDS = {
    "OC": "revoked", "DC": "revoked", "CR": "revoked", "OD": "revoked", "UA": "revoked", "DF": "revoked", "DR": "revoked", "HR": "on-hold", "OH": "on-hold",
    "FU": "completed", "DE": "entered-in-error",
}  # fmt: skip
CONTROLS = (
    "NW", "OK", "UA", "PR", "CA", "OC", "CR", "UC", "DC", "OD", "DR", "UD", "HD", "OH", "UH", "HR", "OR", "RL", "RP", "RU", "RO", "RQ", "UM", "PA", "CH", "XO", "XX",
    "UX", "XR", "DE", "RF", "AF", "DF", "FU", "OF", "UR", "RE", "RR", "SR", "SS", "SC", "SN", "NA", "CN", "LI", "UN", "OE", "OP", "MC", "NR", "PY", "IN", "DD",
)  # fmt: skip


@pytest.mark.parametrize("code", CONTROLS)
def test_orc_1(gateway: Told, code: str) -> None:
    assert order(gateway, orc=code)[0] == ENDS.get(code, "active")


ORDERS = {
    "A": "active", "CA": "revoked", "CM": "completed", "DC": "revoked", "ER": "entered-in-error", "HD": "on-hold", "IP": "active", "RP": "revoked",
    "SC": "active",
}  # fmt: skip


@pytest.mark.parametrize("code", ORDERS)
def test_orc_5_says_more_than_orc_1(gateway: Told, code: str) -> None:
    assert order(gateway, orc="CA", orc5=code)[0] == ORDERS[code]


def test_an_unknown_order_status_is_kept(gateway: Told) -> None:
    status, found = order(gateway, orc="RE", orc5="ZQ")
    assert (status, "ZQ" in str(found)) == ("unknown", True)


def order(gateway: Told, **codes: str) -> tuple[str, list[Any]]:
    """Status of the order of a result, and order and report."""
    filler = f"R{next(serial)}"
    report = arrives(gateway, result(obx("F"), filler=filler, **codes), filler)
    (request,) = gateway.found("ServiceRequest", identifier=filler)
    return request["status"], [request, report]


EARLY, MIDDLE, LATE = (f"2026090{day}100000-0500" for day in (5, 6, 7))


def at(status: str, value: str, time: str, reported: str | None = None, obx11: str = "") -> tuple[str, str, str, str, str]:
    """A version of a result: OBR-25, value, MSH-7, OBR-22, OBX-11."""
    return status, value, time, time if reported is None else reported, obx11 or status


@pytest.mark.parametrize(
    ("versions", "end"),
    [
        ([at("P", "1", EARLY), at("F", "2", MIDDLE), at("C", "3", LATE)], ("corrected", "3")),
        ([at("F", "2", EARLY), at("P", "1", LATE, reported=EARLY)], ("final", "2")),  # a late preliminary, its report no newer
        ([at("F", "2", EARLY, ""), at("P", "1", LATE, "")], ("final", "2")),  # nor when nobody says when it was reported
        ([at("F", "2", EARLY), at("C", "3", MIDDLE), at("F", "2", LATE, reported=EARLY)], ("corrected", "3")),  # a final sent again
        ([at("F", "2", EARLY, ""), at("C", "3", MIDDLE, ""), at("F", "2", LATE, "")], ("corrected", "3")),
        ([at("P", "1", EARLY), at("F", "", MIDDLE, obx11="U")], ("final", "1")),  # promoted without being sent again
        ([at("P", "1", EARLY), at("P", "2", MIDDLE), at("F", "", LATE, obx11="U")], ("final", "2")),
        ([at("P", "1", EARLY), at("F", "", MIDDLE, obx11="U"), at("C", "3", LATE)], ("corrected", "3")),
        ([at("F", "2", EARLY), at("F", "2", MIDDLE, obx11="W")], ("entered-in-error", "2")),
        ([at("F", "2", EARLY), at("F", "2", MIDDLE, obx11="D"), at("C", "3", LATE)], ("corrected", "3")),
        ([at("F", "2", EARLY), at("X", "", MIDDLE)], ("cancelled", None)),
    ],
)
def test_which_version_stands_whatever_the_order(gateway: Told, versions: list[tuple[str, str, str, str, str]], end: tuple[str, str | None]) -> None:
    for arrival in permutations(versions):
        filler = f"R{next(serial)}"
        for obr25, value, made, reported, obx11 in arrival:
            report = arrives(gateway, result(obx(obx11, value), filler=filler, obr25=obr25, reported=reported, made=made), filler)
        (reference,) = report["result"]
        found = stands(gateway, reference)
        value = found.get("valueQuantity", {}).get("value")
        assert (found["status"], None if value is None else str(value)) == end, [v[0] for v in arrival]


def test_an_order_group_without_results_says_how_far_the_report_is_and_leaves_its_results(gateway: Told) -> None:
    versions = [result(obx("P"), filler="{}", obr25="P", made=EARLY), result(filler="{}", obr25="F", made=LATE)]
    for arrival in permutations(versions):
        filler = f"R{next(serial)}"
        for message in arrival:
            report = arrives(gateway, message.replace(b"{}", filler.encode()), filler)
        assert (report["status"], len(report["result"])) == ("final", 1)
