"""Small interchanges for tests: everything is made up."""

from __future__ import annotations

from mappers import x12
from mappers.x12 import Separators

USUAL = Separators()
ISA = "ISA*00*          *00*          *ZZ*PAYERTEST      *ZZ*SOGCLINIC      *260914*0930*^*00501*000000117*0*T*:"
PAYER = ["HL*1**20*1", "NM1*PR*2*MERIDIAN HEALTH PLAN*****PI*MHP01", "PER*IC*PROVIDER LINE*TE*8005550142"]
PROVIDER = ["HL*2*1*21*1", "NM1*1P*2*LAKESIDE CANCER CENTER*****XX*1999999984"]
SUBSCRIBER = ["HL*3*2*22*0", "TRN*2*SOG-0417*9SOGCLINIC", "NM1*IL*1*MARLOWE*INES****MI*MH4471902", "DMG*D8*19710314*F", "DTP*346*D8*20260101"]
BEGIN = ["BHT*0022*11*SOG-0417*20260914*0930"]


def transaction_set(body: list[str], control: str = "0001", kind: str = "271") -> list[str]:
    return [f"ST*{kind}*{control}*005010X279A1", *body, f"SE*{len(body) + 2}*{control}"]


def interchange(*sets: list[str], separators: Separators = USUAL, end: str = "\n") -> bytes:
    """The segments of transaction sets in one group, in the usual separators, then in those wanted."""
    lines = [ISA, "GS*HB*PAYERTEST*SOGCLINIC*20260914*0930*117*X*005010X279A1"]
    lines += [line for one in sets for line in one]
    lines += [f"GE*{len(sets)}*117", "IEA*1*000000117"]
    text = end.join(line + "~" for line in lines)
    return text.translate(str.maketrans(dict(zip("*^:~", separators, strict=True)))).encode() + end.encode()


def answer(*benefits: str, subscriber: list[str] = SUBSCRIBER, separators: Separators = USUAL) -> bytes:
    """A 271 about one subscriber."""
    return interchange(transaction_set([*BEGIN, *PAYER, *PROVIDER, *subscriber, *benefits]), separators=separators)


def only(raw: bytes) -> x12.Transaction:
    (transaction,) = x12.read(raw)[0].transactions
    return transaction
