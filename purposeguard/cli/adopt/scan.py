"""The command `purposeguard adopt scan`: propose the source of each field of an application."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from purposeguard.adoption.catalog import ClassCatalog, FoundClass
from purposeguard.adoption.classification import NOT_PERSONAL, FieldProposal, propose_sources
from purposeguard.cli.adopt.collect.application import Application
from purposeguard.cli.adopt.project import DirectoryOption, open_project
from purposeguard.cli.columns import ReportColumn, list_rows, make_table
from purposeguard.cli.files import CommandProblem
from purposeguard.cli.options import DryRun, Imports, TableOption, err, needing, out
from purposeguard.cli.render import Format, Report, complain, show
from purposeguard.cli.words import Language, language, translate
from purposeguard.errors import Fault, on_one_line
from purposeguard.extras import Needs
from purposeguard.project.directory import TAGS, ProjectFiles
from purposeguard.project.tags import TABLE, UNDECIDED, Fields, FieldTag

with Needs(__name__, "cli"):
    import typer
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


MAX_SHOWN: Final = 1_000
"""The number of fields that a table shows. A terminal takes long to lay out more."""


def scan(
    app: Annotated[
        str | None,
        typer.Argument(
            metavar="[APP]",
            help="The application: `MODULE:NAME`, a module, a package, or a module of Django settings.",
            show_default=False,
        ),
    ] = None,
    imports: Imports = None,
    *,
    database: Annotated[
        str | None,
        typer.Option("--database", metavar="URL", help="Read the tables of this database, a URL of SQLAlchemy."),
    ] = None,
    dbt: Annotated[
        Path | None, typer.Option("--dbt", metavar="DIR", help="Read the manifest of a dbt project.")
    ] = None,
    directory: DirectoryOption = None,
    form: TableOption = "table",
    dry_run: DryRun = False,
) -> bool:
    """Propose a source for each field and column without a tag, with a reason and a confidence.

    Imports the application and runs nothing else of it. The proposals are added to tags.toml, for people to review:
    existing entries stay as they are. Fields that cannot be classified are undecided, which does not mean that they
    are not personal.
    """
    project = open_project(directory)
    with _show_progress() as progress:
        task = progress.add_task(translate("reading the application"), total=None)
        catalog, failures = _collect(project, app, imports or (), database, dbt)
        tags = _ProjectTags(project)
        result = _Scan(catalog, tags, [])
        total = sum(len(found.fields) for found in catalog.classes.values())
        progress.update(task, description=translate("proposing sources"), total=total)
        for proposal in propose_sources(catalog, project.notice, tags.list_decided):
            result.proposals.append(proposal)
            progress.advance(task)
        progress.update(task, completed=total)
        faults = _find_faults(catalog, project, is_complete=app is not None)
        is_written = not dry_run and _write(project, result)
    _show_result(result, faults, failures, form)
    if is_written:
        complain(err(), "written", str(project.directory / TAGS))
    return not faults


def _collect(
    project: ProjectFiles, app: str | None, imports: Iterable[str], database: str | None, dbt: Path | None
) -> tuple[ClassCatalog, list[str]]:
    """Return what there is to be tagged, and a sentence for each module that could not be imported.

    Raises:
        CommandProblem: Nothing was named, or it cannot be read.
    """
    if app is None and database is None and dbt is None:
        raise CommandProblem("there is nothing to scan: name an application, or `--database URL`, or `--dbt DIR`")
    catalog, failures = ClassCatalog(), []
    if app is not None:
        application = Application(app, imports)
        catalog, failures = application.collect(project.notice), application.failures
    if database is not None:
        with needing("sqlalchemy", "the tables of a database need"):
            from purposeguard.cli.adopt.collect.sqlalchemy import collect_database  # noqa: PLC0415  # needs an extra
        for found in collect_database(database):
            catalog.add(found)
    if dbt is not None:
        from purposeguard.cli.adopt.collect.dbt import collect_dbt  # noqa: PLC0415  # It loads sqlglot.

        for found in collect_dbt(dbt, project.notice):
            catalog.add(found)
    if not catalog.classes:
        raise CommandProblem(
            f"{app or database or dbt} has no class with fields and no table (help: `--import MODULE` imports further "
            "modules)"
        )
    return catalog, failures


def _show_result(result: _Scan, faults: list[Fault], failures: list[str], form: Format) -> None:
    """Print the proposals and, on standard error, the modules that could not be imported and the faults."""
    show(_make_report(result, faults, failures), form, out())
    for failure in failures:
        complain(err(), "warning", failure)
    for fault in faults:
        complain(err(), "finding", str(fault))
    if form == "table":
        if len(result.proposals) > MAX_SHOWN:
            more = len(result.proposals) - MAX_SHOWN
            print(translate(f"{more} more fields are not shown: tags.toml and `--format json` have all of them"))
        print(translate(result.format_summary()))


@contextlib.contextmanager
def _show_progress() -> Generator[Progress]:
    console = err()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield progress


class _ProjectTags:
    """The tags that the code and the files of a project state."""

    def __init__(self, project: ProjectFiles) -> None:
        self._file = project.tags

    def find(self, found: FoundClass) -> Fields:
        """Return what the file says about the fields of a class or its table, undecided fields included."""
        if self._file is None:
            return {}
        fields: dict[str, FieldTag] = {}
        if found.table:
            schema, _, name = found.table.rpartition(".")
            columns = self._file.find_table(name, schema or None) or {}
            fields |= {each.name: columns[each.column] for each in found.fields if each.column in columns}
        if not found.header.startswith(TABLE):
            module, _, name = found.header.rpartition(".")
            fields |= self._file.find_class(module, name) or {}
        return fields

    def list_decided(self, found: FoundClass) -> Mapping[str, FieldTag]:
        """Return the tags of fields for which the source is decided."""
        stated = {**self.find(found), **{each.name: each.tag for each in found.fields if each.tag is not None}}
        return {name: tag for name, tag in stated.items() if not tag.is_undecided}


@dataclass(slots=True)
class _Scan:
    """The result of a scan."""

    catalog: ClassCatalog
    tags: _ProjectTags
    proposals: list[FieldProposal]

    def count(self) -> dict[str, int]:
        """Return the numbers of classes, of fields, and of fields of each state."""
        fields = [each for found in self.catalog.classes.values() for each in found.fields if not each.is_nested]
        kinds: Counter[str] = Counter()
        for proposal in self.proposals:
            kinds[proposal.source if proposal.source in (NOT_PERSONAL, UNDECIDED) else "personal"] += 1
        return {
            "classes": len(self.catalog.classes),
            "fields": len(fields),
            "done": len(fields) - len(self.proposals),
            "personal": kinds["personal"],
            "not_personal": kinds[NOT_PERSONAL],
            "undecided": kinds[UNDECIDED],
        }

    def format_summary(self) -> str:
        """Return the numbers in a sentence."""
        numbers = self.count()
        return (
            f"{numbers['classes']} classes and tables with {numbers['fields']} fields: {numbers['done']} done, "
            f"{numbers['personal']} proposed as personal, {numbers['not_personal']} as not personal, "
            f"{numbers['undecided']} undecided"
        )


def _find_faults(catalog: ClassCatalog, project: ProjectFiles, *, is_complete: bool) -> list[Fault]:
    """Find entries of tags.toml that match nothing, and those that differ from the code.

    Args:
        catalog: What was found.
        project: The files of the project.
        is_complete: True if an application was read. Otherwise only tables are known.
    """
    if project.tags is None:
        return []
    classes = catalog.list_fields() if is_complete else None
    faults = project.tags.find_unmatched(classes, catalog.list_columns() or None)
    tags = _ProjectTags(project)
    for found in catalog.classes.values():
        stated = {each.name: each.tag for each in found.fields if each.tag is not None}
        if stated:
            faults += project.tags.check_agreement(tags.find(found), stated)
    return faults


def _write(project: ProjectFiles, result: _Scan) -> bool:
    """Add the proposals to tags.toml. Return True if there were new ones."""
    with needing("adopt", "tags.toml needs"):
        from purposeguard.project.editing import TomlEditor  # noqa: PLC0415  # needs an extra
    new: defaultdict[str, list[FieldProposal]] = defaultdict(list)
    for proposal in result.proposals:
        if proposal.field.name not in result.tags.find(proposal.found):
            new[proposal.found.header].append(proposal)
    if not new:
        return False
    editor = TomlEditor(project.directory / TAGS)
    for header, proposals in new.items():
        values = {proposal.field.name: _make_value(proposal) for proposal in proposals}
        comments = {proposal.field.name: _make_comment(proposal) for proposal in proposals}
        editor.set_entry(header, values, comments)
    return editor.save()


def _make_value(proposal: FieldProposal) -> str | dict[str, str | bool]:
    return {"source": proposal.source, "subject": proposal.subject} if proposal.subject else proposal.source


def _make_comment(proposal: FieldProposal) -> str:
    guess = f", {_format_guess(proposal)}" if proposal.guess else ""
    return on_one_line(f"{proposal.confidence:.2f}{guess}: {_format_reasons(proposal)}")


def _format_reasons(proposal: FieldProposal) -> str:
    separator = "。" if language() is Language.ja else "; "
    return separator.join(map(translate, proposal.reasons))


def _format_guess(proposal: FieldProposal) -> str:
    return translate(f"perhaps {', '.join(proposal.guess)}")


def _make_report(result: _Scan, faults: list[Fault], failures: list[str]) -> Report:
    data = {
        "summary": result.count(),
        "fields": list_rows(PROPOSAL_COLUMNS, result.proposals),
        "faults": [fault._asdict() for fault in faults],
        "failures": failures,
    }
    shown = result.proposals[:MAX_SHOWN]
    tables = [make_table("Fields without a tag", PROPOSAL_COLUMNS, shown)] if shown else []
    return Report(data, tuple(tables))


def _format_proposal(proposal: FieldProposal) -> str:
    words = translate(proposal.source)
    if proposal.guess:
        words = f"{words} ({_format_guess(proposal)})"
    return f"{words}, {translate('subject')}" if proposal.subject else words


PROPOSAL_COLUMNS: Final[tuple[ReportColumn[FieldProposal], ...]] = (
    ReportColumn("class", lambda proposal: proposal.found.header, "class or table", kind="group"),
    ReportColumn("file", lambda proposal: proposal.found.file or None),
    ReportColumn("line", lambda proposal: proposal.found.line),
    ReportColumn("field", lambda proposal: proposal.field.name, "field"),
    ReportColumn("source", lambda proposal: proposal.source, "proposal", _format_proposal),
    ReportColumn("guess", lambda proposal: list(proposal.guess)),
    ReportColumn("subject", lambda proposal: proposal.subject),
    ReportColumn(
        "confidence", lambda proposal: proposal.confidence, "confidence", lambda each: f"{each.confidence:.2f}"
    ),
    ReportColumn("reasons", lambda proposal: list(proposal.reasons), "reason", _format_reasons),
)
