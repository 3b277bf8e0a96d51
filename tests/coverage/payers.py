"""A gateway that asks the mock payer, over one of the ways there are: its clock stands still until told otherwise, its worker's rounds are called by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fhir_gateway.app import CARRIERS
from fhir_gateway.mockpayer.folder import answer_all
from fhir_gateway.outbound.folders import Folders
from fhir_gateway.outbound.sender import Sender
from fhir_gateway.store import Circuit
from tests import messages
from tests.mockpayer import MockPayer
from tests.pipeline.conftest import STAFF, Told, _told

Json = dict[str, Any]
NPI = "1999999984"
FHIR, CORE, RAW, FILES = "fhir", "x12 in an envelope", "x12 raw", "x12 in files"


@dataclass
class Clinic:
    """A gateway with one payer, `example`."""

    told: Told
    payer: MockPayer
    way: str
    folder: Path

    def configure(self, **changes: Any) -> None:
        """Have the payer configured for the way, with changes."""
        document = {"name": "example", "title": "Example Payer", "identifier": [{"value": "BLUE01"}], "seconds": 20, **self._channel(), **changes}
        self.told.gateway.store.run(STAFF, self.told.now, lambda tx: tx.payers.put(document["name"], json.dumps(document)))

    def refers(self, member: str, payer: str = "BLUE01", until: str = "20271231") -> str:
        """A referral of somebody with this member number and this payer; the number of the referral."""
        number = f"REF-{member}-{payer}"
        sent = messages.referral(number, mrn=f"9{member}", given=f"Given{member}", made=f"{self.told.now:%Y%m%d%H%M%S}+0000")
        sent = sent.replace(f"M-9{member}".encode(), member.encode()).replace(b"M-554321", member.encode())
        sent = sent.replace(b"BLUE01", payer.encode()).replace(b"20271231", until.encode())
        assert self.told.receives(sent)[0] == "AA"
        return number

    def works(self, **later: float) -> None:
        """Time goes on; what is due is sent, and files that lie there are picked up."""
        self.told.passes(**later)
        gateway = self.told.gateway
        sender = Sender(gateway.outgoing, CARRIERS, 20)
        while sender.round():
            continue
        if self.way == FILES:
            answer_all(self.payer.book, self.folder / "out", self.folder / "in")
            Folders(gateway.answer_files.folders, gateway.answer_files.take, quiet=-60).round()

    def rested(self) -> None:
        """The payer's failures are forgotten, so that the next story begins anew."""
        self.told.gateway.store.run(STAFF, self.told.now, lambda tx: tx.payers.answered(Circuit("example")))

    def money(self, number: str) -> Json:
        """Gate, items and words of a case, flat."""
        case = self.told.case(number)
        items = {item["id"]: item["reason"] or item["state"] for item in case["items"]}
        gate = case["gates"]["money"]["state"]
        return {**case["money"], "gate": gate, "item": items["coverage-eligibility"], "authorization": items["authorization"]}

    def raw(self, number: str) -> bytes:
        """What the payer answered, as it came."""
        kept = self.told.gateway.raw_message(STAFF, self.money(number)["raw"].partition("/")[2])
        assert kept is not None
        return kept.content

    def _channel(self) -> Json:
        ends = {"senderId": "CLINIC", "receiverId": "EXPAY", "payerId": "EXPAY"}
        return {
            "rules": {},
            FHIR: {"channel": "fhir", "fhir": {"base": f"{self.payer.base}/fhir"}},
            CORE: {"channel": "x12", "x12": {**ends, "url": f"{self.payer.base}/x12"}},
            RAW: {"channel": "x12", "x12": {**ends, "url": f"{self.payer.base}/x12", "envelope": "raw"}},
            FILES: {"channel": "x12", "x12": {**ends, "folder": str(self.folder)}},
        }[self.way]


@contextmanager
def clinic(payer: MockPayer, way: str, folder: Path) -> Iterator[Clinic]:
    """A fresh gateway on SQLite: no query of these stories differs between the databases."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATEWAY_CLINIC_NPI", NPI)
        patch.setenv("GATEWAY_LOG_LEVEL", "error")
        for name in ("in", "out"):
            (folder / name).mkdir()
        for told in _told(f"sqlite:///{folder}/told.db"):
            made = Clinic(told, payer, way, folder)
            made.configure()
            yield made
