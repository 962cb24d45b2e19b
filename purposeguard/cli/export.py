"""The commands `purposeguard export`: a notice for other engines, as files."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from purposeguard.cli.application import find_guard, read_annotations
from purposeguard.cli.files import CommandProblem, difference, read_notice, write_all
from purposeguard.cli.options import (
    NO,
    Check,
    Imports,
    NoticeArgument,
    Overlays,
    TitleLanguageOption,
    err,
    group,
    having,
    reporting,
)
from purposeguard.cli.render import complain
from purposeguard.cli.words import Language
from purposeguard.extras import Needs
from purposeguard.guard import Guard
from purposeguard.notice.export import cedar as cedar_files
from purposeguard.notice.export import dpv as dpv_files
from purposeguard.notice.export import fides as fides_files
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import NotPersonal, list_term_ids

with Needs(__name__, "cli"):
    import typer

Folder = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write into.")]
EXIT_CODES = "Exit codes: 0 written or up to date, 1 stale (with --check), 2 bad input."

export_app = group("Write a notice for another engine: the same rules, decided there.")
"""Registered by `commands`."""


@export_app.command(epilog=EXIT_CODES)
def cedar(
    notice: NoticeArgument,
    output: Folder,
    *,
    overlay: Overlays = None,
    language: TitleLanguageOption = Language.en,
    check: Check = False,
) -> None:
    """Write a notice as a schema, policies and entities of Cedar.

    Neither revisions of collection nor what subjects asked for nor periods of retention are in them: what these take
    away is this library's to refuse.
    """
    with reporting():
        loaded = read_notice(notice, overlay or ())
        files = cedar_files.export(loaded.document, having(loaded, language))
        again = _command("cedar", notice, output, overlay, language)
        _deliver(output, files, check, again)


@export_app.command(epilog=EXIT_CODES)
def fides(
    notice: NoticeArgument,
    output: Folder,
    *,
    guard: Annotated[
        str | None, typer.Option("--guard", metavar="MODULE:GUARD", help="Also write what this application tagged.")
    ] = None,
    imports: Imports = None,
    overlay: Overlays = None,
    language: TitleLanguageOption = Language.en,
    check: Check = False,
) -> None:
    """Write a notice as manifests of Fides: a taxonomy, a system with its declarations, and a policy.

    With a guard also a dataset of the application's tagged tables and of the fields that its access functions read.
    Channels, families, consents and recipients cannot be told to Fides: the head of the file says so.
    """
    with reporting():
        loaded = read_notice(notice, overlay or ())
        tables = None if guard is None else collect_tagged_fields(find_guard(guard, imports or ()), loaded)
        files = fides_files.export(loaded.document, having(loaded, language), tables)
        options = [] if guard is None else [f"--guard {guard}"]
        options += map("--import {}".format, imports or ())
        _deliver(output, files, check, _command("fides", notice, output, overlay, language, *options))


@export_app.command(epilog=EXIT_CODES)
def dpv(notice: NoticeArgument, output: Folder, *, overlay: Overlays = None, check: Check = False) -> None:
    """Write a notice as JSON-LD in the Data Privacy Vocabulary, with rules of ODRL.

    Titles are in every language of the notice. What the rules do not say is noted at the set of rules.
    """
    with reporting():
        files = dpv_files.export(read_notice(notice, overlay or ()).document)
        _deliver(output, files, check, _command("dpv", notice, output, overlay))


def collect_tagged_fields(guard: Guard, notice: Notice) -> dict[str, dict[str, list[str]]]:
    """Return the tagged fields of an application, by table or access function and source id.

    Raises:
        CommandProblem: the application holds to another notice or revision, or data of it is tagged by one.
    """
    if (guard.notice.id, guard.notice.revision) != (notice.id, notice.revision):
        raise CommandProblem(
            f"the guard holds to {guard.notice.id} of {guard.notice.revision}, and the notice is {notice.id} of"
            f" {notice.revision} (help: export the notice that the application runs by)"
        )
    if unread := read_annotations(guard):
        site, why = next(iter(unread.items()))
        raise CommandProblem(f"{site.dotted}: its sources are not known: {why}")
    source_ids = set(list_term_ids(notice.sources))
    labels: dict[str, Mapping[str, Label]] = {}
    for table in guard.tables:
        labels[table.name] = dict(table.columns)
    for access in guard.accesses:
        labels[access.name] = {**access.fields, **access.sealed}
    tagged: dict[str, dict[str, list[str]]] = {}
    for name, fields in labels.items():
        for field, label in fields.items():
            clauses = _list_exported(f"{name}.{field}", label, source_ids)
            if clauses:
                tagged.setdefault(name, {})[field] = clauses
    return tagged


def _list_exported(where: str, label: Label, source_ids: Container[str]) -> list[str]:
    """Return the sources of a field, without what is not personal.

    Raises:
        CommandProblem: the notice has no such source.
    """
    clauses = [source.clause for source in label if source is not NotPersonal]
    for clause in clauses:
        if clause not in source_ids:
            raise CommandProblem(
                f"{where}: the notice has no source `{clause}` (help: name its overlays with --overlay)"
            )
    return clauses


def _deliver(output: Path, files: Mapping[str, str], check: bool, command: str) -> None:
    """Write files into a folder, or compare them with the existing files."""
    texts = {output / name: text for name, text in files.items()}
    if not check:
        write_all(output, texts)
        return
    stale = list(filter(None, map(difference, texts, texts.values())))
    for description in stale:
        complain(err(), "stale", description)
    if stale:
        complain(err(), "run", command)
        raise typer.Exit(NO)


def _command(
    engine: str,
    notice: str,
    output: Path,
    overlays: Sequence[Path] | None,
    language: str = Language.en,
    *more: str,
) -> str:
    """Return the command line that writes the files again."""
    options = [*more, *map("--overlay {}".format, overlays or ())]
    options += [] if language == Language.en else [f"--language {language}"]
    return " ".join([f"purposeguard export {engine}", notice, f"-o {output}", *options])
