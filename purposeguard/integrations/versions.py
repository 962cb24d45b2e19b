"""Whether a framework is of a version that an integration was tested with."""

from __future__ import annotations

import importlib.metadata
import warnings


class UntestedVersion(UserWarning):
    """A framework is of a minor version that this release was not tested with: its hooks may not be called any more."""


def must_be_tested(package: str, first: str, last: str) -> None:
    """Warns with UntestedVersion where the installed `package` is older than minor `first` or newer than `last`.

    Called by an integration when it is imported. `first` and `last` are written `2.1`; of a calendar version the year
    alone may be given.

    Raises:
        PackageNotFoundError: the package is not installed.
    """
    installed = importlib.metadata.version(package)
    least, most = _minor(first), _minor(last)
    if _minor(installed, len(least)) < least or _minor(installed, len(most)) > most:
        warnings.warn(
            f"{package} {installed} was not tested with this release of purposeguard (tested: {first} to {last}): run "
            "your tests of refusals before you rely on it",
            UntestedVersion,
            stacklevel=3,
        )


def _minor(version: str, parts: int = 2) -> tuple[int, ...]:
    """The leading numbers of a version."""
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in version.split(".")[:parts])
