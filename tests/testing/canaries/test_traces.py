"""A value is found in a text as it is and transformed, also where encodings are nested; and nothing else is."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import quopri
import random
import urllib.parse
import uuid
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposeguard.testing.traces import pieces, texts_of, trace_of

VALUES = {
    "word": "fkqpwmzxyabc",
    "mail": "fkqpwmzxyabc@example.com",
    "name": "Fkqpwmz Xyabcde",
    "katakana": "アサタナハマヤ",
    "phone": "+81 90-1234-5678",
    "address": "11.22.33.44",
    "day": "1987-03-12",
    "number": "1234567890",
}

ENCODINGS: dict[str, tuple[Callable[[str], str], str]] = {
    "plain": (str, ""),
    "capitals": (str.upper, "in another case"),
    "small": (str.lower, "in another case"),
    "swapped": (str.swapcase, "in another case"),
    "base64": (lambda text: base64.b64encode(text.encode()).decode(), "in base64"),
    "base64, one off": (lambda text: base64.b64encode(b"x" + text.encode()).decode(), "in base64"),
    "base64, two off": (lambda text: base64.b64encode(b"xy" + text.encode() + b"z").decode(), "in base64"),
    "base64 for addresses": (lambda text: base64.urlsafe_b64encode(b"\xff\xfe?" + text.encode()).decode(), "in base64"),
    "base64 without padding": (lambda text: base64.b64encode(text.encode()).decode().rstrip("="), "in base64"),
    "base64 behind something": (lambda text: "x" + base64.b64encode(text.encode()).decode(), "in base64"),
    "hexadecimal": (lambda text: text.encode().hex(), "in hexadecimal"),
    "hexadecimal, capitals": (lambda text: text.encode().hex().upper(), "in hexadecimal"),
    "hexadecimal in pairs": (lambda text: text.encode().hex(":"), "in hexadecimal"),
    "URL": (lambda text: urllib.parse.quote(text, safe="").replace("f", "%66").replace("1", "%31"), "URL-encoded"),
    "form": (lambda text: urllib.parse.urlencode({"q": f"é{text}"}), ""),
    "JSON": (lambda text: json.dumps(f"é{text}"), ""),
    "JSON, all": (lambda text: "".join(f"\\u{ord(one):04x}" for one in text), "escaped as in JSON"),
    "HTML": (lambda text: html.escape(f"<{text}>"), ""),
    "HTML, all": (lambda text: "".join(f"&#{ord(one)};" for one in text), "as HTML"),
    "mail": (lambda text: quopri.encodestring(f"é{text}".encode()).decode(), ""),
    "reversed": (lambda text: text[::-1], "reversed"),
    "JSON in base64 in a URL": (
        lambda text: urllib.parse.quote(base64.b64encode(json.dumps({"a": text}).encode()).decode(), safe=""),
        "in base64",
    ),
    "zlib in base64": (lambda text: base64.b64encode(zlib.compress(text.encode())).decode(), "compressed"),
    "zlib in hexadecimal": (lambda text: zlib.compress(text.encode()).hex(), "compressed"),
    "gzip in base64": (lambda text: base64.b64encode(gzip.compress(text.encode())).decode(), "compressed"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("value", VALUES)
def test_each_transformation_of_each_kind_of_value_is_found(value, encoding):
    encode, how = ENCODINGS[encoding]
    encoded = encode(VALUES[value])
    text = f"mailing <{encoded}> now"
    found = trace_of(text, [VALUES[value]])
    assert found is not None
    if how and VALUES[value] not in encoded:
        assert how in found.how
    part = text[found.start : found.end]
    assert part
    assert part in encoded or encoded in part


HASHES = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "blake2b", "blake2s"]


@pytest.mark.parametrize("algorithm", HASHES)
def test_hashes_of_the_plain_value_are_found(algorithm):
    value = VALUES["mail"]
    digest = hashlib.new(algorithm, value.encode())
    for text in (
        digest.hexdigest(),
        digest.hexdigest().upper(),
        digest.hexdigest()[:12],
        digest.hexdigest()[-10:],
        f"user_{digest.hexdigest()}_x",
        base64.b64encode(digest.digest()).decode(),
        base64.urlsafe_b64encode(digest.digest()[:9]).decode(),
        hashlib.new(algorithm, value.upper().encode()).hexdigest(),
    ):
        found = trace_of(f"key: {text}", [value])
        assert found is not None, text
        assert any(f"hashed by {algorithm}" in one for one in found.how)


def test_hashes_of_other_kinds_are_found():
    value = VALUES["mail"]
    for text in (
        hashlib.blake2b(value.encode(), digest_size=6).hexdigest(),
        str(uuid.uuid5(uuid.NAMESPACE_URL, value)),
        str(uuid.UUID(hashlib.md5(value.encode()).hexdigest())),  # noqa: S324  # as somebody may do
    ):
        assert trace_of(f"key={text};", [value]) is not None, text


def test_numbers_in_other_groups_are_found():
    assert trace_of("call 090 1234 5678", ["+81 90-1234-5678", "9012345678"]) is not None
    assert trace_of("1,234,567,890 yen", ["1234567890"]) is not None
    assert trace_of("born 1987/03/12", ["1987-03-12"]) is not None


def test_the_place_is_told():
    text = "mailing fkqpwmzxyabc now"
    found = trace_of(text, ["fkqpwmzxyabc"])
    assert found is not None
    assert text[found.start : found.end] == "fkqpwmzxyabc"
    assert found.description == ""
    encoded = base64.b64encode(b"fkqpwmzxyabc").decode()
    text = f"mailing {encoded} now"
    found = trace_of(text, ["fkqpwmzxyabc"])
    assert found is not None
    assert (text[found.start : found.end], found.description) == (encoded, "in base64")


@pytest.mark.parametrize("value", VALUES)
def test_half_of_a_value_is_none(value):
    text = VALUES[value]
    assert trace_of(f"mailing {text[: len(text) // 2]} now", [text]) is None


@given(st.text(max_size=300))
def test_other_texts_hold_no_trace(text):
    assert trace_of(text, list(VALUES.values())) is None


@pytest.mark.parametrize(
    "text",
    [
        "mailing somebody@example.com about https://example.com/a?b=c",
        '{"name": "Aiko Mori", "renews_on": "2030-01-20", "contracts": [{"product": "Shield"}]}',
        "SELECT customers.id, customers.name FROM customers WHERE customers.id = ?",
        hashlib.sha256(b"something else").hexdigest() * 3,
        base64.b64encode(bytes(range(256))).decode(),
        "2024-03-12 12:34:56,789 INFO shop.mail 1987 mails sent in 1234 ms",
    ],
)
def test_ordinary_texts_hold_no_trace(text):
    assert trace_of(text, list(VALUES.values())) is None


def test_what_is_not_known_again_is_never_found():
    assert trace_of("True and 7", texts_of(True)) is None
    assert trace_of("anything", []) is None


NOISE = random.Random(1).randbytes(40_000)


def test_pictures_take_no_long_time():
    found = list(pieces(base64.b64encode(NOISE).decode()))
    assert sum(len(one.text) for one in found) < 150 * len(NOISE)


@pytest.mark.parametrize("value", ["katakana", "mail"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "cp932"])
def test_what_stands_in_a_picture_is_found(encoding, value):
    picture = NOISE[:5_001] + VALUES[value].encode(encoding) + NOISE[5_001:10_000]
    assert trace_of(base64.b64encode(picture).decode(), [VALUES[value]]) is not None


@pytest.mark.parametrize("encoding", ["URL", "JSON, all", "HTML, all", "mail", "base64", "hexadecimal"])
@pytest.mark.parametrize("value", ["katakana", "mail"])
def test_what_stands_encoded_between_the_lengths_of_fields_is_found(value, encoding):
    """As in protocol buffers, of which every few bytes are none of a text."""
    encoded = ENCODINGS[encoding][0](VALUES[value]).encode()
    fields = b"".join(bytes((0x12, 4)) + f"{number:04}".encode() for number in range(200))
    message = fields[:600] + bytes((0x1A, len(encoded) % 32)) + encoded + fields[600:]
    for text in (base64.b64encode(message).decode(), message.decode("latin-1")):
        assert trace_of(text, [VALUES[value]]) is not None


def test_large_texts_take_no_long_time():
    text = json.dumps([hashlib.sha256(str(number).encode()).hexdigest() for number in range(1000)])
    assert trace_of(text, list(VALUES.values())) is None
