"""Shared by the commands: arguments, options, exit codes, consoles."""

from __future__ import annotations

import copy
import datetime
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

from purposeguard.cli.files import CommandProblem, choose_notice, read_configuration, read_notice
from purposeguard.cli.render import Format, TextFormat, complain
from purposeguard.cli.words import Language, change, language, learn_titles
from purposeguard.errors import PurposeGuardError
from purposeguard.extras import LIBRARIES, Needs
from purposeguard.notice.history import History
from purposeguard.notice.languages import is_well_formed, nearest_language
from purposeguard.notice.notice import Notice
from purposeguard.notice.several import Notices

with Needs(__name__, "cli"):
    import typer
    from rich.console import Console
    from typer.core import TyperGroup

if TYPE_CHECKING:
    from purposeguard.governance.store import Store

P = ParamSpec("P")

OK, NO, BAD_INPUT = 0, 1, 2
KEYS_VARIABLE = "PURPOSEGUARD_KEYS"
"""The environment variable that says where the keys of a store lie, if apart."""

NOTICE_HELP = "A TOML file, or the name of a bundled notice."
NoticeOption = Annotated[
    str | None,
    typer.Option(
        "--notice",
        metavar="NOTICE",
        help=f"{NOTICE_HELP} Else `notice` of `[tool.purposeguard]` in pyproject.toml, or the only notice file here.",
    ),
]
NoticeArgument = Annotated[str, typer.Argument(metavar="NOTICE", help=NOTICE_HELP)]
Overlays = Annotated[
    list[Path] | None, typer.Option("--overlay", metavar="FILE", help="A file of product overlays; may be repeated.")
]
Channel = Annotated[str | None, typer.Option("--channel", help="How the person is contacted: `email`, `phone`, …")]
Conditions = Annotated[
    list[str] | None, typer.Option("--condition", metavar="ID", help="A condition that holds; may be repeated.")
]
Imports = Annotated[
    list[str] | None, typer.Option("--import", metavar="MODULE", help="Import this too; may be repeated.")
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead of printing.")]
Check = Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if a file would change.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the proposals, and write no file.")]
TableOption = Annotated[Format, typer.Option("--format", help="How to print it.")]
TextsOption = Annotated[bool, typer.Option("--text", help="Show what the notice itself says there, in full.")]
TextOption = Annotated[TextFormat, typer.Option("--format", help="How to print it.")]


def _go_on_in(language: Language | None) -> Language | None:
    if language is not None:
        change(language)
    return language


LANGUAGE_HELP = "The language of words and titles; also `language` of `[tool.purposeguard]` in pyproject.toml."
LanguageOfAll = Annotated[
    Language | None, typer.Option("--language", envvar="PURPOSEGUARD_LANGUAGE", callback=_go_on_in, help=LANGUAGE_HELP)
]
LanguageOption = Annotated[
    Language, typer.Option("--language", callback=_go_on_in, help=LANGUAGE_HELP, show_default=False)
]
"""Of a command that hands its language on; without it, the language is that of the whole command line."""


def _titles_in(tag: str | None) -> str | None:
    if tag is not None:
        if not is_well_formed(tag):
            raise typer.BadParameter(f"`{tag}` is no language tag: write one of BCP 47, e.g. `de`, `pt-BR`")
        if words := nearest_language(["", *Language], tag):  # words go on as they are where titles are German
            change(Language(words))
    return tag


TitleLanguageOption = Annotated[
    str,
    typer.Option(
        "--language",
        metavar="TAG",
        callback=_titles_in,
        help="The language of titles, any that the notice has; words are English or Japanese.",
        show_default=False,
    ),
]
"""Of a command that prints titles in whatever language the notice has them."""


def having(notice: Notice, tag: str) -> str:
    """Return the language in which titles are printed.

    Raises:
        CommandProblem: neither the notice nor this program has it, not even in a variety.
    """
    if not nearest_language(["", *notice.languages, *Language], tag):
        raise CommandProblem(f"the notice has no titles in `{tag}`: it has `{'`, `'.join(notice.languages)}`")
    return tag


class Speaking(TyperGroup):
    """A group whose commands take `--language` as the group does: it may stand before a command or behind it."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of this name, with the option."""
        command = super().get_command(ctx, cmd_name)
        if command is None or isinstance(command, TyperGroup):
            return command
        own = next((param for param in command.params if param.name == "language"), None)
        if own is None:
            (option,) = (param for param in ctx.find_root().command.params if param.name == "language")
            own = copy.copy(option)
            own.expose_value, own.envvar = False, None
            command.params.append(own)
        elif own.expose_value:
            own.default = language  # called when the command begins
        return command


def group(help_text: str) -> typer.Typer:
    """Return a group of commands. A single command keeps its name, too."""
    app = typer.Typer(cls=Speaking, no_args_is_help=True, rich_markup_mode="markdown", help=help_text)
    app.callback()(lambda: None)
    return app


def read_configured_language(folder: Path) -> Language:
    """Return the language of `[tool.purposeguard]`; English where it says nothing.

    Raises:
        CommandProblem: it cannot be read, or is no language that is known here.
    """
    name = read_configuration(folder).language
    if name is None:
        return Language.en
    if name not in list(Language):
        raise CommandProblem(f"`language` of `[tool.purposeguard]` is `{name}`: {', '.join(Language)}")
    return Language(name)


def read_chosen_notice(name: str | None, overlays: Sequence[Path] = ()) -> Notice:
    """Read the notice that a command names; if it names none, that of the project, and say on standard error which.

    Raises:
        NoticeError: its files are at fault.
        CommandProblem: there is no such notice, or none was chosen.
    """
    if name is not None:
        return read_notice(name, overlays)
    choice = choose_notice(Path.cwd())
    notice = read_notice(choice.name, overlays)
    complain(err(), "notice", f"{notice.id}, revision of {notice.revision}, from {choice.name}: {choice.origin}")
    return notice


def read_notice_for_store(store: Store, name: str | None, overlays: Sequence[Path] = ()) -> Notice | History | Notices:
    """Read the notice for a command that is given a store.

    That is the notice that the command names, or else the project's setting, the notice that the store records, or the
    only notice file there. Standard error says which, if the command names none. It also says if the project's setting
    differs from what the store records.

    Raises:
        NoticeError: its files, or the recorded texts, are at fault.
        CommandProblem: there is no such notice, none was chosen, or the store records several.
        StoreUnavailable: the store cannot be read.
    """
    if name is not None:
        return read_chosen_notice(name, overlays)
    from purposeguard.governance.notices import read_recorded_notices  # noqa: PLC0415  # needs the extra `governance`

    recorded = read_recorded_notices(store)
    if not recorded:
        return read_chosen_notice(None, overlays)
    if read_configuration(Path.cwd()).notice is not None:
        chosen = read_chosen_notice(None, overlays)
        _warn_if_not_recorded(chosen, recorded)
        return chosen
    histories, *further = recorded
    if further:
        combinations = ", ".join(map(_join_ids, recorded))
        raise CommandProblem(
            f"which notice is meant? The store was opened with {combinations}: name the file of one, "
            "`--notice notice.toml`"
        )
    if overlays:
        raise CommandProblem(
            "the store records its notice with overlays: name the notice that `--overlay` is for, "
            "`--notice notice.toml`"
        )
    for history in histories:
        notice = _find_current_revision(history)
        learn_titles(notice)
        complain(err(), "notice", f"{notice.id}, revision of {notice.revision}, recorded in the store")
    return histories[0] if len(histories) == 1 else Notices(*histories)


def _warn_if_not_recorded(chosen: Notice, recorded: Sequence[Sequence[History]]) -> None:
    """Print a warning if no application opened the store with this notice, as it reads now."""
    names: list[str] = []
    for histories in recorded:
        current = [_find_current_revision(history) for history in histories]
        if current == [chosen]:
            return
        names.append(" + ".join(f"{notice.id} of {notice.revision}" for notice in current))
    complain(
        err(),
        "warning",
        "`notice` of `[tool.purposeguard]` in pyproject.toml differs from the notice that the store records, "
        f"{', '.join(names)}: correct the setting, or remove it to use the record",
    )


def _find_current_revision(history: History) -> Notice:
    """Return the revision in force. Without one, return the latest: governance then refuses the history."""
    return history.on(datetime.datetime.now(datetime.UTC)) or history.latest


def _join_ids(histories: Sequence[History]) -> str:
    """Return the ids of notices that apply together."""
    return " + ".join(history.latest.id for history in histories)


def out() -> Console:
    """Return the console for standard output."""
    return Console(highlight=False)


def err() -> Console:
    """Return the console for standard error."""
    return Console(stderr=True, highlight=False)


@contextmanager
def needing(extra: str, demand: str) -> Generator[None]:
    """Return a context manager for imports of an extra's packages.

    Args:
        extra: The extra.
        demand: What needs them, with its verb, such as `a store needs`.

    Raises:
        CommandProblem: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        # The error for a library of another extra names that extra itself.
        why = f"{demand} {name}, which is not installed: pip install 'purposeguard[{extra}]'"
        raise CommandProblem(why if name in LIBRARIES[extra] else str(error)) from error


@contextmanager
def valid_input() -> Generator[None]:
    """Return a context manager for a block that reads what the user wrote, such as a URL.

    Raises:
        CommandProblem: it raised ValueError.
    """
    try:
        yield
    except ValueError as error:
        raise CommandProblem(str(error)) from error


def store_of(target: str) -> Store:
    """Return the store of this URL, or in this SQLite file.

    Raises:
        CommandProblem: there is none, or its libraries are not installed.
        StoreUnavailable: it cannot be opened.
    """
    with needing("governance", "a store needs"):
        from purposeguard.governance.store import open_existing_store  # noqa: PLC0415  # needs the extra `governance`
    with valid_input():
        return open_existing_store(target, keys=os.environ.get(KEYS_VARIABLE))


@contextmanager
def reporting() -> Generator[None]:
    """Return a context manager that prints errors of the input and exits with 2."""
    try:
        yield
    except (PurposeGuardError, CommandProblem) as error:
        complain(err(), "error", str(error))
        raise typer.Exit(BAD_INPUT) from error


def ending(command: Callable[P, bool]) -> Callable[P, None]:
    """Turn a command that returns a bool into one that exits with 0 or 1."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with reporting():
            good = command(*args, **kwargs)
        if not good:
            raise typer.Exit(NO)

    return run
