"""The chain: entries one behind the other, each with the hash of the one before, and the head that says where it ends.

An entry's hash is SHA-256 over the hash before it and the canonical JSON of the rest: keys sorted, no blanks, UTF-8. So
there is one way to write an entry, and any change of one, or of their order, shows.
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
"""What an entry says: JSON without fractions."""

GENESIS: Final = "0" * 64
"""The hash before the first entry."""

USE: Final = "use"
"""The kind of the entries that counts become when their hour is over."""


class Hour(NamedTuple):
    """What was used by an activity, for a purpose, of data from these sources, in an hour."""

    hour: str
    activity: str | None
    purpose: str
    sources: tuple[str, ...]

    @property
    def order(self) -> tuple[str, bool, str, str, tuple[str, ...]]:
        """By time, then by name; bare checks, which have no activity, first."""
        return self.hour, self.activity is not None, self.activity or "", self.purpose, self.sources

    def body(self, count: int) -> dict[str, Any]:
        """An entry's body."""
        named: dict[str, Any] = {"activity": self.activity, "purpose": self.purpose, "sources": list(self.sources)}
        return {"hour": self.hour, **named, "count": count}

    @classmethod
    def of(cls, body: Body) -> tuple[Hour, int]:
        """The opposite; raises ValueError where it is no such body."""
        found = dict(body)
        hour, activity, purpose, sources, count = (
            found.pop(name, None) for name in ("hour", "activity", "purpose", "sources", "count")
        )
        if (
            found
            or not isinstance(hour, str)
            or not isinstance(activity, str | None)
            or not isinstance(purpose, str)
            or not isinstance(sources, list)
            or not all(isinstance(one, str) for one in sources)
            or type(count) is not int
            or count < 1
        ):
            raise ValueError("no count of uses")
        return cls(hour, activity, purpose, tuple(sources)), count


Counts = Mapping[Hour, int]


# Made once, which `json.dumps` does at each call.
_encoder: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical(data: object) -> str:
    """The one text of this data as JSON; raises ValueError or TypeError where it has none."""
    return _encoder.encode(data)


def written(moment: datetime.datetime) -> str:
    """A moment as entries have it, `2026-05-02T09:15:00.000000Z`: such texts compare as the moments do."""
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
    """One entry: its number, from 1 on, when it was made (UTC), what kind it is and what it says.

    `body_text` is its body as JSON, which is worked out once.
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
        """The entry behind one of this number and hash."""
        text = canonical(body)
        return cls(seq + 1, at, kind, body, prev, hash_of(seq + 1, at, kind, text, prev), text)

    @property
    def moment(self) -> datetime.datetime:
        """When it was made."""
        return datetime.datetime.fromisoformat(self.at)

    @property
    def line(self) -> bytes:
        """The line of a JSON Lines file that it is."""
        head = f'{{"at":{canonical(self.at)},"body":{self.body_text},"hash":{canonical(self.hash)}'
        return f'{head},"kind":{canonical(self.kind)},"prev":{canonical(self.prev)},"seq":{self.seq}}}\n'.encode()


ENTRY_KEYS: Final = ("at", "body", "hash", "kind", "prev", "seq")


def hash_of(seq: int, at: str, kind: str, body: str, prev: str) -> str:
    """The hash of an entry; `body` is its canonical text."""
    rest = f'{{"at":{canonical(at)},"body":{body},"kind":{canonical(kind)},"seq":{seq}}}'
    return hashlib.sha256(f"{prev}{rest}".encode()).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends: number and hash of its last entry, when it was last written to, and the bytes of its file.

    `open` are the uses counted in hours that are not over: they become entries then, one each, instead of two a second.
    """

    seq: int = 0
    at: str = ""
    hash: str = GENESIS
    open: Counts = dataclasses.field(default_factory=dict)
    bytes: int = 0

    @property
    def open_text(self) -> str:
        """The open counts as JSON."""
        return canonical([key.body(self.open[key]) for key in sorted(self.open, key=lambda one: one.order)])

    @property
    def digest(self) -> str:
        """A hash over all of it."""
        rest = f'"bytes":{self.bytes},"hash":{canonical(self.hash)},"open":{self.open_text},"seq":{self.seq}'
        return hashlib.sha256(f'{{"at":{canonical(self.at)},{rest}}}'.encode()).hexdigest()

    @property
    def text(self) -> str:
        """The head as one line of JSON, without its end."""
        data = {"at": self.at, "bytes": self.bytes, "digest": self.digest, "hash": self.hash, "seq": self.seq}
        return canonical({**data, "open": json.loads(self.open_text)})

    @classmethod
    def of(cls, data: Mapping[str, object]) -> Head:
        """A head as it was read, which must be as it was written.

        Raises:
            ValueError: it is not.
        """
        seq, at, hash_, length = (data.get(name) for name in ("seq", "at", "hash", "bytes"))
        open_ = data.get("open")
        if not (type(seq) is int and type(length) is int and isinstance(at, str) and isinstance(hash_, str)):
            raise ValueError("the head holds what no head holds")
        if not isinstance(open_, list) or not all(isinstance(one, dict) for one in open_):
            raise ValueError("the head holds what no head holds")
        head = cls(seq, at, hash_, dict(map(Hour.of, open_)), length)
        if data.get("digest") != head.digest:
            raise ValueError("the head is not as it was written")
        return head


def advanced(
    head: Head,
    now: str,
    additions: Iterable[tuple[str, Body]] = (),
    counts: Counts | None = None,
    *,
    close: bool = False,
) -> tuple[Sequence[Entry], Head]:
    """The entries to be added behind a head, and the head after them; its `bytes` are left as they are.

    Their order is that of their numbers: each has the time that was read for it, and one of a clock that was ahead
    dates no other. Counts of other hours than this one, or with `close` of all, become entries; so do those of an hour
    that has yet to come, save the next, which another process may be in already.
    """
    at = now or head.at
    under_way = {hour_of(at), _hour_after(at)}
    still_open = dict(head.open)
    for key, count in (counts or {}).items():
        still_open[key] = still_open.get(key, 0) + count
    over = sorted((key for key in still_open if close or key.hour not in under_way), key=lambda one: one.order)
    bodies = [(USE, key.body(still_open.pop(key))) for key in over]
    entries: list[Entry] = []
    seq, last = head.seq, head.hash
    for kind, body in (*additions, *bodies):  # so that a write that was cut short lacks counts, and no addition
        entry = Entry.after(seq, last, at, kind, body)
        entries.append(entry)
        seq, last = entry.seq, entry.hash
    if not entries and still_open == head.open:
        return [], head
    return entries, dataclasses.replace(head, seq=seq, at=at, hash=last, open=still_open)
