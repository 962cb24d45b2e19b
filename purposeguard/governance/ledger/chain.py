"""The chain of every ledger: entries, each with the hash of its predecessor, and a head that ends them.

The hash of an entry is SHA-256 over the previous hash and the canonical JSON of the rest: sorted keys, no blanks.
An entry has one spelling, so any change of an entry, or of their order, is detected.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeGuard, cast

from purposeguard.containers import omit_keys
from purposeguard.runtime.clock import UTC

Body = Mapping[str, Any]
"""The content of an entry: JSON without fractions."""

GENESIS: Final = "0" * 64
"""The hash before the first entry."""

USE: Final = "use"
"""The kind of entry that a count becomes when its hour is over."""

DENIAL: Final = "denial"
"""The kind of entry that is counted if it is repeated within a minute."""

ARCHIVE: Final = "archive"
"""The kind of entry that says which entries were moved out of the store."""


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

    @property
    def text(self) -> str:
        """The body without its count, as canonical JSON."""
        return to_canonical_json(self._asdict())

    def body(self, count: int) -> dict[str, Any]:
        """Return the body of the entry for this count."""
        key = {"hour": self.hour, "activity": self.activity, "purpose": self.purpose, "sources": list(self.sources)}
        return {**key, "count": count}

    @classmethod
    def of(cls, body: Body) -> tuple[Hour, int]:
        """Return the key and count of a body; raise ValueError if it is malformed."""
        if set(body) != {"hour", "activity", "purpose", "sources", "count"}:
            raise ValueError("no count of uses")
        sources, count = body["sources"], body["count"]
        if type(sources) is not list or type(count) is not int or count < 1:
            raise ValueError("no count of uses")
        texts = [body["hour"], body["purpose"], *sources]
        if body["activity"] is not None:
            texts.append(body["activity"])
        if not are_texts(texts):
            raise ValueError("no count of uses")
        return cls(body["hour"], body["activity"], body["purpose"], tuple(sources)), count


Counts = Mapping[Hour, int]


def are_texts(values: Iterable[object]) -> bool:
    """Return True if all these values are texts."""
    return all(isinstance(value, str) for value in values)


# `json.dumps` would make an encoder at each call.
_encoder: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def to_canonical_json(data: object) -> str:
    """Return the canonical JSON of data; raise ValueError or TypeError if it has none."""
    return _encoder.encode(data)


def format_moment(moment: datetime.datetime) -> str:
    """Return a moment in the spelling of entries, `2026-05-02T09:15:00.000000Z`: the texts sort as the moments do."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def format_hour(at: str) -> str:
    """Return the hour that contains a moment, `2026-05-02T09:00Z`."""
    return f"{at[:13]}:00Z"


def open_hours(moment: datetime.datetime) -> tuple[str, ...]:
    """Return the present hour and the next, which another process may have reached already.

    A later hour comes from a wrong clock.
    """
    present = format_hour(format_moment(moment))
    try:
        return present, format_hour(format_moment(moment + datetime.timedelta(hours=1)))
    except OverflowError:  # The last hour has no successor.
        return (present,)


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
            object.__setattr__(self, "body_text", to_canonical_json(self.body))

    @classmethod
    def after(cls, seq: int, prev: str, at: str, kind: str, body: Body) -> Entry:
        """Return the successor of the entry with this number and hash."""
        text = to_canonical_json(body)
        return cls(seq + 1, at, kind, body, prev, hash_entry(seq + 1, at, kind, text, prev), text)

    @property
    def moment(self) -> datetime.datetime:
        """The time of the entry."""
        return datetime.datetime.fromisoformat(self.at)

    @property
    def line(self) -> bytes:
        """The entry as a line of JSON Lines."""
        head = f'{{"at":{to_canonical_json(self.at)},"body":{self.body_text},"hash":{to_canonical_json(self.hash)}'
        tail = f'"prev":{to_canonical_json(self.prev)},"seq":{self.seq}}}'
        return f'{head},"kind":{to_canonical_json(self.kind)},{tail}\n'.encode()


