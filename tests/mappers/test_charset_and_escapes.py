"""Character sets and escapes: what was meant is read, what was declared wrongly is said, nothing unprintable comes out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappers import v2
from mappers.v2 import charset
from mappers.v2.escape import CONTROLS, decoder, encode
from tests.mappers.build import PID, TABLES, message, only

DECODE = decoder("|", "^", "~", "\\", "&", "", "utf-8")


def surname(raw: bytes) -> str:
    return v2.read(raw).segments[1].value(5)


def patient(name: str, msh18: str, codec: str) -> bytes:
    text = message(PID.replace("Doe", name), msh18=msh18)
    return text.decode().encode(codec)


@pytest.mark.parametrize(
    ("msh18", "codec", "name"),
    [
        ("8859/1", "iso8859-1", "Müller"),
        ("8859/2", "iso8859-2", "Dvořák"),
        ("8859/3", "iso8859-3", "Ġorġ"),
        ("8859/4", "iso8859-4", "Ķēniņš"),
        ("8859/6", "iso8859-6", "محمد"),
        ("8859/7", "iso8859-7", "Παπαδόπουλος"),
        ("8859/8", "iso8859-8", "כהן"),
        ("8859/9", "iso8859-9", "Yılmaz"),
        ("ISO-8859-2", "iso8859-2", "Dvořák"),
        ("8859-5", "iso8859-5", "Иванов"),
        ("ISO_IR 87", "iso2022_jp", "山田"),
        ("ASCII~ISO IR87~ISO IR159", "iso2022_jp_2", "丂山"),
        ("ISO IR159", "iso2022_jp_2", "丂山"),
        ("BIG-5", "big5", "王小明"),
        ("GB18030", "gb18030", "王小明"),
        ("utf8", "utf-8", "Dvořák"),
        ("8859/5", "iso8859-5", "Иванов"),
        ("8859/15", "iso8859-15", "Šœ€"),
        ("UNICODE UTF-8", "utf-8", "Dvořák"),
        ("~ISO IR87", "iso2022_jp", "山田"),
        ("GB 18030-2000", "gb18030", "王小明"),
        ("KS X 1001", "euc_kr", "김철수"),
    ],
)
def test_the_declared_set_is_used(msh18, codec, name):
    raw = patient(name, msh18, codec)
    assert surname(raw) == name
    assert v2.read(raw).findings == []


def test_utf8_under_a_latin_declaration_is_read_as_utf8_and_said():
    read = v2.read(patient("Müller", "8859/1", "utf-8"))
    assert read.segments[1].value(5) == "Müller"
    assert [(f.severity, str(f.where)) for f in read.findings] == [("warning", "MSH[1]-18")]


@pytest.mark.parametrize("msh18", ["8859/1", "8859/15"])
def test_windows_quotes_under_a_latin_declaration_are_read_and_said(msh18):
    read = v2.read(patient("d’Orléans – 5 €", msh18, "cp1252"))
    assert read.segments[1].value(5) == "d’Orléans – 5 €"
    assert [(f.severity, str(f.where)) for f in read.findings] == [("warning", "MSH[1]-18")]


@pytest.mark.parametrize("msh18", ["", "ASCII", "8859/1", "UNICODE UTF-8", "~ISO IR87", "GB 18030-2000", "nonsense"])
@given(name=st.text(alphabet=st.characters(codec="cp1252", categories=("L", "N", "P", "Sc")), min_size=1, max_size=12))
def test_whatever_is_declared_a_name_comes_out_without_control_characters(msh18, name):
    for codec in ("cp1252", "utf-8"):
        sent = encode(name, field="|", component="^", repetition="~", escape="\\", subcomponent="&")
        result = v2.map_message(v2.read(message(PID.replace("Doe", sent), msh18=msh18).decode().encode(codec)), TABLES, v2.Site())
        family = only(result, "Patient")["name"][0]["family"]
        assert family
        assert not CONTROLS.search(family)
        assert family == name or codec != "utf-8" or msh18 in ("~ISO IR87", "GB 18030-2000")


def test_latin_without_declaration_is_read_and_said():
    read = v2.read(patient("Müller", "", "cp1252"))
    assert read.segments[1].value(5) == "Müller"
    assert read.findings[0].code == "102"


def test_an_unknown_set_is_said():
    assert [f.code for f in v2.read(patient("Müller", "EBCDIC-DE", "utf-8")).findings] == ["103"]


def test_utf16_is_recognised_by_its_bytes():
    assert surname(patient("Dvořák", "UNICODE UTF-16", "utf-16")) == "Dvořák"


@given(st.binary(max_size=300))
def test_no_byte_is_ever_lost(raw):
    text, codec, _ = charset.decode(raw)
    assert text.encode(codec) in (raw, raw.removeprefix(b"\xef\xbb\xbf"), raw[2:])


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"),
        ("10\\X6D6D\\", "10mm"),
        ("\\XC3BC\\ber", "über"),
        ("one\\.br\\two\\.BR\\three", "one\ntwo\nthree"),
        ("a\\.sp2\\b\\.in+4\\c", "a\n\nbc"),
        ("\\H\\bold\\N\\ plain", "bold plain"),
        ("\\\\server\\share\\x", "\\\\server\\share\\x"),
        ("\\Zloc\\ and \\.xx\\", "\\Zloc\\ and \\.xx\\"),
        ("ends with \\", "ends with \\"),
        ("\\E\\.br\\E\\", "\\.br\\"),
        ("\\X00\\\\X0D0A\\", "\n"),
    ],
)
def test_escapes_are_decoded_once(sent, meant):
    assert DECODE(sent) == meant


def test_an_iso2022_switch_is_followed():
    assert DECODE("\\M2442\\;3ED\\C2842\\") == "山田"


def test_a_decoded_delimiter_does_not_split():
    result = v2.map_message(v2.read(message(PID.replace("Doe", "Smith \\T\\ Sons"))), TABLES, v2.Site())
    assert only(result, "Patient")["name"][0]["family"] == "Smith & Sons"


@given(st.text(max_size=80))
def test_what_is_written_is_read_back(text):
    clean = CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    written = encode(text, field="|", component="^", repetition="~", escape="\\", subcomponent="&")
    assert not set("|^~&\r\n") & set(written)
    assert DECODE(written) == clean


@given(st.text(alphabet="\\XHN.brFSTE0A1DCM ", max_size=60))
def test_no_control_character_comes_out_of_an_escape(text):
    assert not CONTROLS.search(DECODE(text))
