"""`purposeguard store`: the tables in which governance remembers, and their version."""

from __future__ import annotations

from typing import Annotated

from purposeguard.cli.options import KEYS_VARIABLE, group, needing, reporting, valid_input
from purposeguard.cli.words import translate
from purposeguard.extras import Needs

with Needs(__name__, "cli"):
    import typer


store_app = group("Bring the store of governance up to date.")
"""Registered by `commands`."""


@store_app.command(epilog="Exit codes: 0 up to date, 2 bad input, no store, or one that cannot be upgraded like this.")
def upgrade(
    target: Annotated[str, typer.Argument(metavar="STORE", help="A file of SQLite, or a URL.")],
    *,
    keys: Annotated[
        str | None,
        typer.Option(
            "--keys",
            envvar=KEYS_VARIABLE,
            metavar="URL",
            help="Where its keys lie, or are moved: the URL of another database.",
        ),
    ] = None,
    contract: Annotated[
        bool, typer.Option("--contract", help="Also take away what only older versions use: once none of them runs.")
    ] = False,
) -> None:
    """Bring the tables of a store up to date with this version of purposeguard, in one transaction.

    Adds what is missing, and applications of the version before go on meanwhile and afterwards. What only they use
    stays until `--contract`; after that they are refused, and the way back is a copy of the store, to be made before.
    With `--keys`, the keys that tell whose a pseudonym is are moved to another database, for good.

    Applications do not do it themselves: one that lacks something in the tables refuses to start.
    """
    with reporting():
        with needing("governance", "a store needs"):
            from purposeguard.governance.store import has_pending_contract, upgrade_store  # noqa: PLC0415  # needs `governance`
        with valid_input():  # the URL
            before, after = upgrade_store(target, keys=keys, contract=contract)
    print(translate(f"up to date: `{after}`" if before == after else f"upgraded: `{before}` to `{after}`"))
    if has_pending_contract(after):
        print(translate("older versions can still use it: once none runs, make a copy, then run it with `--contract`"))
