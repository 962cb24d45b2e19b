"""`purposeguard store`: the tables in which governance remembers, and their version."""

from __future__ import annotations

from typing import Annotated

import typer

from purposeguard.cli.files import Problem
from purposeguard.cli.options import KEYS_VARIABLE, Speaking, needing, reporting
from purposeguard.cli.words import said

store_app = typer.Typer(
    cls=Speaking,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Bring the store of governance up to date.",
)
"""Registered by `commands`."""


@store_app.callback()
def _group() -> None:
    """Makes a group of one command, which has its name."""


@store_app.command(epilog="Exit codes: 0 up to date, 2 bad input, no store, or one of a newer version.")
def upgrade(
    target: Annotated[
        str,
        typer.Argument(metavar="STORE", help="A file of SQLite, or a URL.", show_default=False),
    ],
    *,
    keys: Annotated[
        str | None,
        typer.Option(
            "--keys",
            envvar=KEYS_VARIABLE,
            metavar="URL",
            help="Where its keys lie, or are moved: the URL of another database.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Bring the tables of a store up to date with this version of purposeguard, in one transaction.

    Applications do not do it themselves: one that finds tables of an older version refuses to start. Make a copy of the
    store first, since there is no way back but that copy. With `--keys`, the keys that tell whose a pseudonym is are
    moved to another database, for good.
    """
    with reporting():
        with needing("governance", "a store needs"):
            from purposeguard.governance.store import upgraded  # noqa: PLC0415  # needs the extra `governance`
        try:
            before, after = upgraded(target, keys=keys)
        except ValueError as error:  # of the URL
            raise Problem(str(error)) from error
    print(said(f"up to date: `{after}`" if before == after else f"upgraded: `{before}` to `{after}`"))
