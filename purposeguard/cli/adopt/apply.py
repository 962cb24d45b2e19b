"""The command `purposeguard adopt apply`: write annotations and decorators into the code."""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

from purposeguard.cli.adopt.collect.application import SETTINGS_VARIABLE, Application
from purposeguard.cli.adopt.entry_points import FoundEntryPoint, iter_entry_points
from purposeguard.cli.adopt.formatting import keep_format
from purposeguard.cli.adopt.project import DirectoryOption, open_project
from purposeguard.cli.adopt.purpose_plan import GuardName, LeftEntryPoint, PurposePlan, PurposePlanner
from purposeguard.cli.adopt.source_files import iter_source_files
from purposeguard.cli.adopt.tag_plan import AppliedField, LeftFields, TagPlan, TagPlanner, Vocabulary
from purposeguard.cli.application import find, find_guard, import_application
from purposeguard.cli.columns import ReportColumn, list_rows, make_table
from purposeguard.cli.files import CommandProblem
from purposeguard.cli.options import Check, Imports, TableOption, err, needing, out
from purposeguard.cli.render import Report, complain, show
from purposeguard.cli.words import translate
from purposeguard.errors import NoticeError
from purposeguard.extras import Needs
from purposeguard.notice.notice import Notice
from purposeguard.project.directory import NOTICE, PURPOSES, TAGS, ProjectFiles, read_settings
from purposeguard.project.purposes import PurposeFile
from purposeguard.project.tags import TagFile
from purposeguard.project.writing import replace_file

with Needs(__name__, "cli"):
    import typer
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

_NOTICES: Final = "purposeguard.notices"


def apply(
    directory: DirectoryOption = None,
    *,
    app: Annotated[
        list[str] | None,
        typer.Option(
            "--app",
            metavar="MODULE[:NAME]",
            help="The application whose routes or tasks get their purposes, or its Django settings; may be repeated.",
        ),
    ] = None,
    imports: Imports = None,
    guard: Annotated[
        str | None,
        typer.Option("--guard", metavar="MODULE:GUARD", help="The guard that decorators name, `shop.privacy:guard`."),
    ] = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(
            "--vocabulary",
            metavar="MODULE [as NAME]",
            help="The generated module of the notice, such as `shop.my_notice as n`.",
        ),
    ] = None,
    move: Annotated[
        bool, typer.Option("--move", help="Remove entries that are in the code from tags.toml and purposes.toml.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Print the difference and write nothing; exit 1 if there is one.")
    ] = False,
    check: Check = False,
    form: TableOption = "table",
) -> bool:
    """Write the tags of tags.toml into classes, and the purposes of purposes.toml beside routes, tasks and commands.

    Files below the working directory change and keep their formatting. What cannot be written, such as a class of
    another package, stays in its file and is listed. If the code states something else, nothing is written. Purposes
    are written for the applications that `--app` names, and for Django.
    """
    project = open_project(directory)
    if project.tags is None and project.purposes is None:
        raise CommandProblem(
            f"{project.directory} has neither {TAGS} nor {PURPOSES} (help: `purposeguard adopt scan` and `purposeguard "
            "adopt propose` write them)"
        )
    root = Path.cwd()
    applications = _import_applications(root, app or (), imports or ())
    words = find_vocabulary(project, vocabulary)
    planned = _plan_changes(project, root, words, _read_guard_name(guard), applications)
    is_writing = not (diff or check)
    if is_writing:
        write_files(planned.originals, planned.changes)
    show(planned.make_report(), form, out())
    for failure in planned.tags.failures:
        complain(err(), "warning", failure)
    if diff:
        planned.print_difference()
    if not is_writing:
        return not planned.changes
    for path in planned.changes:
        complain(err(), "written", str(path.relative_to(root)))
    if move:
        _move(project, planned)
    return True


