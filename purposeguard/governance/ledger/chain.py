"""The chain that every ledger writes: entries, each with the hash of its predecessor, and a head that ends them.

The hash of an entry is SHA-256 over the previous hash and the canonical JSON of the rest: sorted keys, no blanks.
An entry has one spelling, so any change of an entry, or of their order, is detected.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from purposeguard.runtime.clock import UTC

Body = Mapping[str, Any]
"""The content of an entry: JSON without fractions."""

GENESIS: Final = "0" * 64
"""The hash before the first entry."""

USE: Final = "use"
"""The kind of entry that a count becomes when its hour is over."""


class Hour(NamedTuple):
    """A key of counts: the uses by an activity, for a purpose, of data from these sources, within an hour."""

    hour: str
    activity: str | None
    purpose: str
    sources: tuple[str, ...]

    @property
    def order(self) -> tuple[str, bool, str, str, tuple[str, ...]]:
        """The sort key: time, then name; bare checks, which have no activity, come first."""
        return self.hour, self.activity is not None, self.activity or "", self.purpose, self.sources

    def body(self, count: int) -> dict[str, Any]:
        """The body of the entry for this count."""
        key = {"hour": self.hour, "activity": self.activity, "purpose": self.purpose, "sources": list(self.sources)}
        return {**key, "count": count}

    @classmethod
    def of(cls, body: Body) -> tuple[Hour, int]:
        """The key and count of a body; raises ValueError if it is malformed."""
        if set(body) != {"hour", "activity", "purpose", "sources", "count"}:
            raise ValueError("no count of uses")
        hour, activity, purpose, sources, count = (body[name] for name in (*cls._fields, "count"))
        texts = [hour, purpose, *([] if activity is None else [activity]), *(sources if type(sources) is list else [0])]
        if not all(isinstance(text, str) for text in texts) or type(count) is not int or count < 1:
            raise ValueError("no count of uses")
        return cls(hour, activity, purpose, tuple(sources)), count


Counts = Mapping[Hour, int]


# `json.dumps` would make an encoder at each call.
_encoder: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical(data: object) -> str:
    """The canonical JSON of data; raises ValueError or TypeError if it has none."""
    return _encoder.encode(data)


def written(moment: datetime.datetime) -> str:
    """A moment as entries spell it, `2026-05-02T09:15:00.000000Z`: the texts sort as the moments do."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def hour_of(at: str) -> str:
    """The hour in which a moment lies, `2026-05-02T09:00Z`."""
    return f"{at[:13]}:00Z"


def _hour_after(at: str) -> str | None:
    try:
        return hour_of(written(datetime.datetime.fromisoformat(at) + datetime.timedelta(hours=1)))
    except (ValueError, OverflowError):  # no time is known yet, or there is none after it
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """An entry: number from 1, time (UTC), kind, body, hash of its predecessor, own hash.

    `body_text` is the canonical JSON of the body, encoded once.
    """

    seq: int
    at: str
    kind: str
    body: Body
    prev: str
    hash: str
    body_text: str = dataclasses.field(default="", repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.body_text:
            object.__setattr__(self, "body_text", canonical(self.body))

    @classmethod
    def after(cls, seq: int, prev: str, at: str, kind: str, body: Body) -> Entry:
        """The successor of the entry with this number and hash."""
        text = canonical(body)
        return cls(seq + 1, at, kind, body, prev, hash_of(seq + 1, at, kind, text, prev), text)

    @property
    def moment(self) -> datetime.datetime:
        """The time of the entry."""
        return datetime.datetime.fromisoformat(self.at)

    @property
    def line(self) -> bytes:
        """The entry as a line of JSON Lines."""
        head = f'{{"at":{canonical(self.at)},"body":{self.body_text},"hash":{canonical(self.hash)}'
        return f'{head},"kind":{canonical(self.kind)},"prev":{canonical(self.prev)},"seq":{self.seq}}}\n'.encode()


ENTRY_KEYS: Final = ("at", "body", "hash", "kind", "prev", "seq")


def hash_of(seq: int, at: str, kind: str, body: str, prev: str) -> str:
    """The hash of an entry; `body` is the canonical JSON of its body."""
    rest = f'{{"at":{canonical(at)},"body":{body},"kind":{canonical(kind)},"seq":{seq}}}'
    return hashlib.sha256(f"{prev}{rest}".encode()).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: number and hash of the last entry, time of the last write, in an export the bytes before it.

    `open` are the counts of hours that are not over. They become one entry each when the hour ends.
    """

    seq: int = 0
    at: str = ""
    hash: str = GENESIS
    open: Counts = dataclasses.field(default_factory=dict)
    bytes: int = 0

    @property
    def open_text(self) -> str:
        """The open counts as canonical JSON."""
        return canonical([key.body(self.open[key]) for key in sorted(self.open, key=lambda key: key.order)])

    @property
    def digest(self) -> str:
        """The hash over the whole head."""
        rest = f'"bytes":{self.bytes},"hash":{canonical(self.hash)},"open":{self.open_text},"seq":{self.seq}'
        return hashlib.sha256(f'{{"at":{canonical(self.at)},{rest}}}'.encode()).hexdigest()

    @property
    def text(self) -> str:
        """The head as JSON on one line."""
        data = {"at": self.at, "bytes": self.bytes, "digest": self.digest, "hash": self.hash, "seq": self.seq}
        return canonical({**data, "open": json.loads(self.open_text)})

    @classmethod
    def of(cls, data: Mapping[str, object]) -> Head:
        """The head that was read back; raises ValueError if it is malformed or its digest is wrong."""
        seq, at, hash_, length = (data.get(name) for name in ("seq", "at", "hash", "bytes"))
        open_ = data.get("open")
        if not (type(seq) is int and type(length) is int and isinstance(at, str) and isinstance(hash_, str)):
            raise ValueError(MALFORMED_HEAD)
        if not isinstance(open_, list) or not all(isinstance(count, dict) for count in open_):
            raise ValueError(MALFORMED_HEAD)
        head = cls(seq, at, hash_, dict(map(Hour.of, open_)), length)
        if data.get("digest") != head.digest:
            raise ValueError("the head was changed: it does not have its digest")
        return head


MALFORMED_HEAD: Final = "malformed head"


def advanced(
    head: Head,
    now: str,
    additions: Iterable[tuple[str, Body]] = (),
    counts: Counts | None = None,
    *,
    close: bool = False,
) -> tuple[Sequence[Entry], Head]:
    """The entries to write behind a head, and the new head, whose `bytes` are unchanged.

    Counts of other hours than the present one become entries; with `close`, all do. Counts of the next hour stay open:
    another process may be in it already. An hour further ahead comes from a wrong clock and is closed.
    """
    at = now or head.at
    current = {hour_of(at), _hour_after(at)}
    still_open = dict(head.open)
    for key, count in (counts or {}).items():
        still_open[key] = still_open.get(key, 0) + count
    over = sorted((key for key in still_open if close or key.hour not in current), key=lambda key: key.order)
    closed = [(USE, key.body(still_open.pop(key))) for key in over]
    entries: list[Entry] = []
    seq, last = head.seq, head.hash
    for kind, body in (*additions, *closed):
        entry = Entry.after(seq, last, at, kind, body)
        entries.append(entry)
        seq, last = entry.seq, entry.hash
    if not entries and still_open == head.open:
        return [], head
    return entries, dataclasses.replace(head, seq=seq, at=at, hash=last, open=still_open)
