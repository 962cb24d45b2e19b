"""The lock files: what each is made from, what its packages require, and whether it is complete.

A lock is installed as it is, without a resolver. So each requirement of each package in it, extras and markers
included, must be met by the lock itself. What packages require is noted in `requirements/metadata.json`, so that no
index is asked.

`python -m tests.locks` makes all locks and the metadata anew with uv and pip. `--upgrade` takes the newest versions.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "requirements"
METADATA: Final = FOLDER / "metadata.json"
PYTHONS: Final = ("3.11.0", "3.11.99", "3.13.0", "3.13.99")
"""The lowest and the highest patch level of each Python: a marker may name a patch level, as `< '3.11.3'` does."""
FROM_SOURCE: Final = ("flask-principal", "pyspark", "vakt")
"""Packages that are published without wheels. They are built with the tools of the lock `build`."""


class Lock(NamedTuple):
    """What a lock is made from: extras and groups of `pyproject.toml`, and the lock or list whose versions it keeps."""

    extras: tuple[str, ...]
    groups: tuple[str, ...]
    constraint: str | None = None


_SHOP = ("cli", "governance", "report", "web", "arrow", "frames", "sqlalchemy", "duckdb")
_SERVICES = (
    *("fastapi", "django", "flask", "passport", "celery", "rq", "httpx", "httpx2", "requests"),
    *("opentelemetry", "opentelemetry-spans", "sentry", "structlog"),
)
_FAST = (*_SHOP, "adopt", "postgresql", "checkpoints", "sql", "dbt", *_SERVICES)
_ALL = (*_FAST, "spark")

LOCKS: Final[Mapping[str, Lock]] = {
    "dev": Lock(_ALL, ("dev",)),
    "test": Lock(_FAST, ("build", "exports", "lint", "test"), "dev.txt"),
    "build": Lock((), ("build",), "dev.txt"),
    "demo": Lock(_SHOP, ("build", "example"), "dev.txt"),
    "mutation": Lock((), ("mutation",), "dev.txt"),
    "newest": Lock((), ("newest",)),
    "dist": Lock((), ("dist",), "dev.txt"),
    "lowest": Lock(_ALL, ("build", "test", "test-slow", "types"), "lowest.in"),
    "bench": Lock(("cli", "governance"), ("build", "bench")),
    "dbt": Lock((), ("dbt", "fides")),
    "apps": Lock(("governance", "sqlalchemy"), ("build", "apps"), "dev.txt"),
}

Metadata = Mapping[str, Collection[str]]
"""`name==version` → what it requires, as its author wrote it."""


requirement_of: Final = functools.cache(Requirement)


def lines(lock: str) -> list[str]:
    """The requirements of a lock, without hashes: `name==version ; marker`."""
    text = (FOLDER / f"{lock}.txt").read_text("utf-8")
    return [line.rstrip(" \\") for line in text.splitlines() if re.match(r"[a-z0-9]", line)]


def metadata() -> Metadata:
    """What the locked packages require."""
    noted: Metadata = json.loads(METADATA.read_text("utf-8"))
    return noted


def _environment(python: str) -> dict[str, str]:
    # CPython on Linux, on which the gate runs.
    return {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "sys_platform": "linux",
    }


def _applies(requirement: Requirement, python: str, extras: Iterable[str] = ("",)) -> bool:
    marker, environment = requirement.marker, _environment(python)
    return marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in extras)


def wanted_by_project(lock: str) -> Iterator[Requirement]:
    """The requirements of the project itself that a lock is made from."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    groups: Mapping[str, Any] = project["dependency-groups"]

    def group(name: str) -> Iterator[str]:
        for entry in groups[name]:
            yield from [entry] if isinstance(entry, str) else group(entry["include-group"])

    extras, names, _ = LOCKS[lock]
    if extras:
        yield from map(requirement_of, project["project"]["dependencies"])
    for extra in extras:
        yield from map(requirement_of, project["project"]["optional-dependencies"][extra])
    for name in names:
        yield from map(requirement_of, group(name))


def locked(requirements: Iterable[str], python: str) -> dict[str, str]:
    """Name → version of what is installed on a Python."""
    pinned = [one for one in map(requirement_of, requirements) if _applies(one, python)]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in pinned}


