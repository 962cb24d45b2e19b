import datetime
import json
import tomllib
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it comes without stubs
import pytest
from hypothesis import given

from purposeguard import Notice, NoticeError
from purposeguard.cli.schema import COMMON, DIALECT, KEYS, RULES, notice_schema, schema_text
from purposeguard.notice import schema, texts
from purposeguard.notice.texts import ByLanguage
from purposeguard.notices import trendmicro_jp
from tests.generated import notice_tables

TOML = Path(trendmicro_jp.__file__).with_name("notice.toml")

SCHEMA = notice_schema()
TABLES = {"Document": SCHEMA, **SCHEMA["$defs"]}
MODELS = {**vars(texts), **vars(schema)}
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def plain(value):
    """TOML's dates as editors hand them to a schema: as text."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


def bundled():
    return plain(tomllib.loads(TOML.read_text("utf-8")))


def test_is_a_schema_without_an_address_of_its_own():
    VALIDATOR.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == DIALECT
    assert "$id" not in SCHEMA
    assert SCHEMA["title"] == "purposeguard notice file"


def test_text_is_sorted_and_ends_in_a_line_break():
    text = schema_text()
    assert json.loads(text) == SCHEMA
    assert text == json.dumps(SCHEMA, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def test_accepts_the_bundled_notice():
    VALIDATOR.validate(bundled())


@given(notice_tables.tables(facts=True))
def test_accepts_what_is_read(tables):
    Notice.parse(tables)
    VALIDATOR.validate(plain(tables))


def put(*path, value):
    """A change that puts a value at a place; where the value is `...` it takes the key away."""

    def change(tables):
        inner = tables
        for step in path[:-1]:
            inner = inner[step]
        if value is ...:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value

    return change


TITLE = {"en": "x", "ja": "x"}

BROKEN = {
    "unknown key at the top": put("sources", value=[]),
    "unknown key in a row": put("source", 0, "note", value="x"),
    "language that is no tag": put("source", 0, "title", "en_US", value="x"),
    "text of no kind": put("source", 0, "text", value={"en": {}}),
    "text in two places": put("source", 0, "text", value={"en": {"file": "a", "lines": "1", "from": "x"}}),
    "text out of the folder": put("source", 0, "text", value={"en": {"file": "../a", "lines": "x"}}),
    "attribute instead of key": put("source", 0, "class_", value="Customer"),
    "another format": put("format", value=2),
    "no format": put("format", value=...),
    "no revision": put("revision", value=...),
    "revision that is no date": put("revision", value=20240401),
    "no sources": put("source", value=[]),
    "no grants": put("grant", value=...),
    "grant without sources": put("grant", 0, "sources", value=[]),
    "grant without purposes": put("grant", 0, "purpose", value=[]),
    "title in no language": put("source", 0, "title", value={}),
    "empty title": put("source", 0, "title", "en", value=""),
    "class name in lower case": put("source", 0, "class", value="customer"),
    "id that is no text": put("source", 1, "id", value=1.1),
    "channels closed and open": put("grant", 2, "purpose", 0, "channels", "open", value=["post"]),
    "channels neither closed nor open": put("grant", 2, "purpose", 0, "channels", value={}),
    "channels without any": put("grant", 2, "purpose", 0, "channels", "closed", value=[]),
    "family of one": put("family", 0, "purposes", value=["1.2(1)②"]),
    "country of three letters": put("transfer", "country", 0, "code", value="TWN"),
    "other countries let through": put("transfer", "otherwise", value="allow"),
    "unknown effect of a request": put("rights", "request", 0, "effect", value="ignores"),
    "period of no days": put("retention", "period", value=[{"source": "1.1(a)", "days": 0, "from": "collection"}]),
    "office that nobody can reach": put("contact", "controller", "email", value=...),
    "prohibition without a reason": put("forbid", value=[{"sources": ["1.1(a)"], "purposes": ["1.2(1)①"]}]),
    "overlay without a product": put("overlay", value=[{"id": "p", "class": "P", "title": TITLE, "source": "1.1(b)"}]),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_rejects_what_is_not_read(change):
    tables = bundled()
    change(tables)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(tables)
    with pytest.raises(NoticeError):
        Notice.parse(tables)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_and_key_is_described_and_closed(name):
    table = TABLES[name]
    assert table["description"]
    if issubclass(MODELS[name], ByLanguage):
        assert table["propertyNames"]["description"]
        return
    assert table["additionalProperties"] is False
    for key, value in table["properties"].items():
        assert len(value["description"]) > 5, key
        assert "title" not in value or isinstance(value["title"], dict), key


def test_keys_are_those_of_the_file():
    for name, table in TABLES.items():
        fields = MODELS[name].model_fields
        assert set(table.get("properties", ["root"])) == {field.alias or key for key, field in fields.items()}


def test_nothing_is_described_that_is_gone():
    assert set(KEYS) <= set(TABLES)
    assert set(RULES) <= set(TABLES)
    for name, keys in KEYS.items():
        assert set(keys) <= set(TABLES[name]["properties"])
    everywhere = {key for table in TABLES.values() for key in table.get("properties", ())}
    assert set(COMMON) <= everywhere


def test_says_nothing_of_null_which_toml_has_not():
    assert "null" not in schema_text().replace('"', " ").split()
