"""A memory of the passports that were used already, for passports that are accepted once."""

from __future__ import annotations

import datetime
from typing import Any, Protocol

from purposeguard.errors import StoreUnavailable
from purposeguard.locks import make_lock
from purposeguard.runtime.clock import read_system_time

_FINISHED = "finished"


class Replays(Protocol):
    """A memory of passports until they expire. Both methods are atomic between all processes that share it.

    A broker delivers a message again if its worker was killed. So the holder of a passport, such as the id of a task,
    may begin with it again until it has finished. No other holder may.
    """

    def begin(self, passport: str, holder: str, until: datetime.datetime) -> bool:
        """Return True if no holder began with this passport before, or if this holder did and has not finished.

        Raises:
            StoreUnavailable: The answer is not known, so the passport is not accepted.
        """
        ...

    def finish(self, passport: str, until: datetime.datetime) -> None:
        """Mark the passport as finished, so that no holder may begin with it.

        Raises:
            StoreUnavailable: The passport cannot be marked.
        """


class LocalReplays:
    """A memory of passports in this process alone, for tests and for services of one process."""

    def __init__(self) -> None:
        self._holders: dict[str, tuple[str, datetime.datetime]] = {}
        self._lock = make_lock()
        self._swept = read_system_time()

    def begin(self, passport: str, holder: str, until: datetime.datetime) -> bool:
        """Begin with a passport; see `Replays.begin`."""
        with self._lock:
            self._sweep()
            return self._holders.setdefault(passport, (f"begun {holder}", until))[0] == f"begun {holder}"

    def finish(self, passport: str, until: datetime.datetime) -> None:
        """Finish with a passport; see `Replays.finish`."""
        with self._lock:
            self._holders[passport] = _FINISHED, until

    def _sweep(self) -> None:
        """Forget expired passports, at most once a minute. An expired passport is refused anyway."""
        now = read_system_time()
        if now - self._swept > datetime.timedelta(minutes=1):
            self._swept = now
            holders = self._holders.items()
            self._holders = {passport: (holder, until) for passport, (holder, until) in holders if until > now}


class RedisReplays:
    """A memory of passports in a server of the Redis protocol: `RedisReplays(redis.Redis(…))`.

    Each passport is one key, made of `prefix` and its id. The key expires with the passport.
    """

    def __init__(self, client: Any, *, prefix: str = "purposeguard:passport:") -> None:
        from redis.exceptions import RedisError  # noqa: PLC0415  # A caller with a client has installed it.

        self._client = client
        self._prefix = prefix
        self._error = RedisError

    def begin(self, passport: str, holder: str, until: datetime.datetime) -> bool:
        """Begin with a passport; see `Replays.begin`."""
        key, own_entry = self._prefix + passport, f"begun {holder}".encode()
        try:
            if self._client.set(key, own_entry, nx=True, pxat=_milliseconds(until)):
                return True
            entry = self._client.get(key)
        except self._error as error:
            raise StoreUnavailable(_UNKNOWN) from error
        return (entry.encode() if isinstance(entry, str) else entry) == own_entry

    def finish(self, passport: str, until: datetime.datetime) -> None:
        """Finish with a passport; see `Replays.finish`."""
        try:
            self._client.set(self._prefix + passport, _FINISHED, pxat=_milliseconds(until))
        except self._error as error:
            raise StoreUnavailable(_UNKNOWN) from error


_UNKNOWN = "it cannot be known whether this passport was used already: the store of replays does not answer"


def _milliseconds(moment: datetime.datetime) -> int:
    return int(moment.timestamp() * 1_000) + 1
