"""The commands of `purposeguard ledger`: verify a ledger, show it, copy it, archive it."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

from purposeguard.cli.files import CommandProblem, replacing
from purposeguard.cli.ledger_report import KEYS, EntryFilter, count_entries, describe_archive, group_uses, ledger_report
from purposeguard.cli.options import (
    NO,
    OK,
    Output,
    TableOption,
    TextOption,
    err,
    group,
    needing,
    out,
    reporting,
    store_of,
    valid_input,
)
from purposeguard.cli.render import complain, json_text, show, verdict
from purposeguard.cli.words import translate
from purposeguard.errors import LedgerBroken
from purposeguard.extras import Needs

with Needs(__name__, "cli"):
    import typer

if TYPE_CHECKING:
    from purposeguard.governance.ledger import LedgerSnapshot, Verification


ledger_app = group("Verify a ledger, and read which uses and refusals it records.")
"""Registered by `commands`."""


Target = Annotated[str, typer.Argument(metavar="STORE", help="The URL of a store, or the path of its SQLite file.")]
Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="TARGET",
        help="The URL of a store, or the path of its SQLite file, an export or an archive: all are read as one ledger.",
    ),
]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="From this day (UTC) or moment on, e.g. `2026-05-01`.")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Before this day or moment.")]


@contextlib.contextmanager
def _reading(*targets: str) -> Generator[LedgerSnapshot]:
    """Return a context manager with the ledger. Print what is wrong with it or the input, and exit with 1 or 2."""
    with reporting(), _breaking(), _open_ledger(targets) as ledger:
        yield ledger


@contextlib.contextmanager
def _breaking() -> Generator[None]:
    """Print what is wrong with the ledger, and exit with 1."""
    try:
        yield
    except LedgerBroken as error:
        complain(err(), "broken", f"{error.place}: {error.what}")
        raise typer.Exit(NO) from error


@contextlib.contextmanager
def _open_ledger(targets: Sequence[str]) -> Generator[LedgerSnapshot]:
    with needing("governance", "ledgers need"):
        from purposeguard.governance.ledger.opening import joined  # noqa: PLC0415  # needs the extra `governance`
    with contextlib.ExitStack() as stack:
        with valid_input():  # the URL
            ledger = stack.enter_context(joined(targets))
        yield ledger


@ledger_app.command(epilog="Exit codes: 0 as it was written, 1 broken, 2 it cannot be read.")
def verify(
    targets: Targets,
    *,
    expect: Annotated[
        str | None,
        typer.Option(
            metavar="[SEQ:]HASH",
            help="A hash noted earlier, which an entry must have; with its number, only what follows is read.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="CHECKPOINTS",
            help="The file or database (URL) that holds checkpoints. Only the entries after the last one are read.",
        ),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="The public key by which checkpoints and archives must be signed.")
    ] = None,
    stopped: Annotated[
        bool, typer.Option("--stopped", help="Nothing was written since the last checkpoint: it must be the end.")
    ] = False,
    form: TextOption = "text",
) -> None:
    """Read a ledger from the first entry to the last, and say whether it is as it was written, or where it is not.

    This shows any change, unless somebody also rewrote everything after it, or put an older copy in its place. Those
    two show only against a checkpoint (`--from`) or a hash (`--expect`) that was kept elsewhere.
    """
    if stopped and since is None:
        # `_reading` reports errors too, but opens the ledger first, whose own errors would hide this one.
        with reporting():
            raise CommandProblem("`--stopped` is about checkpoints: name them with `--from`")
    data: dict[str, Any]
    with _reading(*targets) as ledger:
        try:
            data = _verdict_data(_verify(ledger, expect, since, key, stopped=stopped), key)
        except LedgerBroken as error:
            data = {"intact": False, "place": error.place, "what": error.what}
    intact = bool(data["intact"])
    if form == "json":
        print(json_text(data), end="")
    elif intact:
        verdict(out(), "intact", *_verdict_lines(data))
    else:
        verdict(out(), "broken", f"{data['place']}: {data['what']}", ())
    raise typer.Exit(OK if intact else NO)


def _verify(
    ledger: LedgerSnapshot, expect: str | None, since: str | None, key: Path | None, *, stopped: bool
) -> Verification:
    """Return the verdict of the wanted kind; raises LedgerBroken, CommandProblem, or StoreUnavailable."""
    from purposeguard.governance.ledger import checkpoints  # noqa: PLC0415  # needs the extra `governance`

    with needing("checkpoints", "signatures need"), valid_input():
        public = None if key is None else checkpoints.load_public_key(key)
    if since is not None:
        with valid_input():
            checkpoint = checkpoints.read_last_checkpoint(since)
        return checkpoints.verify_from(ledger, checkpoint, key=public, stopped=stopped)
    if public is not None:
        checkpoints.verify_archiving(ledger, public)
        if not ledger.parts[-1].start.seq:
            raise CommandProblem(
                "nothing was archived, so nothing is signed: `--key` is for checkpoints (`--from`) and archives"
            )
    number, colon, noted = (expect or "").partition(":")
    if not colon:
        return ledger.verify(expect)
    if not (number.isascii() and number.isdigit()):
        raise CommandProblem(f"`{expect}` is no number and hash: give `17:9f…`, as `ledger verify` printed it")
    return checkpoints.verify_continuation(ledger, int(number), noted)


def _verdict_data(verdict: Verification, key: Path | None) -> dict[str, Any]:
    # With a key, `_verify` has verified the signature of the archive as well.
    return {
        "intact": True,
        "entries": verdict.entries,
        "new": verdict.new,
        "at": verdict.head.at or None,
        "hash": verdict.head.hash,
        "open_uses": sum(verdict.head.open.values()),
        "open_denials": sum(verdict.head.repeated.values()),
        "went_back": verdict.went_back,
        "archived": verdict.archived,
        "archive_signed": key is not None and bool(verdict.archived),
    }


def _verdict_lines(data: dict[str, Any]) -> tuple[str, list[str]]:
    lines = [f"last written to at {data['at']}", f"hash {data['hash']}"] if data["at"] else []
    if data["open_uses"]:
        lines.append(f"{count_entries(data['open_uses'], 'use')} counted in hours that are not over")
    if data["open_denials"]:
        lines.append(f"{count_entries(data['open_denials'], 'denial')} that came again in hours that are not over")
    if data["went_back"]:
        lines.append(
            f"{count_entries(data['went_back'], 'time')} an entry is dated before the one before it: a clock was set"
        )
    if data["archived"]:
        lines.append(describe_archive(data["archived"], signed=data["archive_signed"]))
    new = "" if data["new"] == data["entries"] else f", {data['new']:,} of them read"
    return count_entries(data["entries"], "entry", "entries") + new, lines


@ledger_app.command(epilog="Exit codes: 0 made, 1 the ledger is broken, 2 bad input.")
def checkpoint(
    target: Target,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="SINK", help="A file that it is appended to, or a database.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The private key that signs it.")] = None,
) -> None:
    """Make a checkpoint of a store: where its ledger ends now. It is printed, or kept where `--output` says.

    Keep it where those who can write to the store cannot: `ledger verify --from` then finds what was changed since.
    """
    from purposeguard.runtime.clock import read_system_time  # noqa: PLC0415  # as below

    with _reading(target) as ledger:
        from purposeguard.governance.ledger import chain, checkpoints  # noqa: PLC0415  # needs the extra `governance`

        if ledger.connection is None:
            raise CommandProblem(f"`{target}` is an export: name the store")
        ledger.verify()
        with needing("checkpoints", "signatures need"), valid_input():
            sink = checkpoints.Checkpoints(output or print, key)
        sink.keep(checkpoints.make_checkpoint(ledger, ledger.connection, chain.format_moment(read_system_time())))


@ledger_app.command(epilog="Exit codes: 0 archived, or nothing is as old, 1 the ledger is broken, 2 bad input.")
def archive(
    target: Target,
    *,
    before: Annotated[str, typer.Option(metavar="TIME", help="Move the entries from before this day (UTC) or moment.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="A new file; compressed if it ends in `.gz`.")
    ],
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="CHECKPOINTS",
            help="The file or database (URL) of checkpoints. The ledger is also verified against the last one. If "
            "entries are archived, a new one is added.",
        ),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="The private key that signs the archive and the new checkpoint.")
    ] = None,
) -> None:
    """Move the old entries of a ledger from its store to a file.

    The file can be verified by itself, or together with the entries that remain in the store. Entries are deleted only
    after the whole ledger was verified, the file was written and read back, and a new entry records what was archived.
    If the command is interrupted, run it again. Its database role must be allowed to delete entries, which the role of
    an application is not.
    """
    with reporting(), _breaking():
        with needing("governance", "ledgers need"):
            from purposeguard.governance.ledger import archiving, checkpoints  # noqa: PLC0415  # needs this extra
        with valid_input():
            with needing("checkpoints", "signatures need"):
                signing = None if key is None else checkpoints.load_private_key(key)
            moment = _moment(before)
            last = None if since is None else checkpoints.read_last_checkpoint(since)
            with store_of(target) as store:
                try:
                    done = archiving.archive(store, output, moment, key=signing, checkpoint=last)
                except OSError as error:
                    raise CommandProblem(f"{output} cannot be written: {error.strerror or error}") from error
    if since is not None and done is not None:
        checkpoint(target, since, key)
    message = "nothing is as old" if done is None else f"entries {done.first:,} to {done.last:,} are in {output}"
    print(translate(message))


@ledger_app.command(epilog="Exit codes: 0 made, 2 bad input.")
def key(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The file of the private key.")],
) -> None:
    """Make a pair of keys that sign checkpoints: FILE (0600), and FILE.pub, which verifies."""
    with reporting():
        with needing("checkpoints", "signatures need"):
            from purposeguard.governance.ledger.checkpoints import make_keys  # noqa: PLC0415  # needs the extra

            try:
                public = make_keys(path)
            except OSError as error:
                raise CommandProblem(f"{error.filename} cannot be made: {error.strerror or error}") from error
        print(translate(f"{path} signs, {public} verifies"))


@ledger_app.command(epilog="Exit codes: 0 the same, 1 there are differences, 2 bad input.")
def reconcile(targets: Targets, form: TextOption = "text") -> None:
    """Compare the restrictions, consents, requests and provisions of a store with what its ledger says was done.

    A row that was changed, deleted or inserted behind the library's back differs. Verify the ledger too.
    """
    with _reading(*targets) as ledger:
        from purposeguard.governance.reconciling import reconcile as compared  # noqa: PLC0415  # as above

        if ledger.connection is None:
            raise CommandProblem(f"`{targets[-1]}` is an export: name the store")
        with valid_input():
            differences = list(compared(ledger, ledger.connection))
    if form == "json":
        data = [{"place": place, "what": what} for place, what in differences]
        print(json_text({"differences": data}), end="")
    elif differences:
        lines = [f"{place}: {what}" for place, what in differences]
        verdict(out(), "broken", count_entries(len(differences), "difference"), lines)
    else:
        verdict(out(), "intact", "restrictions, consents, requests and provisions are as the ledger says", ())
    raise typer.Exit(NO if differences else OK)


@ledger_app.command(name="show", epilog="Exit codes: 0 printed, 1 the ledger is broken, 2 bad input.")
def show_ledger(
    targets: Targets,
    *,
    kind: Annotated[
        list[str] | None, typer.Option(help="Only entries of this kind, e.g. `denial`; may be repeated.")
    ] = None,
    activity: Annotated[str | None, typer.Option(metavar="NAME", help="Only what this activity did.")] = None,
    since: Since = None,
    until: Until = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="KEYS", help=f"Add up uses and denials by some of {', '.join(KEYS)}, e.g. `activity,field`."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many of uses, and of the other entries.")] = 100,
    form: TableOption = "table",
) -> None:
    """Print what was used for what, added up by the hour, and denials and other entries one by one."""
    with _reading(*targets) as ledger:
        first = None if since is None else _moment(since)
        end = None if until is None else _moment(until)
        wanted = EntryFilter(kind or (), activity, first, end, limit)
        if by is None:
            report = ledger_report(ledger, wanted)
        else:
            report = group_uses(ledger, wanted, by.replace(" ", "").split(","))
        show(report, form, out())
    for warning in report.warnings:
        complain(err(), "note", warning)


def _moment(text: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise CommandProblem(
            f"`{text}` is no time: give a day such as `2026-05-01`, or `2026-05-01T09:00+09:00`"
        ) from None
    if moment.tzinfo is not None:
        try:
            return moment.astimezone(datetime.UTC)
        except OverflowError:
            raise CommandProblem(f"`{text}` is outside the range of UTC") from None
    if len(text) > len("2026-05-01"):
        raise CommandProblem(f"`{text}` could be any of many moments: give its time zone, `{text}Z` or `{text}+09:00`")
    return moment.replace(tzinfo=datetime.UTC)


@ledger_app.command(epilog="Exit codes: 0 exported, 1 the ledger is broken, 2 bad input.")
def export(
    targets: Targets,
    output: Output = None,
) -> None:
    """Copy a ledger as JSON Lines, verifying it meanwhile. The last line is the head: the copy verifies by itself."""
    with _reading(*targets) as ledger:
        from purposeguard.governance.ledger.exports import export_lines  # noqa: PLC0415  # as above

        with contextlib.closing(export_lines(ledger)) as lines, _output_file(output) as file:
            file.writelines(lines)


def _is_store(path: Path) -> bool:
    """Return True for an SQLite file, such as the ledger itself, which an export must not replace."""
    if not path.is_file():
        return False
    from purposeguard.governance.ledger.opening import SQLITE  # noqa: PLC0415  # as above

    with path.open("rb") as file:
        return file.read(len(SQLITE)) == SQLITE


@contextlib.contextmanager
def _output_file(output: Path | None) -> Generator[BinaryIO]:
    """Return a context manager with the output.

    It is a file that is replaced when complete, a device, a pipe, or standard output.

    Raises:
        CommandProblem: it cannot be written, or is a store.
    """
    if output is None:
        yield typer.get_binary_stream("stdout")
        return
    try:
        is_store = _is_store(output.resolve())
    except OSError as error:
        raise CommandProblem(f"{output} cannot be written: {error.strerror or error}") from error
    if is_store:
        raise CommandProblem(f"{output} is a store, or another database of SQLite: name another file")
    with replacing(output, private=True) as file:
        yield file