@dataclass(frozen=True, slots=True)
class _PlannedChanges:
    """The changes to the files below `root`, with what they write and leave."""

    root: Path
    tags: TagPlan
    purposes: PurposePlan
    originals: dict[Path, bytes] = field(default_factory=dict)
    changes: dict[Path, bytes] = field(default_factory=dict)

    def make_report(self) -> Report:
        """Return the report of what is written, and what is not."""
        new = [each for each in self.tags.applied if each.is_new]
        data = {
            "files": sorted(str(path.relative_to(self.root)) for path in self.changes),
            "written": list_rows(APPLIED_COLUMNS, new),
            "left": list_rows(LEFT_COLUMNS, self.tags.left),
            "written_purposes": [each.name for each in self.purposes.written],
            "left_purposes": list_rows(LEFT_PURPOSE_COLUMNS, self.purposes.left),
        }
        tables = []
        if new:
            tables.append(make_table("Tags in the code", APPLIED_COLUMNS, new))
        if self.purposes.written:
            tables.append(make_table("Purposes in the code", ENTRY_POINT_COLUMNS, self.purposes.written))
        if self.tags.left:
            tables.append(make_table("These stay in tags.toml", LEFT_COLUMNS, self.tags.left))
        if self.purposes.left:
            tables.append(make_table("These stay in purposes.toml", LEFT_PURPOSE_COLUMNS, self.purposes.left))
        return Report(data, tuple(tables))

    def print_difference(self) -> None:
        """Print a unified difference of all files."""
        for path, content in self.changes.items():
            name = str(path.relative_to(self.root))
            old, new = (text.decode("utf-8", "replace").splitlines() for text in (self.originals[path], content))
            for line in difflib.unified_diff(old, new, f"a/{name}", f"b/{name}", lineterm=""):
                print(line)


def _plan_changes(
    project: ProjectFiles, root: Path, words: Vocabulary, guard: GuardName | None, applications: Iterable[object]
) -> _PlannedChanges:
    """Plan the changes to all files.

    Raises:
        NoticeError: Code and files state different things, or a file cannot be parsed.
    """
    with needing("adopt", "changes of code need"):
        from purposeguard.cli.adopt.rewriting import rewrite  # noqa: PLC0415  # needs an extra
    tags = None if project.tags is None else TagFile.read(project.directory / TAGS, words.notice)
    planner, files = TagPlanner(tags, words), list(iter_source_files(root))
    with _show_progress() as progress:
        for file in progress.track(files, description=translate("reading the classes")):
            planner.read(file)
        plan = planner.finish()
        by_path = {file.path: file for file in files}
        purposes = PurposePlan()
        if project.purposes is not None:
            stated = PurposeFile.read(project.directory / PURPOSES, words.notice)
            purpose_planner = PurposePlanner(stated, words, guard, by_path, planner)
            purposes = purpose_planner.plan_entry_points(iter_entry_points(applications))
        if plan.faults or purposes.faults:
            raise NoticeError([*plan.faults, *purposes.faults], str(root))
        planned = _PlannedChanges(root, plan, purposes)
        for path, edit in progress.track(list(plan.edits.items()), description=translate("changing the files")):
            old = by_path[path].content
            new = rewrite(old, edit)
            if new != old:
                planned.originals[path], planned.changes[path] = old, keep_format(path, old, new)
    return planned


def _import_applications(root: Path, names: Iterable[str], imports: Iterable[str]) -> list[object]:
    """Import applications and modules, and return the applications that are named with their module.

    A module of Django settings, or the one that the environment names, sets up Django.
    """
    # A console script, unlike `python -m`, does not search the current directory.
    if str(root) not in sys.path and "" not in sys.path:
        sys.path.insert(0, str(root))
    for name in imports:
        import_application(name)
    targets = list(names)
    if not targets and os.environ.get(SETTINGS_VARIABLE):
        targets = [os.environ[SETTINGS_VARIABLE]]
    for target in targets:
        Application(target)
    return [find(target) for target in targets if ":" in target]


def _read_guard_name(given: str | None) -> GuardName | None:
    """Return the guard that the command line names, after it was imported."""
    if given is None:
        return None
    find_guard(given)
    module, _, name = given.partition(":")
    return GuardName(module, name)


