"""Rows of DuckDB relations: the test for those that may be used, as SQL that DuckDB runs when the relation is read."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from purposeguard.adapters import row_values
from purposeguard.adapters.row_rule import LONGEST, NO_ID, KeySet, RowRule, rendered
from purposeguard.errors import UnknownSource
from purposeguard.locks import new_lock
from purposeguard.notice.vocabulary import fold

KEYS: Final = "purposeguard_keys"
"""What a query calls the table of many keys."""

_WHOLE: Final = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"})
_LARGER: Final = frozenset({"UBIGINT", "HUGEINT", "UHUGEINT"})
_TEXT: Final = "VARCHAR"
_VIEW: Final = itertools.count(1)


def filtered(relation: Any, rule: RowRule) -> Any:
    """The rows of a relation that may be used, when it is read."""
    words = Words(rule, dict(zip(relation.columns, relation.types, strict=True)))
    test = rendered(rule, words)
    keys = words.keys()
    if keys is None:
        return relation.filter(test)
    view = f"purposeguard_rows_{next(_VIEW)}"
    return _queried(relation, view, f"SELECT * FROM {view} WHERE {test}", keys)  # noqa: S608  # quoted here


def _queried(relation: Any, view: str, text: str, purposeguard_keys: pa.Table) -> Any:  # noqa: ARG001  # see below
    # DuckDB finds the table of keys by the name of the argument, and keeps it as long as the relation that it gives.
    return relation.query(view, text)


def quoted(text: str) -> str:
    """A name in SQL."""
    return '"' + text.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def _looked_up(clause_of: Mapping[str, str], clauses: frozenset[str], here: str) -> str:
    """Whether a text means one of these clauses; null where it is none of the texts."""
    chosen = ", ".join(str(clause in clauses).lower() for clause in clause_of.values())
    return f"list_extract([{chosen}], list_position([{', '.join(map(literal, clause_of))}], {here}))"


class Words:
    """The words of DuckDB (see `Renderer`)."""

    def __init__(self, rule: RowRule, types: Mapping[str, Any]) -> None:
        self._rule = rule
        self._types = types
        self._spellings = row_values.Spellings(rule.notice)
        self._tables: dict[tuple[int, str], tuple[int, KeySet]] = {}

    def true(self) -> str:
        """Every row."""
        return "true"

    def false(self) -> str:
        """No row."""
        return "false"

    def all_of(self, parts: Sequence[str]) -> str:
        """Rows that are in each."""
        return f"({' AND '.join(parts)})"

    def any_of(self, parts: Sequence[str]) -> str:
        """Rows that are in one of them."""
        return f"({' OR '.join(parts)})"

    def negated(self, part: str) -> str:
        """The other rows."""
        return f"(NOT {part})"

    def absent(self, column: str) -> str:
        """Rows in which the column is null."""
        return f"({quoted(column)} IS NULL)"

    # ---- sources -----------------------------------------------------------------------------------------------------

    def source_in(self, column: str, clauses: frozenset[str]) -> str:
        """Rows whose source is one of these."""
        kind, here = self._types[column], quoted(column)
        if kind.id == "enum":
            here = f"CAST({here} AS VARCHAR)"
            for member in dict(kind.children)["values"]:
                with contextlib.suppress(UnknownSource):  # no row may have it
                    self._spellings.learn(column, [member])
        elif str(kind) != _TEXT:
            raise row_values.not_sources(column, kind)
        clause_of = self._spellings.clauses
        usual = {text: clause for text, clause in clause_of.items() if text == clause}
        folded = {folded: clause for text, clause in clause_of.items() if (folded := fold(text)) is not None}
        # What follows is worked out for those rows alone for which what precedes gives null.
        readings = [
            _looked_up(texts, clauses, form)
            for texts, form in ((usual, here), (clause_of, here), (folded, _folded(here)))
        ]
        return f"coalesce({', '.join(readings)}, {self._refusal(column)})"

    def _refusal(self, column: str) -> str:
        here = quoted(column)
        unknown = (
            f"'unknown source `' || left(CAST({here} AS VARCHAR), 60) || '`: {self._rule.notice.id} has no such one'"
        )
        return f"error(CASE WHEN {here} IS NULL THEN {literal(str(row_values.no_source(column)))} ELSE {unknown} END)"

    # ---- days --------------------------------------------------------------------------------------------------------

    def days_in(self, column: str, since: datetime.date | None, before: datetime.date | None) -> str:
        """Rows that hold a day of these."""
        kind, here = str(self._types[column]), quoted(column)
        if kind == '"NULL"':
            return "false"
        if kind == "DATE":
            bounds: list[str | None] = [None if day is None else f"DATE '{day.isoformat()}'" for day in (since, before)]
        elif kind == "TIMESTAMP WITH TIME ZONE":
            ticks = row_values.within(since, before, self._rule.timezone, "us")
            if ticks is None:
                return "false"
            bounds = [None if tick is None else f"make_timestamptz({tick})" for tick in ticks]
        elif kind.startswith("TIMESTAMP"):
            raise row_values.naive(column)
        else:
            raise row_values.not_days(column, kind)
        parts = [f"{here} IS NOT NULL"]
        parts += [
            f"{here} {sign} {bound}" for sign, bound in zip((">=", "<"), bounds, strict=True) if bound is not None
        ]
        return self.all_of(parts)

    # ---- subjects ----------------------------------------------------------------------------------------------------

    def subject_in(self, column: str, keys: KeySet) -> str:
        """Rows whose id is one of these."""
        kind, here = self._types[column], quoted(column)
        if kind.id == "enum":
            kind, here = _TEXT, f"CAST({here} AS VARCHAR)"
        kind = str(kind)
        if kind == '"NULL"':
            return "false"
        if kind in _WHOLE:
            return self._in(f"CAST({here} AS BIGINT)" if kind != "BIGINT" else here, keys, "ints")
        if kind in _LARGER:
            return self._in(f"CAST({here} AS VARCHAR)", keys, "texts")
        if kind == "UUID":
            return self._in(f"replace(CAST({here} AS VARCHAR), '-', '')", keys, "uuids")
        if kind != _TEXT:
            raise row_values.not_subjects(column, kind)
        odd = f"regexp_matches({here}, {literal(NO_ID)}) OR length({here}) > {LONGEST}"
        failure = f"error({literal(str(row_values.blank_subject(column)))})"
        parts = [f"CASE WHEN {odd} THEN {failure} ELSE false END"]
        if keys.texts:
            parts = [self._in(f"(CASE WHEN {odd} THEN {failure} ELSE {here} END)", keys, "texts")]
        if keys.uuids:
            parts.append(f"(length({here}) >= 32 AND {self._in(_digits(here), keys, 'uuids')})")
        if not all(key.isascii() for key in keys.texts):
            parts.append(self._in(f"nfc_normalize({here})", keys, "texts"))
        return f"({quoted(column)} IS NOT NULL AND {self.any_of(parts)})"

    def _in(self, here: str, keys: KeySet, form: str) -> str:
        ids: tuple[Any, ...] = getattr(keys, form)
        if not ids:
            return "false"
        if len(ids) <= row_values.FEW:
            members = ", ".join(str(key) if form == "ints" else literal(key) for key in ids)
        else:
            which, _ = self._tables.setdefault((id(keys), form), (len(self._tables), keys))
            members = f"SELECT {'number' if form == 'ints' else 'spelt'} FROM {KEYS} WHERE which = {which}"  # noqa: S608  # numbers and names of ours
        return f"coalesce({here} IN ({members}), false)"

    def keys(self) -> pa.Table | None:
        """The table of many keys; None where few are asked for, which stand in the text."""
        if not self._tables:
            return None
        return pa.concat_tables([_table(keys, form, which) for (_, form), (which, keys) in self._tables.items()])


_kept: weakref.WeakKeyDictionary[KeySet, dict[str, pa.Array]] = weakref.WeakKeyDictionary()
_keeping: Final = new_lock()
_FORMS: Final[dict[str, Callable[[KeySet], pa.Array]]] = {
    "ints": lambda keys: pa.array(keys.ints, pa.int64()),
    "texts": lambda keys: pa.array(keys.texts, pa.string()),
    "uuids": lambda keys: pa.array(keys.uuids, pa.string()),
}


def _table(keys: KeySet, form: str, which: int) -> pa.Table:
    with _keeping:
        known = _kept.setdefault(keys, {})
    array = known.get(form)
    if array is None:
        array = known.setdefault(form, _FORMS[form](keys))
    count = len(array)
    numbers = array if form == "ints" else pa.nulls(count, pa.int64())
    spelt = pa.nulls(count, pa.string()) if form == "ints" else array
    return pa.table({"which": pa.repeat(pa.scalar(which, pa.int32()), count), "number": numbers, "spelt": spelt})


def _digits(here: str) -> str:
    bare = f"regexp_replace(regexp_replace({here}, '^(urn:uuid:)?\\{{?', ''), '\\}}$', '')"
    return f"lower(replace({bare}, '-', ''))"


_ENCLOSED: Final = "①②③④⑤⑥⑦⑧⑨➀➁➂➃➄➅➆➇➈❶❷❸❹❺❻❼❽❾➊➋➌➍➎➏➐➑➒"
_WIDE: Final = "".join(map(chr, range(0xFF01, 0xFF5F)))
_PLAIN: Final = "".join(map(chr, range(0x21, 0x7F)))


def _folded(here: str) -> str:
    """What `fold` makes of an id, of the glyphs that are usual; of others what is no id."""
    spaced = f"regexp_replace({here}, '([{_ENCLOSED}])', ' \\1 ', 'g')"
    glyphs, plain = literal(_ENCLOSED + _WIDE + "\N{IDEOGRAPHIC SPACE}"), literal("123456789" * 4 + _PLAIN + " ")
    text = f"lower(translate({spaced}, {glyphs}, {plain}))"
    tokens = f"regexp_extract_all({text}, '[0-9]+|\\p{{L}}+')"
    parted, together = f"array_to_string({tokens}, '.')", f"array_to_string({tokens}, '')"
    joined = f"CASE WHEN regexp_matches({text}, '[0-9]') THEN {parted} ELSE {together} END"
    readable = f"regexp_full_match({text}, '[0-9\\p{{L}}\\s_.,()\\[\\]§:/\\-‐–]*')"
    return f"CASE WHEN {readable} THEN {joined} END"
