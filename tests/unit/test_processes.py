"""Handlers for forks and for the end of a process."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable

import pytest

from purposeguard.processes import LiveObjects


class Resource:
    """An object that notes what it was told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def reset(self) -> None:
        self.calls.append("reset")

    def close(self) -> None:
        self.calls.append("close")


def test_live_objects_are_told_of_forks_and_of_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    forks: list[Callable[[], object]] = []
    ends: list[tuple[Callable[[Callable[[Resource], None]], None], Callable[[Resource], None]]] = []
    monkeypatch.setattr(os, "register_at_fork", lambda *, after_in_child, **_: forks.append(after_in_child))
    monkeypatch.setattr(atexit, "register", lambda *registration: ends.append(registration))
    resources = LiveObjects(in_child=Resource.reset, at_exit=Resource.close)
    lasting, temporary = Resource(), Resource()
    resources.add(lasting)
    resources.add(temporary)
    del temporary
    for reset in forks:
        reset()
    for call_with_each, close in ends:
        call_with_each(close)
    assert lasting.calls == ["reset", "close"]
    assert set(resources) == {lasting}
