"""The command `purposeguard adopt apply`: write annotations and decorators into the code."""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final

from purposeguard.cli.adopt.formatting import keep_format
from purposeguard.cli.adopt.project import DirectoryOption, open_project
from purposeguard.cli.adopt.source_files import SourceFile, iter_source_files
from purposeguard.cli.adopt.tag_plan import AppliedField, LeftFields, TagPlan, TagPlanner, Vocabulary
from purposeguard.cli.application import import_application
from purposeguard.cli.columns import ReportColumn, list_rows, make_table
from purposeguard.cli.files import CommandProblem, read_configuration
from purposeguard.cli.options import Imports, TableOption, err, needing, out
from purposeguard.cli.render import Report, complain, show
from purposeguard.cli.words import translate
from purposeguard.errors import NoticeError
from purposeguard.extras import Needs
from purposeguard.notice.notice import Notice
from purposeguard.project.directory import NOTICE, TAGS, Project
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
        str | None,
        typer.Option("--app", metavar="MODULE", help="Import this first: the application, or its Django settings."),
    ] = None,
    imports: Imports = None,
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
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if files would change.")] = False,
    form: TableOption = "table",
) -> bool:
    """Write the tags of tags.toml into the classes of the project below the working directory.

    Files keep their formatting. What cannot be written, such as a class of another package, stays in the file and is
    listed. If a tag in the code differs, nothing is written.
    """
    project = open_project(directory)
    if project.tags is None:
        raise CommandProblem(f"{project.directory / TAGS} does not exist (help: `purposeguard adopt scan` writes it)")
    with needing("adopt", "changes of code need"):
        from purposeguard.cli.adopt.rewriting import rewrite  # noqa: PLC0415  # needs an extra
    root = Path.cwd()
    _prepare_imports(root, app, imports or ())
    words = find_vocabulary(project, vocabulary)
    planner = TagPlanner(TagFile.read(project.directory / TAGS, words.notice), words)
    files: dict[Path, SourceFile] = {}
    changes: dict[Path, bytes] = {}
    with _show_progress() as progress:
        for file in progress.track(list(iter_source_files(root)), description=translate("reading the classes")):
            files[file.path] = file
            planner.read(file)
        plan = planner.finish()
        if plan.faults:
            raise NoticeError(plan.faults, str(root))
        for path, edit in progress.track(list(plan.edits.items()), description=translate("writing the tags")):
            old = files[path].content
            changes[path] = keep_format(path, old, rewrite(old, edit))
    originals = {path: files[path].content for path in changes}
    show(_make_report(plan, root), form, out())
    for failure in plan.failures:
        complain(err(), "warning", failure)
    if diff:
        _print_difference(root, originals, changes)
    if diff or check:
        return not changes
    write_files(originals, changes)
    for path in changes:
        complain(err(), "written", str(path.relative_to(root)))
    if move:
        _move(project, plan)
    return True


def _prepare_imports(root: Path, app: str | None, imports: Iterable[str]) -> None:
    """Import the application. A module of Django settings, or the one that the environment names, sets up Django."""
    # A console script, unlike `python -m`, does not search the current directory.
    if str(root) not in sys.path and "" not in sys.path:
        sys.path.insert(0, str(root))
    for name in [*([] if app is None else [app.partition(":")[0]]), *imports]:
        module = import_application(name)
        if hasattr(module, "INSTALLED_APPS"):
            os.environ["DJANGO_SETTINGS_MODULE"] = name
    if os.environ.get("DJANGO_SETTINGS_MODULE"):
        with needing("django", "the settings of Django need"):
            import django  # noqa: PLC0415  # needs an extra
        try:
            django.setup()
        except Exception as error:  # Whatever an application raises is reported; nothing is decided by it.
            settings = os.environ["DJANGO_SETTINGS_MODULE"]
            raise CommandProblem(
                f"the applications of {settings} cannot be set up: {type(error).__name__}: {error}"
            ) from error


def find_vocabulary(project: Project, given: str | None) -> Vocabulary:
    """Return the generated module of the notice: the one that is named, or that of the bundled notice.

    Raises:
        CommandProblem: There is none, or it is of another notice.
    """
    module, _, alias = ("" if given is None else given).partition(" as ")
    module, alias = module.strip(), alias.strip()
    if not module:
        name = read_configuration(Path.cwd()).notice
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


def _move(project: Project, plan: TagPlan) -> None:
    """Remove the tags that are in the code from tags.toml."""
    from purposeguard.project.editing import TomlEditor  # noqa: PLC0415  # needs the extra `adopt`

    kept = {(each.entry, name) for each in plan.left for name in each.names}
    editor = TomlEditor(project.directory / TAGS)
    for each in plan.applied:
        if (each.entry, each.name) not in kept:
            editor.remove(each.entry, each.name)
    if editor.save():
        complain(err(), "written", str(project.directory / TAGS))


def _print_difference(root: Path, originals: Mapping[Path, bytes], changes: Mapping[Path, bytes]) -> None:
    for path, content in changes.items():
        name = str(path.relative_to(root))
        old, new = (text.decode("utf-8", "replace").splitlines() for text in (originals[path], content))
        for line in difflib.unified_diff(old, new, f"a/{name}", f"b/{name}", lineterm=""):
            print(line)


@contextlib.contextmanager
def _show_progress() -> Generator[Progress]:
    console = err()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield progress


def _make_report(plan: TagPlan, root: Path) -> Report:
    new = [each for each in plan.applied if each.is_new]
    data = {
        "files": sorted(str(path.relative_to(root)) for path in plan.edits),
        "written": list_rows(APPLIED_COLUMNS, new),
        "left": list_rows(LEFT_COLUMNS, plan.left),
    }
    tables = []
    if new:
        tables.append(make_table("Tags in the code", APPLIED_COLUMNS, new))
    if plan.left:
        tables.append(make_table("These stay in the file", LEFT_COLUMNS, plan.left))
    return Report(data, tuple(tables))


APPLIED_COLUMNS: Final[tuple[ReportColumn[AppliedField], ...]] = (
    ReportColumn("class", lambda each: each.place, "class", kind="group"),
    ReportColumn("field", lambda each: each.name, "field"),
    ReportColumn("entry", lambda each: each.entry, "entry"),
)
LEFT_COLUMNS: Final[tuple[ReportColumn[LeftFields], ...]] = (
    ReportColumn("entry", lambda each: each.entry, "entry", kind="group"),
    ReportColumn("fields", lambda each: list(each.names), "fields", lambda each: ", ".join(each.names)),
    ReportColumn("reason", lambda each: each.reason, "reason"),
)
