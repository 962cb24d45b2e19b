"""What an adapter says where a library that it needs is not installed."""

from __future__ import annotations

from types import TracebackType
from typing import Final


class Needs:
    """Around the imports of an adapter, `with Needs("sql", "sqlglot"):`. What is missing is said with its extra."""

    def __init__(self, extra: str, *libraries: str) -> None:
        self._extra: Final = extra
        self._libraries: Final = libraries

    def __enter__(self) -> None:
        """Nothing is looked for beforehand."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not isinstance(error, ModuleNotFoundError):
            return
        name = (error.name or "").partition(".")[0]
        if name in self._libraries:
            raise ModuleNotFoundError(
                f"purposeguard.adapters.{self._extra} needs {name}, which is not installed: "
                f"pip install 'purposeguard[{self._extra}]'",
                name=name,
            ) from error
