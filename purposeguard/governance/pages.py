"""The disclosure report as a page: one HTML file for screen and A4 paper, which fetches nothing and runs nothing."""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
import json
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from purposeguard.governance.wording import WORDS

if TYPE_CHECKING:  # whose own module imports this one
    from purposeguard.governance.report import CategoryPart, Disclosure

TEMPLATES: Final = Path(__file__).parent / "templates"


def page(report: Disclosure) -> str:
    """The report as HTML, in its language."""
    environment = _environment()
    style = (TEMPLATES / "disclosure.css").read_text("utf-8")
    # Nothing but this one style sheet is let in, whatever a value of the report should manage to say.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    grouped: dict[tuple[str, ...], list[CategoryPart]] = {}  # what may serve the same is said once
    for category in report.categories:
        grouped.setdefault(category.purposes, []).append(category)
    return environment.get_template("disclosure.html").render(
        report=report,
        words=WORDS[report.language],
        style=style,
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'none'; base-uri 'none'",
        purposes={one.id: one for one in report.purposes},
        sources={one.id: one for one in report.sources},
        grouped=tuple(grouped.items()),
    )


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # of everything, whatever a file is called
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": printable, "value": _value, "texts": _texts}
    environment.filters |= {"moment_day": _moment_day, "moment_time": _moment_time}
    cast("dict[str, Any]", environment.tests)["nested"] = _is_nested
    return environment


def printable(text: object) -> str:
    """A text as a page can hold it: in the place of a character that no page may have stands �."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if char not in "\n\t" and unicodedata.category(char) in {"Cc", "Cs"} else char
        for char in str(text)
    )


def _moment_day(given: datetime.datetime) -> str:
    return given.strftime("%Y-%m-%d")


def _moment_time(given: datetime.datetime) -> str:
    return given.strftime("%H:%M")


def _value(given: Any) -> str:
    """A value of an item, on one or several lines."""
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False, indent=2)
    return printable(text)


def _is_nested(given: Any) -> bool:
    """Whether a value is an object or an array."""
    return isinstance(given, (dict, list, tuple))


def _texts(given: Any) -> list[str] | None:
    """The items of a list of plain values, one a line; None where it is anything else."""
    if not isinstance(given, (list, tuple)) or any(isinstance(one, (dict, list, tuple)) for one in given):
        return None
    return [_value(one) for one in given]