def find_vocabulary(project: ProjectFiles, given: str | None) -> Vocabulary:
    """Return the generated module of the notice: the one that is named, or that of the bundled notice.

    Raises:
        CommandProblem: There is none, or it is of another notice.
    """
    module, _, alias = ("" if given is None else given).partition(" as ")
    module, alias = module.strip(), alias.strip()
    if not module:
        name = read_settings(project.directory.resolve()).notice
        if (project.directory / NOTICE).is_file() or name is None or name.endswith(".toml"):
            raise CommandProblem(
                "the code needs the generated module of the notice: name it, `--vocabulary shop.my_notice` (help: "
                "`purposeguard codegen notice.toml -o shop/my_notice.py` writes it)"
            )
        module = f"{_NOTICES}.{name.replace('-', '_')}"
    notice = getattr(import_application(module), "NOTICE", None)
    if not isinstance(notice, Notice):
        raise CommandProblem(f"{module} is no generated module of a notice (help: `purposeguard codegen` writes one)")
    if notice != project.notice:
        raise CommandProblem(f"{module} is not the module of this notice: generate it again, `purposeguard codegen`")
    return Vocabulary(module, alias or module.rpartition(".")[2], notice)


def write_files(originals: Mapping[Path, bytes], changes: Mapping[Path, bytes]) -> None:
    """Write all files, or none of them.

    Raises:
        CommandProblem: A file cannot be written. All files are as they were.
    """
    written: list[Path] = []
    path = Path()
    try:
        for path in changes:
            if not os.access(path, os.W_OK):
                raise PermissionError(None, "it is read-only")
        for path, content in changes.items():
            with replace_file(path) as file:
                file.write(content)
            written.append(path)
    except OSError as error:
        for restored in written:
            with replace_file(restored) as file:
                file.write(originals[restored])
        raise CommandProblem(f"{path} cannot be written, and no file was changed: {error.strerror or error}") from error


def _move(project: ProjectFiles, planned: _PlannedChanges) -> None:
    """Remove what is in the code from tags.toml and purposes.toml."""
    from purposeguard.project.editing import TomlEditor  # noqa: PLC0415  # needs the extra `adopt`

    kept = {(each.entry, name) for each in planned.tags.left for name in each.names}
    editor = TomlEditor(project.directory / TAGS)
    for each in planned.tags.applied:
        if (each.entry, each.name) not in kept:
            editor.remove(each.entry, each.name)
    stated = TomlEditor(project.directory / PURPOSES)
    for pattern in planned.purposes.moved:
        for key in ("purpose", "channel", "conditions", "mode"):
            stated.remove(pattern, key)
    for changed in (editor, stated):
        if changed.save():
            complain(err(), "written", str(changed.path))


@contextlib.contextmanager
def _show_progress() -> Generator[Progress]:
    console = err()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield progress


APPLIED_COLUMNS: Final[tuple[ReportColumn[AppliedField], ...]] = (
    ReportColumn("class", lambda each: each.place, "class", kind="group"),
    ReportColumn("field", lambda each: each.name, "field"),
    ReportColumn("entry", lambda each: each.entry, "entry"),
)
LEFT_COLUMNS: Final[tuple[ReportColumn[LeftFields], ...]] = (
    ReportColumn("entry", lambda each: each.entry, "entry", kind="group"),
    ReportColumn("fields", lambda each: list(each.names), "fields", lambda each: ", ".join(each.names)),
    ReportColumn("reason", lambda each: each.reason, "reason", words=True),
)
ENTRY_POINT_COLUMNS: Final[tuple[ReportColumn[FoundEntryPoint], ...]] = (
    ReportColumn("entry_point", lambda each: each.name, "entry point"),
)
LEFT_PURPOSE_COLUMNS: Final[tuple[ReportColumn[LeftEntryPoint], ...]] = (
    ReportColumn("entry", lambda each: each.pattern, "entry", kind="group"),
    ReportColumn("entry_point", lambda each: each.name, "entry point"),
    ReportColumn("reason", lambda each: each.reason, "reason", words=True),
)
