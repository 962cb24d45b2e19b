"""Reading a notice file: every fault at once, each with its place and, where there is one, a suggestion.

There are two passes. In the first, pydantic checks the shape of the tables. The second (`check_cross_references`)
leaves out the rows that the first rejects, and checks what no single row shows: duplicate ids, references to nothing,
circles, widening. So a typing error in one row does not hide a wrong reference in another.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ValidationError

from purposeguard.containers import omit_keys
from purposeguard.errors import Fault, NoticeError
from purposeguard.notice.fields import ONE_LINE
from purposeguard.notice.schema import FORMAT, Channels, Document, PurposeRow
from purposeguard.notice.texts import ByLanguage, Titles
from purposeguard.notice.timezones import suggest_name as nearest_zones
from purposeguard.notice.validation import ROWS, CrossReferenceCheck, check_cross_references
from purposeguard.notice.vocabulary import find_nearest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from purposeguard.notice.positions import Position

LARGEST_FILE = 16 * 2**20
"""The greatest size of a notice file in bytes: some thirty times a notice of 2,000 purposes."""


class SourceText(NamedTuple):
    """A text that tables were read from."""

    origin: str
    text: str
    rows_before: int | None = None
    """The number of overlays before those of this text, if it is a file of overlays; else None."""


class ParsedTables(dict[str, Any]):
    """The tables of one file, or of a notice and its overlays, and the texts that they were read from."""

    written: tuple[SourceText, ...] = ()


def read_toml(path: Path, *, may_be_empty: bool = False) -> ParsedTables:
    """Read the tables of a TOML file: a notice, or another file of a project, which may be empty.

    Raises:
        NoticeError: the file is missing, unreadable, too large, empty, not UTF-8 or not TOML.
    """
    origin = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a path that no file can have
        where = "give the path of a TOML file, from the folder that this runs in or from the root"
        text = "`Notice.loads(text)` reads a text"
        why = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise _make_single_fault_error(
            "a text" if "\n" in origin else origin, why, text if "\n" in origin else where
        ) from error
    if len(content) > LARGEST_FILE:
        raise _make_single_fault_error(
            origin, f"the file is larger than {LARGEST_FILE:,} bytes, more than any notice has", "give the notice alone"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig")
        raise _make_end_of_text_error(before, origin, "is not UTF-8 from here on", "save the file as UTF-8") from error
    return parse_toml(text, origin, may_be_empty=may_be_empty)


def parse_toml(text: str, origin: str, *, may_be_empty: bool = False) -> ParsedTables:
    """Parse a TOML text into its tables.

    Raises:
        NoticeError: the text is empty or not TOML.
        TypeError: it is no text.
    """
    import tomllib  # noqa: PLC0415  # Generated modules contain their notice as JSON.

    value: object = text  # Callers may be untyped.
    if not isinstance(value, str):
        raise TypeError(f"a notice is read from a text in TOML, not from {_name_with_article(value)}")
    try:
        tables = ParsedTables(tomllib.loads(text))
    except RecursionError as error:
        raise _make_single_fault_error(
            origin, "is nested too deeply to be a notice", "write a table under a `[header]`"
        ) from error
    except ValueError as error:  # A TOMLDecodeError, or a number with too many digits.
        from purposeguard.notice.positions import explain_toml_error  # noqa: PLC0415  # Only faults have positions.

        before, reason, suggestion = explain_toml_error(text, str(error))
        raise _make_end_of_text_error(before, origin, f"is not TOML: {reason}", suggestion) from error
    if not tables and not may_be_empty:
        raise _make_end_of_text_error("", origin, "is empty", "`purposeguard schema` prints the tables of a notice")
    tables.written = (SourceText(origin, text),)
    return tables


def _name_with_article(given: object) -> str:
    return "None" if given is None else f"a {type(given).__name__}"


def validate_tables(tables: Mapping[str, Any], origin: str, others: Iterable[Fault] = ()) -> Document:
    """Validate the tables of a notice and return them as a document, with references in canonical spelling.

    Args:
        tables: the tables of the notice file.
        origin: the name of the file in error messages.
        others: faults that were found before, to be reported with those found here.

    Raises:
        NoticeError: with every fault of shape and of sense.
        TypeError: `tables` is no mapping.
    """
    value: object = tables  # Callers may be untyped.
    if not isinstance(value, Mapping):
        raise TypeError(
            f"a notice is read from the tables of its file, a mapping, not from {_name_with_article(value)}: "
            "`Notice.load(path)` reads a file, `Notice.loads(text)` a text"
        )
    faults = [*others]
    try:
        check = check_cross_references(Document.model_validate(tables))
    except ValidationError as error:
        faults += _iter_shape_faults(error)
        check = _check_sound_rows(tables)
    faults += check.faults
    if faults:
        raise NoticeError(locate_faults(sorted(faults, key=lambda fault: _sort_key(fault.place)), tables), origin)
    return check.document


def locate_faults(faults: Iterable[Fault], tables: Mapping[str, Any]) -> list[Fault]:
    """Add to each fault the line and the column at which it is written, and sort the faults by them.

    A fault about something that is not written, such as a missing key, is placed where its table begins. Faults stay
    as they are if the tables were not read from a text.
    """
    texts = tables.written if isinstance(tables, ParsedTables) else ()
    positions = [_index_positions(source.text) for source in texts]
    placed = [_locate_fault(fault, texts, positions) for fault in faults]
    order = {source.origin: number for number, source in enumerate(texts)}
    return sorted(placed, key=lambda fault: (order.get(fault.file or "", 0), fault.line or 0, fault.column or 0))


def _index_positions(text: str) -> dict[str, Position]:
    """Return place → its position in a text."""
    from purposeguard.notice.positions import find_positions  # noqa: PLC0415  # Only faults have positions.

    return {_format_place(location): position for location, position in find_positions(text).items()}


def _locate_fault(fault: Fault, texts: tuple[SourceText, ...], positions: list[dict[str, Position]]) -> Fault:
    overlay = re.match(r"overlay\[(\d+)\]", fault.place)
    for source, positions_here in reversed([*zip(texts, positions, strict=True)]):
        place = fault.place
        if overlay is None:
            if source.rows_before is not None:
                continue  # Everything but overlays is in the notice's own file.
        else:
            index = int(overlay[1]) - (source.rows_before or 0)
            if index < 0:
                continue
            place = f"overlay[{index}]{place[overlay.end() :]}"
        position = _find_nearest_position(place, positions_here)
        return fault._replace(place=place, file=source.origin, line=position.line, column=position.column)
    return fault


def _find_nearest_position(place: str, positions: dict[str, Position]) -> Position:
    """Return the position of a place, or else of the nearest table or list that contains it, or of the whole file."""
    while place not in positions and place:
        place = place[: max(place.rfind("."), place.rfind("["), 0)]
    return positions[place]


def merge_overlays(tables: Mapping[str, Any], overlays: Iterable[tuple[str, Mapping[str, Any]]]) -> ParsedTables:
    """Return `tables` with the `[[overlay]]` rows of further files after its own.

    Raises:
        NoticeError: an overlay file holds anything but `[[overlay]]` rows.
    """
    own = tables.get("overlay", [])
    rows = list(own) if isinstance(own, list) else []
    written = tables.written if isinstance(tables, ParsedTables) else ()
    for origin, extra in overlays:
        hint = "an overlay file holds `[[overlay]]` tables only"
        faults = [Fault(key, "has no place in an overlay file", hint) for key in extra if key != "overlay"]
        more = extra.get("overlay", [])
        if not isinstance(more, list):
            faults.append(Fault("overlay", "must be a list of tables", "write `[[overlay]]`"))
        if faults:
            raise NoticeError(locate_faults(faults, extra), origin)
        if isinstance(extra, ParsedTables):
            written += tuple(source._replace(rows_before=len(rows)) for source in extra.written)
        rows += more
    whole = ParsedTables({**tables, "overlay": rows} if isinstance(own, list) and rows else tables)
    whole.written = written
    return whole


def _make_single_fault_error(origin: str, message: str, suggestion: str | None = None) -> NoticeError:
    return NoticeError([Fault("", message, suggestion)], origin)


def _make_end_of_text_error(before: str, origin: str, message: str, suggestion: str | None) -> NoticeError:
    """Make an error with one fault at the place where the text `before` ends."""
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return NoticeError([Fault("", message, suggestion, origin, line, column)], origin)


def _format_place(location: Iterable[str | int]) -> str:
    """Format a location as a place: `("grant", 2, "purpose", 0)` → `grant[2].purpose[0]`."""
    place = ""
    for part in location:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
    return place


def _sort_key(place: str) -> list[int]:
    """Return a sort key that puts faults in the order of the tables and their keys."""
    sort_key: list[int] = []
    location: list[str | int] = []
    for part in place.replace("]", "").replace("[", ".").split("."):
        keys = _list_keys_at(tuple(location))
        sort_key.append(int(part) if part.isdecimal() else keys.index(part) if part in keys else -1)
        location.append(int(part) if part.isdecimal() else part)
    return sort_key


def _iter_shape_faults(error: ValidationError) -> Iterator[Fault]:
    every = error.errors(include_url=False, include_input=True)
    reported: set[str] = set()
    for problem in every:
        # A faulty language is reported at its table.
        location = tuple(part for part in problem["loc"] if part != "[key]")
        if problem["type"] == "too_short" and any(
            other["loc"][: len(location)] == location and other is not problem for other in every
        ):
            continue  # The list is only short because its faulty rows were not counted.
        if problem["type"] != "extra_forbidden":
            location = _strip_alternatives(location)
        message, suggestion = _describe_error(problem, location)
        place = _format_place(location)
        if place not in reported:  # Another alternative of the same value may have reported it.
            reported.add(place)
            yield Fault(place, message, suggestion or _make_example(location))


def _describe_error(problem: ErrorDetails, location: tuple[str | int, ...]) -> tuple[str, str | None]:  # noqa: PLR0911  # One return for each kind of error.
    """Describe an error of pydantic in the words of a TOML file.

    Returns:
        The message, and a suggestion; None if `_make_example` is to make one.
    """
    kind, value, context = problem["type"], problem["input"], problem.get("ctx", {})
    key = next((part for part in reversed(location) if isinstance(part, str)), "")
    if kind == "string_too_long":
        return f"has more than {context['max_length']} characters", "shorten it"
    if kind in _MESSAGE_BY_KIND:
        rows = isinstance(value, Mapping) and _find_inner_model(_find_model_at(location[:-1]), key) is not None
        header = f"[[{'.'.join(part for part in location if isinstance(part, str))}]]"
        suggestion = f"write `{header}`, in two brackets, above each row" if kind == "tuple_type" and rows else None
        return _MESSAGE_BY_KIND[kind].format(**context), suggestion
    if kind == "too_short":
        least = context["min_length"]
        return f"needs {least} {'entries' if least > 1 else 'entry'} at least", None
    if kind == "extra_forbidden":
        return "is no key of this table", _guess_key(location)
    if kind == "literal_error":
        return _describe_choice_error(problem, location)
    if context.get("pattern") == ONE_LINE:
        return "holds a line break or a control character", "write it as one line of text"
    if kind == "string_pattern_mismatch":
        form = _FORM_BY_KEY.get("channel" if "channel" in location else key)
        return "is not of the form that such a name has", form
    message, _, use = problem["msg"].removeprefix("Value error, ").partition(": use ")
    if isinstance(value, Mapping) and {"closed", "open"} <= value.keys():
        message, use = "has both `closed` and `open`", "one: `closed` for these only, `open` for these for example"
    if location == ("timezone",):
        return message, nearest_zones(str(value))
    return message[:1].lower() + message[1:], f"use {use}" if use else None


def _guess_key(location: tuple[str | int, ...]) -> str:
    """Suggest which key was probably meant by one that its table does not have."""
    key, keys = str(location[-1]), _list_keys_at(location[:-1])
    if len(location) == 1:
        for table in keys:
            if key in _list_keys_at((table,)) and _find_inner_model(_find_inner_model(Document, table), key):
                return f"write `[[{table}.{key}]]`, below its `{table}`"
    if close := find_nearest(key, keys, _ALIKE):
        return f"did you mean `{close[0]}`?"
    hint = f"the keys here are {_join_names(keys)}" if len(keys) <= _FEW else ""
    return hint or "`purposeguard schema` prints the keys"


def _describe_choice_error(problem: ErrorDetails, location: tuple[str | int, ...]) -> tuple[str, str | None]:
    """Describe a value that is none of the allowed texts, and suggest what to write."""
    if location == ("format",):
        return "is of another version", f"this version reads `format = {FORMAT}`"
    key = next((part for part in reversed(location) if isinstance(part, str)), "")
    close = find_nearest(problem["input"], _list_choices(_find_annotation(_find_model_at(location[:-1]), key)))
    choices = problem["msg"].removeprefix("Input should be ").replace("'", "`")
    if close:
        return f"must be {choices}", f"did you mean `{close[0]}`?"
    return f"must be {choices}", "write it as it stands here" if isinstance(location[-1], int) else None


_ALIKE: Final = 0.7
"""The least likeness at which a key is taken for a misspelling of another."""

_FEW: Final = 9
"""The greatest number of keys that a message lists. For more it refers to the schema."""

_MESSAGE_BY_KIND: Final = {
    "bool_type": "must be `true` or `false`",
    "date_from_datetime_inexact": "must be a date",
    "date_from_datetime_parsing": "must be a date",
    "date_type": "must be a date",
    "dict_type": "must be a table",
    "greater_than": "must be greater than {gt}",
    "int_type": "must be a whole number",
    "missing": "is missing",
    "model_type": "must be a table",
    "string_too_short": "is empty",
    "string_type": "must be a text in quotes",
    "tuple_type": "must be a list",
}
"""Type of pydantic's error → the message in the words of a TOML file."""

