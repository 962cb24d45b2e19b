"""The commands of `purposeguard export`: a notice for other engines, as files of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from purposeguard.errors import PurposeGuardError
from purposeguard.notice.export.cedar import export
from purposeguard.tools.files import difference, read_notice, write
from purposeguard.tools.problems import Problem
from purposeguard.tools.render import complain
from purposeguard.tools.reports import Language

NO, BAD_INPUT = 1, 2

export_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Write a notice for another engine: the same rules, decided there.",
)
"""Registered by `commands`."""


@export_app.callback()
def root() -> None:
    """Nothing of its own: each engine has a command."""


@export_app.command(epilog="Exit codes: 0 written or up to date, 1 stale (with --check), 2 bad input.")
def cedar(
    notice: Annotated[
        str, typer.Argument(metavar="NOTICE", help="A TOML file, or the name of a bundled notice.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="The folder to write into.", show_default=False),
    ],
    *,
    overlay: Annotated[
        list[Path] | None,
        typer.Option(
            "--overlay", metavar="FILE", help="A file of product overlays; may be repeated.", show_default=False
        ),
    ] = None,
    language: Annotated[Language, typer.Option("--language", help="The language of titles.")] = Language.en,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 where a file is not what it should be.")
    ] = False,
) -> None:
    """Write a notice as a schema, policies and entities of Cedar.

    Neither revisions of collection nor what subjects asked for nor periods of retention are in them: what these take
    away is this library's to refuse.
    """
    errors = Console(stderr=True, highlight=False)
    try:
        found = read_notice(notice, overlay or ())
        files = {output / name: text for name, text in export(found.document, language.value).items()}
        if check:
            stale = [differs for path, text in files.items() if (differs := difference(path, text))]
        else:
            stale = []
            _written(output, files)
    except (PurposeGuardError, Problem) as error:
        complain(errors, "error", str(error))
        raise typer.Exit(BAD_INPUT) from error
    for differs in stale:
        complain(errors, "stale", differs)
    if stale:
        complain(errors, "run", _again(notice, output, overlay or (), language))
        raise typer.Exit(NO)


def _written(folder: Path, files: dict[Path, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"{folder} cannot be made: {error.strerror or error}") from error
    for path, text in files.items():
        write(path, text)


def _again(notice: str, output: Path, overlays: Sequence[Path], language: Language) -> str:
    """The command that writes the files anew."""
    more = [f"--overlay {one}" for one in overlays]
    more += [] if language is Language.en else [f"--language {language.value}"]
    return " ".join(["purposeguard export cedar", notice, f"-o {output}", *more])
