"""The optional libraries: the extra that installs each, and the reports on missing and untested ones."""

from __future__ import annotations

import importlib.metadata
import re
import warnings
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Final

LIBRARIES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        extra: frozenset(names.split())
        for extra, names in {
            "adopt": "libcst rich tomlkit typer",
            "arrow": "pyarrow",
            "celery": "celery itsdangerous kombu",
            "checkpoints": "cryptography",
            "cli": "rich typer",
            "dbt": "sqlglot",
            "django": "asgiref django sqlglot",
            "duckdb": "duckdb pyarrow sqlglot",
            "fastapi": "fastapi starlette",
            "flask": "flask werkzeug",
            "frames": "narwhals",
            "governance": "alembic jinja2 sqlalchemy",
            "httpx": "anyio httpx",
            "httpx2": "anyio httpx2",
            "hypothesis": "hypothesis",
            "opentelemetry": "opentelemetry",
            "opentelemetry-spans": "opentelemetry",
            "passport": "itsdangerous",
            "postgresql": "psycopg",
            "pytest": "_pytest pytest",
            "report": "jinja2 markupsafe openpyxl",
            "requests": "requests urllib3",
            "rq": "itsdangerous rq",
            "sentry": "sentry_sdk",
            "spark": "pyspark sqlglot",
            "sql": "sqlglot",
            "sqlalchemy": "sqlalchemy sqlglot",
            "structlog": "structlog",
            "web": "alembic itsdangerous jinja2 multipart python_multipart sqlalchemy starlette",
        }.items()
    }
)
"""The extra of `pyproject.toml` → the top-level modules that it installs and this package imports."""


class Needs:
    """Context manager around the imports of optional libraries: `with Needs(__name__, "sql"):`.

    It replaces the error for a missing library of the extra by one that names the extra. In nested blocks the outer one
    decides, as it belongs to the module that the user imported.

    Args:
        module: The module that imports the libraries.
        extra: The extra that installs them.
    """

    def __init__(self, module: str, extra: str) -> None:
        self._module: Final = module
        self._extra: Final = extra
        self._libraries: Final = LIBRARIES[extra]

    def __enter__(self) -> None:
        """Do nothing: the block itself shows what is missing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Raise ModuleNotFoundError with the name of the extra if one of its libraries was not found."""
        if not isinstance(error, ModuleNotFoundError):
            return
        # A distribution that is not installed is named with hyphens: `opentelemetry-sdk`.
        name = error.name or ""
        if name.replace("-", ".").partition(".")[0] in self._libraries:
            raise ModuleNotFoundError(
                f"{self._module} needs {name}, which is not installed: pip install 'purposeguard[{self._extra}]'",
                name=name,
            ) from error


class UntestedVersion(UserWarning):
    """The installed version of a library was not tested with this release: its hooks may not be called any more."""


def must_be_tested(package: str, first: str, last: str, *, installed: str | None = None) -> None:
    """Warn with UntestedVersion if the installed version of a library was not tested with this release.

    Modules call it when they are imported, so each warns once.

    Args:
        package: The name of the distribution.
        first: The oldest minor version that the tests run with, such as `2.1`, or the year of a calendar version.
        last: The newest one.
        installed: The version that is installed, of a library that may lie on the path without a distribution.

    Raises:
        importlib.metadata.PackageNotFoundError: The package is not installed.
    """
    installed = installed or importlib.metadata.version(package)
    oldest, newest = _numbers(first), _numbers(last)
    if _numbers(installed)[: len(oldest)] < oldest or _numbers(installed)[: len(newest)] > newest:
        warnings.warn(
            f"{package} {installed} was not tested with this release of purposeguard (tested: {first} to {last}): run "
            "your tests of refusals before you rely on it",
            UntestedVersion,
            stacklevel=3,
        )


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: (2, 0, 1) for `2.0.1rc2`."""
    release = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, release.group().split("."))) if release else ()
