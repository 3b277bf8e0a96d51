"""Stories about a payer's document: read whole, refused with every fault at its place, and found by what a Coverage says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fhir_gateway.coverage.payer import Payer, PayerError, payer_of, read, shipped

Json = dict[str, Any]


def payer(**members: Any) -> Payer:
    return read(json.dumps({"name": "acme", "title": "Acme", **members}))


def faults(**members: Any) -> set[str]:
    with pytest.raises(PayerError) as refused:
        payer(**members)
    return {fault.where for fault in refused.value.faults}


def test_the_shipped_payers_are_read() -> None:
    assert {"example-basic", "example-managed-care", "example-mutual"} <= set(shipped())
    assert shipped()["example-mutual"].rules[0].clinic is True


def test_every_fault_is_told_at_its_place() -> None:
    found = faults(
        name="Not A Slug", chanel="x12", seconds=True, names="Acme", rules=[{"serviceType": "20", "covered": "maybe"}, {"covered": True}, 7]
    )
    assert found == {"name", "chanel", "seconds", "names", "rules[0].covered", "rules[1].serviceType", "rules[2]"}


@pytest.mark.parametrize(
    ("members", "where"),
    [
        ({"channel": "x12"}, {"x12"}),
        ({"channel": "fhir", "fhir": {"base": "ftp://payer"}}, {"fhir.base"}),
        (
            {"channel": "fhir", "fhir": {"base": "https://payer/fhir", "tokenUrl": "https://payer/token"}},
            {"fhir.clientId", "fhir.keyFile", "fhir.keyId"},
        ),
        ({"channel": "x12", "x12": {"senderId": "CLINIC", "receiverId": "PAYER", "payerId": "60054"}}, {"x12.url"}),
        (
            {"channel": "x12", "x12": {"url": "https://p/x", "senderId": "CL*NIC", "receiverId": " PAYER", "payerId": "60~54"}},
            {"x12.senderId", "x12.receiverId", "x12.payerId"},
        ),
        ({"rules": [{"serviceType": "20", "network": {"kind": "named"}}]}, {"rules[0].network.providers"}),
        ({"rules": [{"serviceType": "20"}, {"serviceType": "20"}]}, {"rules[1].serviceType"}),
        ({"insurancePlan": {"resourceType": "Coverage"}}, {"insurancePlan.resourceType"}),
    ],
)
def test_a_channel_and_a_rule_need_what_they_work_with(members: Json, where: set[str]) -> None:
    assert faults(**members) == where


@pytest.mark.parametrize("text", ["", "[]", "{", '"acme"', "null"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(PayerError):
        read(text)


ACME, OTHER = payer(identifier=[{"value": "60054"}], names=["Acme Health"]), Payer("other", "Other", names=("Acme  HEALTH",))


@pytest.mark.parametrize(
    ("payors", "name"),
    [
        ([{"identifier": {"system": "urn:any", "value": "60054"}, "display": "Other"}], "acme"),
        ([{"resourceType": "Organization", "identifier": [{"value": "60054"}]}], "acme"),
        ([{"display": "other"}], "other"),
        ([{"display": "acme health"}], None),
        ([{"display": "nobody"}], None),
        ([], None),
    ],
)
def test_an_identifier_decides_before_a_name_and_two_that_fit_mean_none(payors: list[Json], name: str | None) -> None:
    found = payer_of([ACME, OTHER], payors)
    assert (found.name if found else None) == name


def test_a_system_that_is_given_must_be_the_one() -> None:
    strict = payer(identifier=[{"system": "urn:a", "value": "1"}])
    assert payer_of([strict], [{"identifier": {"system": "urn:b", "value": "1"}}]) is None