_CHANNEL: Final = "Latin letters in lower case, e.g. `email` or `direct_mail`; what people call it is its `title`"
_HYPHENS: Final = "words in lower case with hyphens, e.g. `domestic-contractor`"
_FORM_BY_KEY: Final = {
    "announced_by": _CHANNEL,
    "channel": _CHANNEL,
    "class": "words in CamelCase, e.g. `RenewalGuidance`",
    "closed": _CHANNEL,
    "code": "two capital letters, e.g. `JP`",
    "countries": "two capital letters, e.g. `JP`",
    "function": "words in lower case with underscores, e.g. `link_usage`",
    "home": "two capital letters, e.g. `JP`",
    "id": _HYPHENS,
    "open": _CHANNEL,
    "operation": _HYPHENS,
}


def _strip_alternatives(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return a location as it is in the file: pydantic appends which alternative of a value it tried."""
    for number, part in enumerate(location):
        if isinstance(part, str) and _find_annotation(_find_model_at(location[:number]), part) is None:
            return location[:number]
    return location


def _make_example(location: tuple[str | int, ...]) -> str | None:
    """Make an example of what to write at a place of the file; None if nothing can be written there."""
    names = [part for part in location if isinstance(part, str)]
    if not names or _find_annotation(_find_model_at(location[:-1]), names[-1]) is None:
        return None
    key, model = names[-1], _find_model_at(tuple(names[:-1]))
    annotation, table = _find_annotation(model, key), _find_inner_model(model, key)
    kinds = [*_iter_annotation_types(annotation)]
    if table is Titles:
        return f'write `{key} = {{ en = "…" }}`'
    if table is Channels:
        return f'write `{key} = {{ closed = ["…"] }}`, or `open` for `closed`'
    if table is not None:
        path = ".".join(names)
        return f"write `[[{path}]]` above each row" if tuple in kinds else f"write `[{path}]`, and its keys below"
    value = next((text for kind, text in _VALUES.items() if kind in kinds), '"…"')
    if choices := _list_choices(annotation):
        value = f'"{choices[0]}"'
    return f"write `{key} = {f'[{value}, …]' if tuple in kinds else value}`"


_VALUES: Final[dict[object, str]] = {bool: "true", int: "30", datetime.date: "2026-01-31"}


def _iter_annotation_types(annotation: object) -> Iterator[object]:
    """Yield the types that an annotation is made of, and the texts of its literals."""
    pending = [annotation]
    while pending:
        kind = pending.pop()
        yield kind
        yield get_origin(kind)
        pending += get_args(kind)


def _list_choices(annotation: object) -> list[str]:
    """Return the texts of the literals in an annotation."""
    return [kind for kind in _iter_annotation_types(annotation) if isinstance(kind, str)]


def _join_names(names: Iterable[str]) -> str:
    *first, last = (f"`{name}`" for name in names)
    return f"{', '.join(first)} and {last}" if first else last


def _list_keys_at(location: tuple[str | int, ...]) -> list[str]:
    """List the keys that the table at `location` may have. The list is empty if there is no table."""
    model = _find_model_at(location)
    if model is None or issubclass(model, ByLanguage):
        return []  # The keys are languages, of which there is no list.
    return [field.alias or name for name, field in model.model_fields.items()]


def _find_model_at(location: tuple[str | int, ...]) -> type[BaseModel] | None:
    model: type[BaseModel] | None = Document
    for part in location:
        model = _find_inner_model(model, part) if isinstance(part, str) else model
    return model


def _find_annotation(model: type[BaseModel] | None, key: str) -> object:
    """Return the annotation of a key of a table; None if the table has no such key. Titles accept every language."""
    fields = model.model_fields if model is not None else {}
    if model is not None and issubclass(model, ByLanguage):
        return fields["root"].annotation
    for name, field in fields.items():
        if key == (field.alias or name):
            return field.annotation
    return None


def _find_inner_model(model: type[BaseModel] | None, key: str) -> type[BaseModel] | None:
    """Return the model of the table, or list of tables, under `key`; None if there is none."""
    for kind in _iter_annotation_types(_find_annotation(model, key)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _check_sound_rows(tables: Mapping[str, Any]) -> CrossReferenceCheck:
    """Run the second pass over the rows that the first pass accepts. Faults get the places of the rows in the file."""
    rows: dict[str, tuple[BaseModel, ...]] = {}
    places: dict[int, str] = {}
    for name in ROWS:
        sound_rows: list[BaseModel] = []
        for index, table in enumerate(_as_list(tables.get(name))):
            place = f"{name}[{index}]"
            row = _salvage_row(name, table, place)
            if row is None:
                continue
            if name == "grant":
                sound_purposes: list[BaseModel] = []
                for number, purpose_table in enumerate(_as_list(table.get("purpose"))):
                    purpose = _salvage_row("purpose", purpose_table, place)
                    if purpose is not None:
                        places[id(purpose)] = f"{place}.purpose[{number}]"
                        sound_purposes.append(purpose)
                row = row.model_copy(update={"purpose": tuple(sound_purposes)})
            places[id(row)] = place
            sound_rows.append(row)
        rows[name] = tuple(sound_rows)
    facts: dict[str, BaseModel | None] = {}
    for name, table in tables.items():
        model = _find_fact_model(name)
        if model is not None:
            facts[name] = _validate_or_none(model, table)
    return check_cross_references(Document.model_construct(None, **rows, **facts), places, tables)


def _find_fact_model(name: str) -> type[BaseModel] | None:
    """Return the model of a table that is no list of rows, such as `[transfer]`; None if there is none."""
    return None if name in ROWS else _find_inner_model(Document, name)


def _validate_or_none(model: type[BaseModel], given: object) -> BaseModel | None:
    try:
        return model.model_validate(given)
    except ValidationError:
        return None  # The first pass reports it.


def _as_list(given: object) -> list[Any]:
    return given if isinstance(given, list) else []


def _salvage_row(name: str, given: object, place: str) -> BaseModel | None:
    """Read a row that may be faulty, so that its references count.

    Faulty values are left out or replaced by stand-ins. Return None if the row has no id, or if no stand-in helps.
    """
    model = PurposeRow if name == "purpose" else _find_inner_model(Document, name)
    if model is None or not isinstance(given, dict):
        return None
    row, empty = dict(given), {}
    if name == "grant":
        row["purpose"] = _STAND_INS["purpose"]  # The purposes are read separately.
    try:
        return model.model_validate(row)
    except ValidationError as error:
        for wrong in {problem["loc"][0] for problem in error.errors(include_url=False)}:
            row.pop(str(wrong), None)
            if wrong in _STAND_INS:
                row[str(wrong)] = _STAND_INS[str(wrong)]
                empty[f"{wrong}_" if wrong in ("from", "with") else str(wrong)] = ()
        if "clause" in model.model_fields and "clause" not in row:
            row["clause"] = f"unread {place}".replace("[", " ").replace("]", "")
    try:
        read = model.model_validate(row)
    except ValidationError:
        return None  # The first pass reports it.
    return read.model_copy(update=omit_keys(empty, _STOOD_IN))


_STOOD_IN: Final = ("title", "reason", "basis")
"""The keys whose stand-ins stay in the row, because they have no empty value."""

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
"""Key → the value that stands in for a faulty one, so that the row can be read."""
