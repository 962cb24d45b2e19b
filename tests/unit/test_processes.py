"""Handlers for forks and for the end of a process."""

from __future__ import annotations

import atexit
import multiprocessing.process
import multiprocessing.util
import os
import sys
from collections.abc import Callable

import pytest

from purposeguard.processes import LiveObjects, call_at_exit


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


@pytest.mark.parametrize("parent", [None, object()])
def test_a_child_of_multiprocessing_calls_at_its_end_what_other_processes_call_at_theirs(
    monkeypatch: pytest.MonkeyPatch, parent: object
) -> None:
    ends: list[Callable[[], object]] = []
    ends_of_child: list[tuple[object, Callable[[], object], int]] = []
    monkeypatch.setattr(atexit, "register", ends.append)
    monkeypatch.setattr(multiprocessing.process, "parent_process", lambda: parent)
    monkeypatch.setattr(
        multiprocessing.util,
        "Finalize",
        lambda owner, handler, exitpriority: ends_of_child.append((owner, handler, exitpriority)),
    )
    resource = Resource()
    call_at_exit(resource.close)
    assert ends == [resource.close]
    assert ends_of_child == ([] if parent is None else [(None, resource.close, 0)])


def test_a_process_without_multiprocessing_does_not_load_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[Callable[[], object]] = []
    monkeypatch.setattr(atexit, "register", ends.append)
    monkeypatch.delitem(sys.modules, "multiprocessing.util")
    resource = Resource()
    call_at_exit(resource.close)
    assert ends == [resource.close]
    assert "multiprocessing.util" not in sys.modules