def unmet(lock: str, requirements: Collection[str], python: str, noted: Metadata) -> list[str]:
    """What a lock lacks, and what it holds that nothing requires: nothing, where it is complete.

    Args:
        lock: which lock it is, for what the project wants of it.
        requirements: its lines, as `lines` gives them.
        python: the version of Python that it is installed on, such as `3.11.2`.
        noted: what each package requires.
    """
    versions = locked(requirements, python)
    faults: list[str] = []
    entered: dict[str, set[str]] = {}
    pending = [("the project", one) for one in wanted_by_project(lock) if _applies(one, python)]
    while pending:
        who, requirement = pending.pop()
        name = canonicalize_name(requirement.name)
        version = versions.get(name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            faults.append(f"{who} requires {requirement}: {version or 'not locked'}")
            continue
        seen = entered.setdefault(name, set())
        new = {"", *requirement.extras} - seen
        seen |= new
        package = f"{name}=={version}"
        if package not in noted:
            faults.append(f"{package}: what it requires is not noted")
            continue
        pending += [(package, one) for one in map(requirement_of, noted[package]) if new and _applies(one, python, new)]
    return faults + [f"{name} is locked, and nothing requires it" for name in versions.keys() - entered.keys()]


# --- making them anew ------------------------------------------------------------------------------------------------


def _compile(lock: str, options: Collection[str]) -> None:
    extras, groups, constraint = LOCKS[lock]
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", PYTHONS[0], "--generate-hashes"]
    command += ["--no-header", "--no-annotate", *options, *(["pyproject.toml"] if extras else [])]
    command += [word for extra in extras for word in ("--extra", extra)]
    command += [word for group in groups for word in ("--group", group)]
    command += ["-c", f"requirements/{constraint}"] if constraint else []
    path = FOLDER / f"{lock}.txt"
    subprocess.run([*command, "-o", str(path)], cwd=ROOT, check=True)
    packages = re.split(r"^(?=[a-z0-9])", path.read_text("utf-8"), flags=re.MULTILINE)
    kept = [one for one in packages if one and _is_installed_anywhere(one.partition(chr(10))[0])]
    path.write_text("".join(kept), "utf-8")


def _is_installed_anywhere(line: str) -> bool:
    """Whether a line of a lock counts on a Python and a system that the project is developed on."""
    requirement = Requirement(line.rstrip(" \\"))
    pythons = [f"3.{minor}.{patch}" for minor in range(11, 15) for patch in (0, 99)]
    systems = (("linux", "Linux"), ("darwin", "Darwin"))
    return requirement.marker is None or any(
        requirement.marker.evaluate({**_environment(python), "sys_platform": system, "platform_system": name})
        for python in pythons
        for system, name in systems
    )


def _reported(requirements: Iterable[str], *options: str) -> dict[str, list[str]]:
    """What packages require, as pip reads it, without installing any."""
    with tempfile.TemporaryDirectory() as folder:
        listed, report = Path(folder, "list.txt"), Path(folder, "report.json")
        listed.write_text("\n".join(requirements), "utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps"]
        command += ["--no-build-isolation", "--target", folder, *options, "--report", str(report), "-r", str(listed)]
        subprocess.run(command, check=True)
        packages = json.loads(report.read_text("utf-8"))["install"]
    return {
        f"{canonicalize_name(one['metadata']['name'])}=={one['metadata']['version']}": one["metadata"].get(
            "requires_dist", []
        )
        for one in packages
    }


def _note() -> None:
    found: dict[str, list[str]] = {}
    for python in PYTHONS:
        for lock in LOCKS:
            pinned = [f"{name}=={version}" for name, version in locked(lines(lock), python).items()]
            new = [one for one in pinned if one not in found]
            wheels = [one for one in new if one.partition("==")[0] not in FROM_SOURCE]
            if wheels:
                found |= _reported(
                    wheels, "--only-binary", ":all:", "--python-version", python, "--ignore-requires-python"
                )
            if len(wheels) < len(new):
                found |= _reported(set(new) - set(wheels))
    used = {extra for one in found.values() for requirement in map(requirement_of, one) for extra in requirement.extras}
    used |= {extra for lock in LOCKS for requirement in wanted_by_project(lock) for extra in requirement.extras}
    kept = {
        package: sorted(
            text for text in requires if any(_applies(requirement_of(text), python, ("", *used)) for python in PYTHONS)
        )
        for package, requires in sorted(found.items())
    }
    METADATA.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")


def main(options: Collection[str]) -> None:
    """Makes all locks anew, then notes what their packages require."""
    for lock in LOCKS:
        _compile(lock, options)
    _note()


if __name__ == "__main__":
    main(sys.argv[1:])
