"""Reading a notice file: every fault at once, each with its place and, where there is one, a suggestion.

Two passes. The first is pydantic's, over the shape of the tables. The rows it rejects are left out, and the second
(`Sense`) asks of the others what no single row can tell: duplicate ids, references to nothing, circles, widening. So
a slip of typing in one row does not hide a wrong reference in another.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from purposeguard.document import FORMAT, Document
from purposeguard.errors import Fault, NoticeError
from purposeguard.sense import Sense
from purposeguard.terms import nearest

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
    except OSError as error:
        raise _alone(origin, f"cannot be read: {error.strerror or error}") from error
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
    """
    try:
        tables = tomllib.loads(text)
    except RecursionError as error:
        raise _alone(origin, "is nested too deeply to be a notice") from error
    except tomllib.TOMLDecodeError as error:
        raise _alone(origin, f"is not TOML: {error}") from error
    if not tables:
        raise _alone(origin, "is empty", "`purposeguard schema` prints the tables of a notice")
    return tables


def validated(tables: Mapping[str, Any], origin: str) -> Document:
    """The document that these tables are, its references in canonical spelling.

    Raises:
        NoticeError: with every fault of shape and of sense.
    """
    faults: list[Fault] = []
    try:
        sense = Sense(Document.model_validate(tables))
    except ValidationError as error:
        faults += _shape_faults(error)
        sense = _sense_of_sound_rows(tables)
    faults += sense.faults
    if faults:
        order = list(Document.model_fields)
        raise NoticeError(sorted(faults, key=lambda fault: _position(fault.place, order)), origin)
    return sense.document


def merged(tables: Mapping[str, Any], overlays: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """`tables` with the `[[overlay]]` rows of further files behind its own.

    Raises:
        NoticeError: an overlay file holds anything but `[[overlay]]` rows.
    """
    rows = list(tables.get("overlay", ()))
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
    return {**tables, "overlay": rows} if rows else dict(tables)


def _alone(origin: str, message: str, suggestion: str | None = None) -> NoticeError:
    return NoticeError([Fault("", message, suggestion)], origin)


def _place(location: Iterable[str | int]) -> str:
    """`("grant", 2, "purpose", 0)` → `grant[2].purpose[0]`."""
    place = ""
    for part in location:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
    return place


def _position(place: str, order: Sequence[str]) -> tuple[int, list[tuple[int, str]]]:
    """A sort key that puts faults in the file's order, numbers as numbers."""
    head, *rest = place.replace("]", "").replace("[", ".").split(".")
    parts = [(int(part), "") if part.isdecimal() else (-1, part) for part in rest]
    return order.index(head) if head in order else -1, parts


def _shape_faults(error: ValidationError) -> Iterator[Fault]:
    for found in error.errors(include_url=False, include_context=False, include_input=False):
        location = found["loc"]
        message, suggestion = found["msg"].removeprefix("Value error, "), None
        if found["type"] == "extra_forbidden":
            message = "is no key of this table"
            close = nearest(location[-1], _keys_at(location[:-1]))
            suggestion = f"did you mean `{close[0]}`?" if close else "`purposeguard schema` prints the keys"
        elif found["type"] == "missing":
            message = "is missing"
        elif location == ("format",):
            suggestion = f"this version reads `format = {FORMAT}`"
        yield Fault(_place(location), message[:1].lower() + message[1:], suggestion)


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
        if key == (field.alias or name):
            pending: list[Any] = [field.annotation]
            while pending:
                candidate = pending.pop()
                if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                    return candidate
                pending += getattr(candidate, "__args__", ())
    return None


def _sense_of_sound_rows(tables: Mapping[str, Any]) -> Sense:
    """The second pass over the rows that the first accepts, at the places they have in the file."""
    rows: dict[str, tuple[BaseModel, ...]] = {}
    places: dict[int, str] = {}
    for name in ("channel", "source", "grant", "family", "derivation", "forbid", "overlay"):
        model = _inner(Document, name)
        raw = tables.get(name)
        kept: list[BaseModel] = []
        for index, given in enumerate(raw if isinstance(raw, list) else ()):
            if model is None or not isinstance(given, dict):
                continue
            row, lines = _sound_purposes(given) if name == "grant" else (given, [])
            try:
                kept.append(model.model_validate(row))
            except ValidationError:
                continue  # reported by the first pass
            places[id(kept[-1])] = f"{name}[{index}]"
            for number, purpose in zip(lines, getattr(kept[-1], "purpose", ()), strict=True):
                places[id(purpose)] = f"{name}[{index}].purpose[{number}]"
        rows[name] = tuple(kept)
    return Sense(Document.model_construct(**rows), places, tables)  # type: ignore[arg-type]  # rows are of their models


def _sound_purposes(grant: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
    """A grant with its sound purposes only, and where they stood."""
    model = _inner(Document, "grant")
    inner = _inner(model, "purpose") if model else None
    raw = grant.get("purpose")
    kept: list[int] = []
    for number, row in enumerate(raw if isinstance(raw, list) else ()):
        try:
            if inner is not None:
                inner.model_validate(row)
                kept.append(number)
        except ValidationError:
            continue  # reported by the first pass
    return ({**grant, "purpose": [raw[number] for number in kept]} if isinstance(raw, list) else grant), kept
