"""The command `purposeguard diff`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from purposeguard.policy.diff import compare
from purposeguard.tools.application import find_guard
from purposeguard.tools.diff import Diff, Section, headline
from purposeguard.tools.effects import effects
from purposeguard.tools.files import read_notice
from purposeguard.tools.problems import Problem
from purposeguard.tools.render import json_text
from purposeguard.tools.reports import Language


class DiffFormat(StrEnum):
    """How a comparison is printed."""

    text = "text"
    json = "json"
    markdown = "markdown"


class Finding(StrEnum):
    """What may be asked not to be there: anything that differs, … , anything that an application can do no more."""

    any = "any"
    widening = "widening"
    material = "material"
    consent = "consent"
    stops = "stops"


def diff(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="The earlier revision: a file or a bundled notice.", show_default=False)
    ],
    new: Annotated[
        str, typer.Argument(metavar="NEW", help="The later revision: a file or a bundled notice.", show_default=False)
    ],
    *,
    old_overlay: Annotated[
        list[Path] | None,
        typer.Option("--old-overlay", metavar="FILE", help="Product overlays of the earlier one.", show_default=False),
    ] = None,
    overlay: Annotated[
        list[Path] | None,
        typer.Option("--overlay", metavar="FILE", help="Product overlays of the later one.", show_default=False),
    ] = None,
    between: Annotated[
        list[str] | None,
        typer.Option(
            "--between", metavar="NOTICE", help="A revision between the two; may be repeated.", show_default=False
        ),
    ] = None,
    app: Annotated[
        str | None,
        typer.Option("--app", metavar="MODULE:GUARD", help="Say what becomes of this application.", show_default=False),
    ] = None,
    imports: Annotated[
        list[str] | None,
        typer.Option("--import", metavar="MODULE", help="Import this too; may be repeated.", show_default=False),
    ] = None,
    form: Annotated[DiffFormat, typer.Option("--format", help="How to print it.")] = DiffFormat.text,
    language: Annotated[Language, typer.Option("--language", help="The language of words and titles.")] = Language.en,
    fail_on: Annotated[
        list[Finding] | None,
        typer.Option("--fail-on", help="Exit 1 where there is such a change; may be repeated.", show_default=False),
    ] = None,
) -> bool:
    """Say what a later revision of a notice widens, narrows, renames and asks for, and what becomes of an application.

    Changes are material where they reach data that was collected earlier, or loosen what protects it: they need notice,
    or the consent of each subject (clause 11).
    """
    if app is None and Finding.stops in (fail_on or ()):
        raise Problem("`--fail-on stops` is about an application: name its guard with `--app MODULE:GUARD`")
    steps = [read_notice(one) for one in between or ()]
    comparison = compare(read_notice(old, old_overlay or ()), read_notice(new, overlay or ()), steps)
    found = Diff(comparison, app, None if app is None else effects(find_guard(app, imports or ()), comparison))
    if form is DiffFormat.json:
        print(json_text(found.data(language)), end="")
    elif form is DiffFormat.markdown:
        print(_markdown(found, language), end="")
    else:
        _show(found, language, Console(highlight=False))
    return not any(_is(found, one) for one in fail_on or ())


def _is(found: Diff, finding: Finding) -> bool:
    comparison = found.comparison
    return {
        Finding.any: bool(comparison),
        Finding.widening: any(True for _ in comparison.of("widened")),
        Finding.material: found.material,
        Finding.consent: any(True for _ in comparison.needing("consent")),
        Finding.stops: found.stopping,
    }[finding]


def _sections(found: Diff, language: Language) -> list[Section]:
    return [one for one in found.sections(language) if one.items]


def _markdown(found: Diff, language: Language) -> str:
    lines = [f"# {headline(found, language)}", ""]
    for section in _sections(found, language):
        lines += [f"## {section.title}", "", *(f"- {item}" for item in section.items), ""]
    return "\n".join(lines)


def _show(found: Diff, language: Language, console: Console) -> None:
    console.print(Text(headline(found, language), "bold"), soft_wrap=True)
    for section in _sections(found, language):
        console.print()
        console.print(Text(section.title, "bold cyan"))
        for item in section.items:
            for number, line in enumerate(Text(item).wrap(console, max(console.width - 2, 20))):
                line.rstrip()
                console.print(Text("  " if number else "- ") + line, soft_wrap=True)
