"""Reading a notice file: every fault at once, each with its place and, where there is one, a suggestion.

Two passes. The first is pydantic's, over the shape of the tables. The rows it rejects are left out, and the second
(`Sense`) asks of the others what no single row can tell: duplicate ids, references to nothing, circles, widening. So
a slip of typing in one row does not hide a wrong reference in another.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from purposeguard.errors import Fault, NoticeError
from purposeguard.notice.schema import FORMAT, ONE_LINE, ByLanguage, Document, PurposeRow
from purposeguard.notice.timezones import suggestion as nearest_zones
from purposeguard.notice.validation import ROWS, Sense
from purposeguard.notice.vocabulary import nearest

LARGEST_FILE = 16 * 2**20
"""Bytes of a notice file that are read at most: some thirty times a notice of 2,000 purposes."""


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        NoticeError: the file is missing, unreadable, too large, empty, not UTF-8 or not TOML.
    """
    origin = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a path that no file can have
        raise _alone(origin, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > LARGEST_FILE:
        raise _alone(origin, f"the file is larger than {LARGEST_FILE:,} bytes, more than any notice has")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _alone(origin, f"line {line} is not UTF-8", "save the file as UTF-8") from error
    return parse_toml(text, origin)


def parse_toml(text: str, origin: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises:
        NoticeError: the text is empty or not TOML.
        TypeError: it is no text.
    """
    given: object = text  # callers may be untyped
    if not isinstance(given, str):
        raise TypeError(f"a notice is read from a text in TOML, not from {_article(given)}")
    try:
        tables = tomllib.loads(text)
    except RecursionError as error:
        raise _alone(origin, "is nested too deeply to be a notice") from error
    except ValueError as error:  # a TOMLDecodeError, or a number of too many digits
        raise _alone(origin, f"is not TOML: {error}") from error
    if not tables:
        raise _alone(origin, "is empty", "`purposeguard schema` prints the tables of a notice")
    return tables


def _article(given: object) -> str:
    return "None" if given is None else f"a {type(given).__name__}"


def validated(tables: Mapping[str, Any], origin: str, others: Iterable[Fault] = ()) -> Document:
    """The document that these tables are, its references in canonical spelling; `others` are faults found before.

    Raises:
        NoticeError: with every fault of shape and of sense.
        TypeError: there are no tables, but something else.
    """
    given: object = tables  # callers may be untyped
    if not isinstance(given, Mapping):
        raise TypeError(
            f"a notice is read from the tables of its file, a mapping, not from {_article(given)}: `Notice.load(path)` "
            "reads a file, `Notice.loads(text)` a text"
        )
    faults = [*others]
    try:
        sense = Sense(Document.model_validate(tables))
    except ValidationError as error:
        faults += _shape_faults(error)
        sense = _sense_of_sound_rows(tables)
    faults += sense.faults
    if faults:
        raise NoticeError(sorted(faults, key=lambda fault: _position(fault.place)), origin)
    return sense.document


def merged(tables: Mapping[str, Any], overlays: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """`tables` with the `[[overlay]]` rows of further files behind its own.

    Raises:
        NoticeError: an overlay file holds anything but `[[overlay]]` rows.
    """
    own = tables.get("overlay", [])
    rows = list(own) if isinstance(own, list) else []
    for origin, extra in overlays:
        faults = [
            Fault(key, "has no place in an overlay file", "an overlay file holds `[[overlay]]` tables only")
            for key in extra
            if key != "overlay"
        ]
        more = extra.get("overlay", [])
        if not isinstance(more, list):
            faults.append(Fault("overlay", "must be a list of tables", "write `[[overlay]]`"))
        if faults:
            raise NoticeError(faults, origin)
        rows += more
    return {**tables, "overlay": rows} if isinstance(own, list) and rows else dict(tables)


def _alone(origin: str, message: str, suggestion: str | None = None) -> NoticeError:
    return NoticeError([Fault("", message, suggestion)], origin)


def _place(location: Iterable[str | int]) -> str:
    """`("grant", 2, "purpose", 0)` → `grant[2].purpose[0]`."""
    place = ""
    for part in location:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
    return place


def _position(place: str) -> list[int]:
    """A sort key that puts faults in the order of the tables and their keys."""
    found: list[int] = []
    location: list[str | int] = []
    for part in place.replace("]", "").replace("[", ".").split("."):
        keys = _keys_at(tuple(location))
        found.append(int(part) if part.isdecimal() else keys.index(part) if part in keys else -1)
        location.append(int(part) if part.isdecimal() else part)
    return found


def _shape_faults(error: ValidationError) -> Iterator[Fault]:
    every = error.errors(include_url=False, include_input=True)
    for found in every:
        location = tuple(part for part in found["loc"] if part != "[key]")  # a language is at fault where it stands
        if found["type"] == "too_short":
            if any(other["loc"][: len(location)] == location and other is not found for other in every):
                continue  # only short because its faulty rows were not counted
            least = found.get("ctx", {}).get("min_length", 1)
            yield Fault(_place(location), f"needs {least} {'entries' if least > 1 else 'entry'} at least")
            continue
        message, suggestion = _PLAINLY.get(found["type"]) or found["msg"].removeprefix("Value error, "), None
        if found["type"] == "extra_forbidden":
            message = "is no key of this table"
            close = nearest(location[-1], _keys_at(location[:-1]))
            suggestion = f"did you mean `{close[0]}`?" if close else "`purposeguard schema` prints the keys"
        elif found["type"] == "missing":
            message = "is missing"
        elif found.get("ctx", {}).get("pattern") == ONE_LINE:
            message = "holds a line break or a control character"
            suggestion = "write it as one line of text"
        elif found["type"] == "string_pattern_mismatch":
            message = "is not of the form that such a name has"
            suggestion = _FORMS.get(str(location[-1]))
        elif location == ("format",):
            suggestion = f"this version reads `format = {FORMAT}`"
        elif location == ("timezone",) and isinstance(found["input"], str):
            suggestion = nearest_zones(found["input"])
        yield Fault(_place(location), message[:1].lower() + message[1:], suggestion)


_PLAINLY: Final = {
    "bool_type": "must be `true` or `false`",
    "date_from_datetime_parsing": "must be a date, such as 2026-01-31",
    "date_type": "must be a date, such as 2026-01-31",
    "dict_type": "must be a table",
    "int_type": "must be a whole number",
    "model_type": "must be a table",
    "string_too_short": "is empty",
    "string_type": "must be a text in quotes",
    "tuple_type": "must be a list",
}
"""pydantic's faults in the words of a TOML file."""

_FORMS: Final = {
    "class": "words in CamelCase, e.g. `RenewalGuidance`",
    "code": "two capital letters, e.g. `JP`",
    "function": "words in lower case with underscores, e.g. `link_usage`",
    "id": "words in lower case with hyphens (a channel: underscores), e.g. `domestic-contractor`",
    "operation": "words in lower case with hyphens, e.g. `link`",
}


def _keys_at(location: tuple[str | int, ...]) -> list[str]:
    """The keys that the table at `location` may have."""
    model: type[BaseModel] = Document
    for part in location:
        if isinstance(part, str):
            inner = _inner(model, part)
            if inner is None:
                return []
            model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _inner(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    """The model of the table, or list of tables, under `key`."""
    for name, field in model.model_fields.items():
        if key == (field.alias or name) or issubclass(model, ByLanguage):
            pending: list[Any] = [field.annotation]
            while pending:
                candidate = pending.pop()
                if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                    return candidate
                pending += getattr(candidate, "__args__", ())
    return None


def _sense_of_sound_rows(tables: Mapping[str, Any]) -> Sense:
    """The second pass over what of the file the first accepts, at the places that it has in the file."""
    rows: dict[str, tuple[BaseModel, ...]] = {}
    places: dict[int, str] = {}
    for name in ROWS:
        kept: list[BaseModel] = []
        for index, given in enumerate(_listed(tables.get(name))):
            place = f"{name}[{index}]"
            row = _salvaged(name, given, place)
            if row is None:
                continue
            if name == "grant":
                purposes = [
                    (n, _salvaged("purpose", one, place)) for n, one in enumerate(_listed(given.get("purpose")))
                ]
                sound = [(number, one) for number, one in purposes if one is not None]
                row = row.model_copy(update={"purpose": tuple(one for _, one in sound)})
                places.update((id(one), f"{place}.purpose[{number}]") for number, one in sound)
            places[id(row)] = place
            kept.append(row)
        rows[name] = tuple(kept)
    facts = {name: _sound(model, tables[name]) for name in tables if (model := _fact(name)) is not None}
    return Sense(Document.model_construct(None, **rows, **facts), places, tables)


def _fact(name: str) -> type[BaseModel] | None:
    """The model of a table that has no rows, such as `[transfer]`."""
    return None if name in ROWS else _inner(Document, name)


def _sound(model: type[BaseModel], given: object) -> BaseModel | None:
    try:
        return model.model_validate(given)
    except ValidationError:
        return None  # reported by the first pass


def _listed(given: object) -> list[Any]:
    return given if isinstance(given, list) else []


def _salvaged(name: str, given: object, place: str) -> BaseModel | None:
    """A row as far as it can be read: what is wrong in it is left out or stood in for, so that its references count.

    None where it has no id, or nothing could stand in for what is wrong.
    """
    model = PurposeRow if name == "purpose" else _inner(Document, name)
    if model is None or not isinstance(given, dict):
        return None
    row, empty = dict(given), {}
    if name == "grant":
        row["purpose"] = _STAND_INS["purpose"]  # read one by one
    try:
        return model.model_validate(row)
    except ValidationError as error:
        for wrong in {found["loc"][0] for found in error.errors(include_url=False)}:
            row.pop(str(wrong), None)
            if wrong in _STAND_INS:
                row[str(wrong)] = _STAND_INS[str(wrong)]
                empty[f"{wrong}_" if wrong in ("from", "with") else str(wrong)] = ()
        if "clause" in model.model_fields and "clause" not in row:
            row["clause"] = f"unread {place}".replace("[", " ").replace("]", "")
    try:
        read = model.model_validate(row)
    except ValidationError:
        return None  # reported by the first pass
    return read.model_copy(update={key: value for key, value in empty.items() if key not in _STOOD_IN})


_STOOD_IN: Final = ("title", "reason", "basis")
"""Whose stand-ins stay: there is no nothing of them."""

_BLANK = {"en": "-"}
_STAND_INS: Final[dict[str, Any]] = {
    "title": _BLANK,
    "reason": _BLANK,
    "basis": "consent",
    "sources": ["0"],
    "purposes": ["0", "1"],
    "serves": ["0"],
    "from": ["0"],
    "with": ["0"],
    "purpose": [{"id": "0", "class": "Unread", "title": _BLANK}],
}
"""What a row needs to be read when its own is at fault."""
