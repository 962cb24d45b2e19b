"""The gate on every Python at hand: `nox`, or `nox -s "tests(3.12)"`.

Each session is a target of the Makefile, which alone knows the commands, in a folder of its own.
"""

import shutil
import subprocess

import nox

OLDEST = "3.11"
PYTHONS = [OLDEST, "3.12", "3.13", "3.14"]

nox.options.sessions = ["lint", "types", "layers", "tests", "lowest"]


def make(session: nox.Session, target: str, version: str = OLDEST) -> None:
    python = shutil.which(f"python{version}")
    # A pyenv shim is found for every version that pyenv knows, and runs only for those switched on.
    if python is None or subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode:
        session.skip(f"no Python {version} here")
    args = f"ARGS={' '.join(session.posargs)}"
    session.run("make", target, f"PYTHON={python}", f"VENV=.venv-{version}", args, external=True)


@nox.session(venv_backend="none")
@nox.parametrize("version", [nox.param(version, id=version) for version in PYTHONS])
def tests(session: nox.Session, version: str) -> None:
    make(session, "test", version)


@nox.session(venv_backend="none")
def lowest(session: nox.Session) -> None:
    make(session, "lowest")


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    make(session, "lint")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    make(session, "types")


@nox.session(venv_backend="none")
def layers(session: nox.Session) -> None:
    make(session, "layers")


@nox.session(venv_backend="none")
def mutation(session: nox.Session) -> None:
    make(session, "mutation")
