"""The optional libraries of each extra, and the error that names the extra of a library that is not installed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Final

LIBRARIES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        extra: frozenset(names.split())
        for extra, names in {
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
"""By extra of `pyproject.toml`, the top-level modules that it installs and the package imports."""


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
