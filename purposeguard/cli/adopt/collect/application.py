"""Import an application, and collect its classes and tables."""

from __future__ import annotations

import os
import pkgutil
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

from purposeguard.adoption.catalog import ClassCatalog, FoundClass
from purposeguard.cli.adopt.collect.classes import collect_classes
from purposeguard.cli.application import import_application
from purposeguard.cli.files import CommandProblem
from purposeguard.cli.options import needing
from purposeguard.notice.notice import Notice

SETTINGS_VARIABLE: Final = "DJANGO_SETTINGS_MODULE"

_ADVICE: Final = (
    "start the scan in the folder and with the environment variables with which the application starts, or name a "
    "module that can be imported alone"
)
_SKIPPED_MODULES: Final = frozenset({"__main__", "conftest", "migrations", "setup", "test", "testing", "tests"})
"""Modules of packages that are not imported: tests, migrations and scripts."""

_LIBRARY_FOLDERS: Final = ("site-packages", "dist-packages")
_STANDARD_LIBRARY: Final = tuple(
    sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib") if sysconfig.get_path(name)
)
_OWN_FOLDER: Final = str(Path(__file__).parents[3]) + os.sep


class Application:
    """An application that is imported, and what could not be imported of it.

    Attributes:
        failures: A sentence for each module that could not be imported, and for each tag that could not be read.
    """

    def __init__(self, target: str, imports: Iterable[str] = ()) -> None:
        """Import an application.

        Args:
            target: `MODULE:NAME` or a module. A package is imported with all modules in it, except tests and
                migrations. A module of Django settings sets up its applications.
            imports: Further modules.

        Raises:
            CommandProblem: A module that was named cannot be imported, or has no such name.
        """
        self.failures: list[str] = []
        names = [target.partition(":")[0], *imports]
        self._packages = frozenset(name.partition(".")[0] for name in names)
        # A console script, unlike `python -m`, does not search the current directory.
        here = str(Path.cwd())
        if here not in sys.path and "" not in sys.path:
            sys.path.insert(0, here)
        if os.environ.get(SETTINGS_VARIABLE):
            self._set_up_django(os.environ[SETTINGS_VARIABLE])
        for name in names:
            module = _import(name)
            if hasattr(module, "INSTALLED_APPS"):
                self._set_up_django(name)
            elif ":" not in target or name != names[0]:
                self._import_submodules(module)
        self._find_name(target)

    def collect(self, notice: Notice) -> ClassCatalog:
        """Return the classes and tables of the application.

        Raises:
            PurposeGuardError: A tag in the code cannot be read.
            CommandProblem: A library is missing that reads tags.
        """
        catalog = ClassCatalog()
        modules = list(self._iter_modules())
        for found in sorted(self._iter_found(modules, notice), key=_sort_key):
            catalog.add(found)
        return catalog

    def _iter_found(self, modules: list[ModuleType], notice: Notice) -> Iterator[FoundClass]:
        if "sqlalchemy.orm" in sys.modules:
            with needing("sqlalchemy", "the tables of SQLAlchemy need"):
                from purposeguard.cli.adopt.collect.sqlalchemy import collect_mapped  # noqa: PLC0415  # needs an extra
            yield from collect_mapped(modules, notice, self.failures)
        if _is_django_ready():
            with needing("django", "the models of Django need"):
                from purposeguard.cli.adopt.collect.django import collect_models  # noqa: PLC0415  # needs an extra
            yield from collect_models(notice, self.failures)
        yield from collect_classes(modules, notice, self.failures)

    def _set_up_django(self, settings: str) -> None:
        if _is_django_ready():
            return
        os.environ[SETTINGS_VARIABLE] = settings
        module = _import(settings)
        with needing("django", "the settings of Django need"):
            import django  # noqa: PLC0415  # needs an extra
        try:
            django.setup()
        except Exception as error:  # Whatever an application raises is reported; nothing is decided by it.
            problem = CommandProblem(f"the applications of {settings} cannot be set up: {_format_error(error)}")
            raise _add_frames(problem, error) from error
        routes = getattr(module, "ROOT_URLCONF", None)
        if isinstance(routes, str):
            self._try_import(routes)

    def _import_submodules(self, package: ModuleType) -> None:
        """Import all modules of a package. Those that fail are reported, because an application may not need them."""
        for info in pkgutil.iter_modules(getattr(package, "__path__", ())):
            if info.name in _SKIPPED_MODULES or info.name.startswith("test_"):
                continue
            module = self._try_import(f"{package.__name__}.{info.name}")
            if module is not None and info.ispkg:
                self._import_submodules(module)

    def _try_import(self, name: str) -> ModuleType | None:
        try:
            return import_application(name)
        except CommandProblem as problem:
            self.failures.append(str(problem).replace("\n ", ","))
            return None

    def _find_name(self, target: str) -> None:
        module, colon, path = target.partition(":")
        found: object = sys.modules[module]
        for name in path.split(".") if colon else ():
            if not hasattr(found, name):
                raise CommandProblem(f"{module} has no `{path}` (help: the module alone is enough, `{module}`)")
            found = getattr(found, name)

    def _iter_modules(self) -> Iterator[ModuleType]:
        """Yield the modules of the application: those of the packages that were named, and those of no library."""
        for name, module in sorted(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if not isinstance(file, str) or name != getattr(module, "__name__", None):
                continue
            if name.partition(".")[0] in self._packages or (name != "__main__" and is_application_file(file)):
                yield module


def _sort_key(found: FoundClass) -> tuple[object, ...]:
    """Return a key that orders classes by their files and lines, and tables by their names."""
    return (
        found.kind == "table",
        found.header.rpartition(".")[0] if found.line else found.file,
        found.line or 0,
        found.header,
    )


def is_application_file(file: str) -> bool:
    """Return True if a file belongs to no library and not to this package."""
    path = os.path.abspath(file)  # noqa: PTH100  # A link to a library stays one.
    if path.startswith((_OWN_FOLDER, *_STANDARD_LIBRARY)) or file.startswith("<"):
        return False
    return not any(folder in Path(path).parts for folder in _LIBRARY_FOLDERS)


def _is_django_ready() -> bool:
    apps = getattr(sys.modules.get("django.apps"), "apps", None)
    return getattr(apps, "ready", False)


def _import(name: str) -> ModuleType:
    try:
        return import_application(name)
    except CommandProblem as problem:
        raise _add_frames(problem, problem.__cause__) from problem.__cause__


def _format_error(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error) or 'no message'}"


def _add_frames(problem: CommandProblem, error: BaseException | None) -> CommandProblem:
    """Return a problem with the frames of the application in the traceback of its cause, and with advice."""
    frames = [] if error is None else traceback.extract_tb(error.__traceback__)
    lines: list[str] = []
    for frame in frames:
        if is_application_file(frame.filename):
            lines.append(f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}')
            if frame.line:
                lines.append(f"    {frame.line}")
    if not lines:
        return problem
    message = str(problem).partition("\n  at ")[0]
    return CommandProblem("\n".join([message, *lines, f"(help: {_ADVICE})"]))
