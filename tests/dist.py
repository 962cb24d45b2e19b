"""The files of a release: `python -m tests.dist TOOLS` makes them in `dist`, and tries them as a user would.

TOOLS is the folder of the programs `twine` and `cyclonedx-py`, which are in an environment of their own. The wheel and
the sdist have the same bytes whoever builds them: the time in them is that of the last commit, or `SOURCE_DATE_EPOCH`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from tests.locks import ROOT, lines

FOLDER: Final = ROOT / "dist"


def source_date() -> str:
    """Return the time that the files bear, in seconds since 1970."""
    stated = os.environ.get("SOURCE_DATE_EPOCH")
    if stated is not None:
        return stated
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def build(folder: Path, *targets: str, source: Path = ROOT) -> dict[str, bytes]:
    """Build the wheel and the sdist into a folder.

    Args:
        folder: Where the files go.
        targets: `wheel`, `sdist`, or nothing for both.
        source: The project, or an unpacked sdist.

    Returns:
        The content of each file by its name.
    """
    options = [option for target in targets for option in ("-t", target)]
    command = [sys.executable, "-m", "hatchling", "build", *options, "-d", str(folder)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": source_date()}
    subprocess.run(command, cwd=source, env=environment, check=True, stdout=subprocess.DEVNULL)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def install(wheel: Path, environment: Path) -> Path:
    """Install a wheel and what it requires, and nothing else, into a new environment.

    Versions are those of the lock `dev`. The wheel is taken from its folder by name, so that no path is recorded.

    Returns:
        The interpreter of the environment.
    """
    python = environment / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    with tempfile.TemporaryDirectory() as unpacked:
        shutil.unpack_archive(wheel, unpacked, "zip")
        (metadata,) = Path(unpacked).glob("*.dist-info")
        distribution = PathDistribution(metadata)
        required = [text for text in distribution.requires or () if "extra ==" not in text]
        name = f"{distribution.metadata['Name']}=={distribution.version}"
    pinned = Path(environment, "pinned.txt")
    pinned.write_text("\n".join(lines("dev")), "utf-8")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(python), "install"]
    names = [str(Requirement(text)) for text in required]
    subprocess.run([*pip, "--only-binary", ":all:", "-c", str(pinned), *names], check=True)
    subprocess.run([*pip, "--no-index", "--no-deps", "--find-links", str(wheel.parent), name], check=True)
    return python


def write_bill_of_materials(python: Path, target: Path, tools: Path) -> None:
    """Write the SBOM of an environment as CycloneDX, validated by the tool."""
    command = [str(tools / "cyclonedx-py"), "environment", "--pyproject", str(ROOT / "pyproject.toml")]
    command += ["--mc-type", "library", "--output-reproducible", "--output-format", "JSON", "-o", str(target)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": source_date()}
    subprocess.run([*command, str(python)], cwd=ROOT, env=environment, check=True)


def main(tools: Path) -> None:
    """Make the files in `dist`, check them, and run README's commands with the wheel."""
    from tests.docs.running import Reader  # not needed to build

    shutil.rmtree(FOLDER, ignore_errors=True)
    files = build(FOLDER)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if build(folder / "again") != files:
            raise SystemExit("two builds differ: look for what depends on the time, the user or the order of files")
        paths = [str(FOLDER / file) for file in files]
        subprocess.run([str(tools / "twine"), "check", "--strict", *paths], check=True)
        (wheel,) = FOLDER.glob("*.whl")
        python = install(wheel, folder / "environment")
        stem = "-".join(wheel.name.split("-")[:2])
        write_bill_of_materials(python, FOLDER / f"{stem}.cdx.json", tools)
        constraints = folder / "constraints.txt"
        constraints.write_text("\n".join(lines("dev")), "utf-8")
        reading = folder / "readme"
        reading.mkdir()
        Reader(reading, constraints=constraints, package=wheel).read(ROOT / "README.md")
    print(*sorted(path.name for path in FOLDER.iterdir()), sep="\n")  # noqa: T201  # what was made


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
