"""The command `purposeguard lint`. Registered by `commands`."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

from purposeguard.cli.files import CommandProblem, write
from purposeguard.cli.lint import RULES, Finding, NotLintable, Outcome, UnknownRule, lint
from purposeguard.cli.lint.sarif import by_rule, data, sarif
from purposeguard.cli.render import Prose, complain, json_text
from purposeguard.cli.words import translate
from purposeguard.extras import Needs

with Needs(__name__, "cli"):
    import typer
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

LEVELS = {"error": "bold red", "warning": "bold yellow"}
LevelOf = {rule.id: rule.level for rule in RULES}
HELP = {rule.id: rule.help for rule in RULES}


LintFormat = Literal["text", "json", "sarif"]
"""How findings are printed."""


def lint_paths(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Files, and folders with all that is in them.")
    ],
    *,
    rule: Annotated[
        list[str] | None, typer.Option("--rule", metavar="RULE", help="Look for this alone; may be repeated.")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude",
            metavar="GLOB",
            help="Leave out files and folders of this name, or path below the folder that is given; may be repeated.",
        ),
    ] = None,
    form: Annotated[LintFormat, typer.Option("--format", help="How to print it.")] = "text",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead of printing.")
    ] = None,
) -> bool:
    """Find in Python files what a guard could not see: untagged personal fields, unguarded reads, caches, and more.

    Nothing of the files is imported or run. A finding that is to stay is allowed where it is, with a reason:
    `# purposeguard: allow[rule] reason`.
    """
    try:
        outcome = lint(paths, rules=rule, exclude=exclude or ())
    except (NotLintable, UnknownRule) as error:
        raise CommandProblem(str(error)) from error
    _deliver(outcome, form, output)
    err = Console(stderr=True, highlight=False)
    for notebook in outcome.notebooks:
        complain(err, "note", f"{_printable(str(notebook))} is a notebook and was skipped")
    for unread in outcome.unread:
        complain(err, "error", _printable(f"{unread.path}:{unread.line}: {unread.message}"))
    if outcome.unread:
        raise typer.Exit(2)
    return not outcome.findings


def _deliver(outcome: Outcome, form: LintFormat, output: Path | None) -> None:
    if form == "text":
        if output is None:
            _show(outcome, Console(highlight=False))
        else:
            write(output, "".join(f"{_line(finding)}\n" for finding in outcome.findings))
        return
    text = json_text(sarif(outcome, metadata.version("purposeguard")) if form == "sarif" else data(outcome))
    if output is None:
        print(text, end="")
    else:
        write(output, text)


def _line(finding: Finding) -> str:
    place = finding.place
    return _printable(f"{place.path}:{place.line}:{place.column}: {finding.rule}: {translate(finding.message)}")


def _printable(text: str) -> str:
    """A text on one line, and with nothing in it that a terminal obeys: paths and ids may hold anything."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def _show(outcome: Outcome, console: Console) -> None:
    """Prints findings one below the other; what to do about a rule is said once, behind the last of its findings."""
    for finding in outcome.findings:
        place = finding.place
        console.print(
            Text.assemble(
                (_printable(f"{place.path}:{place.line}:{place.column}"), "bold"),
                ": ",
                (finding.rule, LEVELS[LevelOf[finding.rule]]),
                _printable(f": {translate(finding.message)}"),
            ),
            soft_wrap=True,  # a path stays whole, so that terminals and editors find it
        )
    counted = by_rule(outcome.findings)
    if counted:
        console.print()
        for rule, count in counted.items():
            console.print(Text.assemble((rule, LEVELS[LevelOf[rule]]), f" ({count})"))
            console.print(Padding(Prose(translate(HELP[rule])), (0, 0, 0, 2)))
        console.print()
    console.print(Text(translate(_summary(outcome))))


def _summary(outcome: Outcome) -> str:
    files = "1 file" if outcome.files == 1 else f"{outcome.files} files"
    number = len(outcome.findings)
    summary = "nothing found" if not number else "1 finding" if number == 1 else f"{number} findings"
    allowed = f", {len(outcome.allowed)} allowed" if outcome.allowed else ""
    return f"{summary} in {files}{allowed}"
