"""Which passports were used already: for those that count once."""

from __future__ import annotations

import datetime
from typing import Any, Protocol

from purposeguard.errors import StoreUnavailable
from purposeguard.locks import make_lock
from purposeguard.runtime.clock import read_system_time

_FINISHED = "finished"


class Replays(Protocol):
    """Remembers passports until they expire. Both methods are atomic between all processes that share it.

    A broker delivers a message again when its worker was killed. So the holder of a passport, such as the id of a task,
    may begin with it again until it has finished; anybody else may not.
    """

    def begin(self, passport: str, holder: str, until: datetime.datetime) -> bool:
        """Return True if nobody began with this passport before, or this holder did and has not finished.

        Raises:
            StoreUnavailable: it cannot be known, so the passport is not accepted.
        """
        ...

    def finish(self, passport: str, until: datetime.datetime) -> None:
        """From now on nobody may begin with this passport; raises as `begin` does."""


class LocalReplays:
    """Remembers the passports of this process alone: for tests, and for services of one process."""

    def __init__(self) -> None:
        self._holders: dict[str, tuple[str, datetime.datetime]] = {}
        self._lock = make_lock()
        self._swept = read_system_time()

    def begin(self, passport: str, holder: str, until: datetime.datetime) -> bool:
        """As `Replays` has it."""
        with self._lock:
            self._sweep()
            return self._holders.setdefault(passport, (f"begun {holder}", until))[0] == f"begun {holder}"

    def finish(self, passport: str, until: datetime.datetime) -> None:
        """As `Replays` has it."""
        with self._lock:
            self._holders[passport] = _FINISHED, until

    def _sweep(self) -> None:
        """Forget those that have expired, once a minute: an expired one is refused for that."""
        now = read_system_time()
        if now - self._swept > datetime.timedelta(minutes=1):
            self._swept = now
            self._holders = {passport: one for passport, one in self._holders.items() if one[1] > now}


class RedisReplays:
    """Remembers passports in a server of the Redis protocol: `RedisReplays(redis.Redis(…))`.

    Each is one key, `prefix` and its id, which expires with it.
    """

    def __init__(self, client: Any, *, prefix: str = "purposeguard:passport:") -> None:
        from redis.exceptions import RedisError  # noqa: PLC0415  # who gives a client has it

        self._client = client
        self._prefix = prefix
        self._error = RedisError

    def begin(self, passport: str, holder: str, until: datetime.datetime) -> bool:
        """As `Replays` has it."""
        key, mine = self._prefix + passport, f"begun {holder}".encode()
        try:
            if self._client.set(key, mine, nx=True, pxat=_milliseconds(until)):
                return True
            before = self._client.get(key)
        except self._error as error:
            raise StoreUnavailable(_UNKNOWN) from error
        return (before.encode() if isinstance(before, str) else before) == mine

    def finish(self, passport: str, until: datetime.datetime) -> None:
        """As `Replays` has it."""
        try:
            self._client.set(self._prefix + passport, _FINISHED, pxat=_milliseconds(until))
        except self._error as error:
            raise StoreUnavailable(_UNKNOWN) from error


_UNKNOWN = "it cannot be known whether this passport was used already: the store of replays does not answer"


def _milliseconds(moment: datetime.datetime) -> int:
    return int(moment.timestamp() * 1_000) + 1
