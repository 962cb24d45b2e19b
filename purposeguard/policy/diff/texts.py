"""The differences between the words of two revisions (`text`), and the number of rows that were compared.

Words decide nothing, so a change of words is neutral. People must check that the rows still say what the words say.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from purposeguard.notice.fields import Table
from purposeguard.notice.history import History
from purposeguard.notice.passages import fingerprint
from purposeguard.notice.schema import Criterion, Document, Extension, LegalPeriod, Period, Prohibition
from purposeguard.notice.texts import ByLanguage, Passage, Texts
from purposeguard.policy.diff.changes import AnyPair, Change, Fact, Matching, kind_of

FACTS: Final = ("entrustment", "transfer", "safeguards", "rights", "retention", "contact", "voluntary", "changes")

WHAT: Final[Mapping[str, str]] = {
    "channel": "channel",
    "condition": "condition",
    "country": "country",
    "criterion": "retention",
    "equivalent": "country",
    "extension": "extension",
    "forbid": "prohibition",
    "grant": "clause",
    "incorporated": "incorporated",
    "law": "retention",
    "means": "means",
    "measures": "measure",
    "period": "retention",
    "provision": "provision",
    "recipients": "recipient",
    "request": "request",
}
"""List in the file → the kind of its rows."""

Key = tuple[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class TextRow:
    """A row of either revision or of both, with the facts that identify it and its texts."""

    facts: Mapping[str, Fact]
    old: Mapping[str, Passage]
    new: Mapping[str, Passage]


def collect_rows(history: History, matching: Matching) -> list[TextRow]:
    """Collect every row of the two revisions, once."""
    old, new = history.notices[0].document, history.latest.document
    pairs: tuple[AnyPair, ...] = (*matching.sources, *matching.purposes, *matching.families)
    rows: list[TextRow] = []
    for pair in pairs:
        facts: dict[str, Fact] = {"what": kind_of(pair), "id": pair.id}
        rows.append(TextRow(facts, _row_texts(pair.old), _row_texts(pair.new)))
    before, after = dict(_iter_other_rows(old, matching)), dict(_iter_other_rows(new, None))
    for key, row in {**before, **after}.items():
        rows.append(TextRow(_row_facts(key, row, matching), _row_texts(before.get(key)), _row_texts(after.get(key))))
    return rows


def diff_texts(history: History, matching: Matching) -> Iterator[Change]:
    """Yield the texts that are new, gone or worded differently. Line breaks in them do not matter."""
    first, *_, last = history
    for row in collect_rows(history, matching):
        for language in {**row.new, **row.old}:
            old, new = row.old.get(language), row.new.get(language)
            if _hash_passage(old) != _hash_passage(new):
                was = None if old is None else first.words_of(old)
                is_ = None if new is None else last.words_of(new)
                yield Change("text", "neutral", {**row.facts, "language": language, "old": was, "new": is_})


def count_rows(history: History, matching: Matching) -> dict[str, int]:
    """Count the rows that were compared, by their kind, and their texts.

    `without-text` counts the rows of which neither revision has the words.
    """
    every = collect_rows(history, matching)
    counted = Counter(str(row.facts["what"]) for row in every)
    texts = sum(len({**row.old, **row.new}) for row in every)
    return {**counted, "text": texts, "without-text": sum(not (row.old or row.new) for row in every)}


def strip_texts(value: Any) -> Any:
    """Return a row, or a value in it, without its texts."""
    if isinstance(value, Table):
        return {name: strip_texts(getattr(value, name)) for name in type(value).model_fields if name != "text"}
    return tuple(map(strip_texts, value)) if isinstance(value, tuple) else value


def _hash_passage(passage: Passage | None) -> str | None:
    return None if passage is None else fingerprint(passage)


def _row_texts(row: object) -> Mapping[str, Passage]:
    texts = getattr(row, "text", None)
    return texts if isinstance(texts, Texts) else {}


def _iter_other_rows(document: Document, matching: Matching | None) -> Iterator[tuple[Key, Table]]:
    """Yield all rows that are no terms, with a key that is the same in both revisions.

    With a `matching`, the ids in the keys are translated to the later revision.
    """
    yield ("notice", document.id), document
    for name in ("condition", "channel", "grant", "forbid", "extension", "provision", "incorporated"):
        for row in getattr(document, name):
            yield (WHAT[name], _row_id(row, matching)), row
    for provision in document.provision:
        for kind in provision.recipients:
            yield ("recipient", kind.id), kind
    for name in FACTS:
        table = getattr(document, name)
        if table is not None:
            yield from _iter_nested_rows(name, table, matching)


def _iter_nested_rows(name: str, table: Table, matching: Matching | None) -> Iterator[tuple[Key, Table]]:
    yield ("table", name), table
    for key in type(table).model_fields:
        value = getattr(table, key)
        for row in value if isinstance(value, tuple) else (value,):
            if not isinstance(row, Table) or isinstance(row, ByLanguage):
                continue
            id_ = _row_id(row, matching)
            if key in WHAT:
                yield (WHAT[key], id_), row
                yield from list(_iter_nested_rows(f"{name}.{key} {id_}", row, matching))[1:]
            else:
                yield from _iter_nested_rows(f"{name}.{key} {id_}".strip(), row, matching)


def _row_id(row: Table, matching: Matching | None) -> str:
    """Return the id of a row, which is the same in both revisions."""
    row = row if matching is None else matching.translate_ids(row)
    if isinstance(row, Period):
        return f"{row.source} {row.from_}"
    if isinstance(row, LegalPeriod):
        return f"{row.source} law {row.from_}"
    if isinstance(row, Criterion):
        return f"{row.source} criterion"
    if isinstance(row, (Prohibition, Extension)):
        return f"{', '.join(sorted(row.sources or ()))} → {', '.join(sorted(row.purposes))}"
    return str(getattr(row, "id", None) or getattr(row, "code", None) or getattr(row, "clause", ""))


def _row_facts(key: Key, row: Table, matching: Matching) -> dict[str, Fact]:
    kind, id_ = key
    if isinstance(row, Prohibition):
        row = matching.translate_ids(row)
        return {"what": kind, "sources": row.sources, "purposes": row.purposes}
    return {"what": kind, "id": id_}