ENTRY_KEYS: Final = ("at", "body", "hash", "kind", "prev", "seq")


def hash_entry(seq: int, at: str, kind: str, body: str, prev: str) -> str:
    """Return the hash of an entry; `body` is the canonical JSON of its body.

    On PostgreSQL the database computes the same hash, in the function `purposeguard_ledger_write`, so that the head is
    locked for one round trip only. In `governance/migrations/versions/`, `0002_ledger_counts.py` creates the function,
    and `0003a_archives.py` replaces it.
    """
    rest = f'{{"at":{to_canonical_json(at)},"body":{body},"kind":{to_canonical_json(kind)},"seq":{seq}}}'
    return hashlib.sha256(f"{prev}{rest}".encode()).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: number, time and hash of the last entry."""

    seq: int = 0
    at: str = ""
    hash: str = GENESIS
    open: Counts = dataclasses.field(default_factory=dict)
    """The counts of uses in hours that are not over. They become entries when the hour ends."""
    repeated: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """The counts of repeated denials in such hours, by the canonical JSON of their bodies."""
    bytes: int = 0
    """The number of bytes before the head, in an export."""
    after: int = 0
    """The number of the entry before the first one, in an export."""

    @property
    def bodies(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The bodies of the entries that the open counts would become: uses, and repeated denials."""
        uses = [key.body(self.open[key]) for key in sorted(self.open, key=lambda key: key.order)]
        return uses, [{**json.loads(body), "count": self.repeated[body]} for body in sorted(self.repeated)]

    @property
    def open_digest(self) -> str:
        """The hash over the open counts."""
        return hashlib.sha256(to_canonical_json(self.bodies).encode()).hexdigest()

    @property
    def _data(self) -> dict[str, Any]:
        uses, repeated = self.bodies
        data = {"at": self.at, "bytes": self.bytes, "hash": self.hash, "seq": self.seq}
        data |= {"after": self.after} if self.after else {}
        return {**data, "open": uses, "repeated": repeated}

    @property
    def digest(self) -> str:
        """The hash over the whole head."""
        return hashlib.sha256(to_canonical_json(self._data).encode()).hexdigest()

    @property
    def text(self) -> str:
        """The head as JSON on one line."""
        return to_canonical_json({**self._data, "digest": self.digest})

    @classmethod
    def of(cls, data: Mapping[str, object]) -> Head:
        """Return the head that was read back; raise ValueError if it is malformed or its digest is wrong."""
        numbers = [data.get("seq"), data.get("bytes"), data.get("after", 0)]
        at, hash_ = data.get("at"), data.get("hash")
        if not (isinstance(at, str) and isinstance(hash_, str) and set(map(type, numbers)) == {int}):
            raise ValueError(MALFORMED_HEAD)
        seq, length, after = cast("list[int]", numbers)
        uses, repeated = data.get("open"), data.get("repeated")
        if not (_are_bodies(uses) and _are_bodies(repeated)):
            raise ValueError(MALFORMED_HEAD)
        head = cls(seq, at, hash_, dict(map(Hour.of, uses)), dict(map(parse_repeated, repeated)), length, after)
        if data.get("digest") != head.digest:
            raise ValueError("the head was changed: it does not have its digest")
        return head


MALFORMED_HEAD: Final = "malformed head"


def _are_bodies(value: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and all(isinstance(body, dict) for body in value)


def parse_repeated(body: Body) -> tuple[str, int]:
    """Return the body of a repeated denial as canonical JSON, and its count; raise ValueError if it has none."""
    count = body.get("count")
    if type(count) is not int or count < 1 or not isinstance(body.get("hour"), str):
        raise ValueError("no count of denials")
    return to_canonical_json(omit_keys(body, ("count",))), count
