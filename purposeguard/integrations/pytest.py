"""pytest: each test is an entry point, and runs for the purpose that `purposes.toml` states for it.

The plugin `_purposeguard_pytest` calls these functions. A guard that is created while a test is set up counts from then
on.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Generator
from inspect import iscoroutinefunction
from typing import Any, Final

from purposeguard.extras import Needs
from purposeguard.guard import LIVE_GUARDS, Guard
from purposeguard.integrations.stated_purposes import find_activity, find_block, get_site
from purposeguard.runtime.activity import Block
from purposeguard.runtime.entry_point import EntryPoint
from purposeguard.runtime.use import Use

with Needs(__name__, "pytest"):
    import pytest


class _RunningTest:
    """A test that runs, with the purposes that it has entered.

    Purposes are entered and left by calls and not by a `with` statement: a hook of pytest that surrounds a test is a
    generator, and a purpose that a generator enters is not that of its consumer.
    """

    def __init__(self, item: pytest.Item) -> None:
        # The name without parameters, which may be personal data.
        name: str | None = getattr(item, "originalname", None)
        self._entry_point: Final = EntryPoint.test(
            item.nodeid if name is None else item.nodeid.removesuffix(item.name) + name
        )
        # It is not taken from the instance, which must be created after the purposes are entered.
        holder = getattr(item, "cls", None) or getattr(item, "module", None)
        self._activity: Final = None if name is None else find_activity(getattr(holder, name, None))
        self._is_entered = False
        self._guards: list[Guard] = []
        self._blocks: list[Block[Any]] = []
        self._uses: list[Use[Any]] = []

    def enter(self) -> None:
        """Enter the entry point."""
        if not self._is_entered:
            self._entry_point.__enter__()
            self._is_entered = True

    def enter_purposes(self) -> None:
        """Enter the purposes that guards state for the test, and that it has not entered yet.

        Raises:
            ValueError: The file of a guard and the code of the test state different purposes.
        """
        for guard in list(LIVE_GUARDS):
            if guard.purposes is None or guard in self._guards:
                continue
            self._guards.append(guard)
            is_of_guard = self._activity is not None and self._activity in guard.activities
            block = find_block(guard, self._entry_point.name, [self._activity] if is_of_guard else [])
            if block is not None:
                block.stated.handle = block.stated.get_handle_at(get_site(block))
                self.enter()
                self._uses.append(block.__enter__())
                self._blocks.append(block)

    def renew_instance(self, item: pytest.Item) -> None:
        """Let pytest create the instance of an async test of unittest anew, as it runs in the context of its creation.

        pytest creates it when tests are collected.
        """
        if self._uses and hasattr(getattr(item, "cls", None), "asyncSetUp"):
            for name in ("_instance", "_obj"):
                vars(item).pop(name, None)

    def wrap_coroutine(self, fn: Any) -> Any:
        """Wrap the coroutine function of a test so that it enters the purposes itself if its event loop is older."""

        @functools.wraps(fn)
        async def run(*args: Any, **kwargs: Any) -> Any:
            with contextlib.ExitStack() as stack:
                if not self._is_inherited():
                    stack.enter_context(self._entry_point)
                    for block in self._blocks:
                        stack.enter_context(block)
                return await fn(*args, **kwargs)

        return run

    def _is_inherited(self) -> bool:
        """Return True if the running context has the purposes of the test."""
        return not self._uses or self._blocks[-1].stated.engine.innermost() is self._uses[-1]

    def leave(self) -> None:
        """Leave the purposes and the entry point."""
        while self._blocks:
            self._blocks.pop().__exit__(None, None, None)
        self._uses.clear()
        if self._is_entered:
            self._entry_point.__exit__()


_RUNNING: Final = pytest.StashKey[_RunningTest]()


def enter_test(item: pytest.Item, *, always: bool) -> None:
    """Let a test run at its entry point and for its purposes, until `leave_test`.

    Args:
        item: The test.
        always: True if it is also an entry point without a purpose.

    Raises:
        ValueError: The file of a guard and the code of the test state different purposes.
    """
    test = item.config.stash[_RUNNING] = _RunningTest(item)
    if always:
        test.enter()
    test.enter_purposes()
    test.renew_instance(item)


def enter_new_purposes(config: pytest.Config) -> None:
    """Let the present test run for the purposes of guards that were created after it began.

    Raises:
        ValueError: The file of a guard and the code of the test state different purposes.
    """
    test = config.stash.get(_RUNNING, None)
    if test is not None:
        test.enter_purposes()


@contextlib.contextmanager
def enter_call(item: pytest.Item) -> Generator[None]:
    """Return a context manager: a block in which the function of a test runs for its purposes.

    Raises:
        ValueError: The file of a guard and the code of the test state different purposes.
    """
    enter_new_purposes(item.config)
    test = item.config.stash.get(_RUNNING, None)
    fn = getattr(item, "obj", None)
    if test is None or not isinstance(item, pytest.Function) or not iscoroutinefunction(fn):
        yield
        return
    item.obj = test.wrap_coroutine(fn)
    try:
        yield
    finally:
        item.obj = fn


def leave_test(config: pytest.Config) -> None:
    """Leave the entry point and the purposes of the present test."""
    test = config.stash.get(_RUNNING, None)
    if test is not None:
        del config.stash[_RUNNING]
        test.leave()
