"""Blocks that judge at their end what happened in them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator
from types import TracebackType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class _Judging(contextlib._GeneratorContextManager[T, None, None]):
    """Raises what its generator finds as if the block itself did: pytest shows the block, and none of this library."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        __tracebackhide__ = True
        try:
            return super().__exit__(kind, error, trace)
        except (AssertionError, ValueError) as failure:
            raise failure.with_traceback(None)  # noqa: B904  # the same error


def judging(generator: Callable[P, Generator[T]]) -> Callable[P, contextlib.AbstractContextManager[T]]:
    """Return a context manager of a generator function, like `contextlib.contextmanager`."""

    @functools.wraps(generator)
    def block(*args: P.args, **kwargs: P.kwargs) -> contextlib.AbstractContextManager[T]:
        return _Judging(generator, args, kwargs)

    return block
