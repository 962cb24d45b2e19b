"""The record of a service: the purposes of its activities and the sources of its fields, as somebody reviewed them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_FORMAT: Final = 1

Lines = Mapping[str, str]
"""The name of an activity or a field → the ids of its purposes or sources."""


class RecordUnreadable(ValueError):
    """A record is no JSON, or of another format."""


def compare_record(path: Path, activities: Lines, fields: Lines) -> list[str]:
    """Return what changed since a record was written, as sentences; write it if there is none.

    Something that is renamed, and keeps its purposes or sources, has not changed.

    Args:
        path: The file.
        activities: The activities with their purposes.
        fields: The fields of rows with their sources.

    Raises:
        RecordUnreadable: The file is not a record of this format.
        OSError: It cannot be read or written.
    """
    if not path.exists():
        content = {"format": _FORMAT, "activities": dict(activities), "fields": dict(fields)}
        path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", "utf-8")
        return [f"the purposes of {len(activities)} activities are recorded in {path} now: review and commit it"]
    try:
        known = json.loads(path.read_text("utf-8"))
        kinds = known["activities"], known["fields"]
        is_readable = known["format"] == _FORMAT and all(isinstance(kind, dict) for kind in kinds)
    except (ValueError, KeyError, TypeError):
        is_readable, kinds = False, ({}, {})
    if not is_readable:
        raise RecordUnreadable(f"{path} is no record of format {_FORMAT}: delete it, and run the test to write it anew")
    changes = [*_iter_changes(kinds[0], activities, "runs for"), *_iter_changes(kinds[1], fields, "has the sources")]
    return [f"{change}; if that is right, delete {path} and run the test to record it" for change in changes]


def _iter_changes(known: Lines, now: Lines, verb: str) -> Iterator[str]:
    """Yield a sentence for what is not as it is known: changed, new or gone."""
    gone = {name: text for name, text in known.items() if name not in now}
    for name, text in now.items():
        if name in known and known[name] != text:
            yield f"{name} {verb} {text or 'nothing'}, and not {known[name] or 'nothing'}"
        elif name not in known:
            renamed = next((old for old, text_then in gone.items() if text_then == text), None)
            if renamed is None:
                yield f"{name} is new, and {verb} {text or 'nothing'}"
            else:
                del gone[renamed]
    for name, text in gone.items():
        yield f"{name} is gone, or {verb} nothing: it was {text}"
