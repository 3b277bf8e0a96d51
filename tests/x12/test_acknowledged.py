"""TA1, 999 and 997 in place of an answer, in words."""

from __future__ import annotations

import pytest

from mappers import x12
from tests.x12.build import ISA, interchange, transaction_set


def ta1(code: str, note: str) -> bytes:
    return f"{ISA}~TA1*000000905*261120*1200*{code}*{note}~IEA*0*000000117~".encode()


def of_999(*body: str, kind: str = "999") -> bytes:
    return interchange(transaction_set(["AK1*HS*905*005010X279A1", *body], kind=kind))


@pytest.mark.parametrize(
    ("raw", "taken", "words"),
    [
        (ta1("R", "025"), False, "the interchange was refused (TA1), TA105 025: the interchange's number was used before"),
        (ta1("R", "024"), False, "the interchange was refused (TA1), TA105 024"),
        (ta1("A", "000"), True, "(TA1) that the interchange was taken"),
        (of_999("AK2*270*0001", "IK5*A", "AK9*A*1*1*1"), True, "(999) that the question was taken"),
        (
            of_999("AK2*270*0001", "IK3*NM1*8*2100*8", "IK4*9*67*7*M-1", "IK3*HL*9**I4", "IK5*R*5", "AK9*R*1*1*0"),
            False,
            "the question was refused (999), at segment 8 (NM1), element 9, segment 9 (HL) of what was sent",
        ),
        (of_999("AK2*270*0001", "AK5*R*5", "AK9*R*1*1*0", kind="997"), False, "the question was refused (997)"),
        (of_999("AK9*P*2*2*1"), False, "the question was refused (999)"),
    ],
)
def test_an_acknowledgement_says_whether_the_question_was_taken_and_where_it_is_wrong(raw: bytes, taken: bool, words: str) -> None:
    """X12.5 TA104, TA105; 005010X231A1 IK3, IK4, IK5, AK9. A value that was sent (IK404) is not repeated."""
    (one,) = x12.acknowledgements(x12.read(raw)[0])
    assert one.taken is taken and words in one.text and "M-1" not in one.text


def test_an_answer_is_no_acknowledgement() -> None:
    assert list(x12.acknowledgements(x12.read(interchange(transaction_set(["BHT*0022*11*1*20260914"])))[0])) == []
