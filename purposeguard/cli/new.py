"""Begins a notice file: from a table of data and purposes, from a template, or from answers to questions."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from keyword import iskeyword
from pathlib import Path
from typing import Annotated, Final, get_args

from purposeguard.cli.files import CommandProblem, write
from purposeguard.cli.options import Output
from purposeguard.cli.words import translate
from purposeguard.extras import Needs
from purposeguard.notice.notice import Notice
from purposeguard.notice.schema import Basis
from purposeguard.notice.validation import RESERVED
from purposeguard.notice.vocabulary import find_nearest, fold, make_slug

with Needs(__name__, "cli"):
    import typer

BASES: Final[Mapping[str, Basis]] = {
    **{basis: basis for basis in get_args(Basis)},
    "legal-obligation": "law",
    "legal-claims": "law",
    "legitimate-interests": "legitimate-interest",
    "vital-interests": "vital-interest",
    "public-interest": "public-task",
    "6-1-a": "consent",
    "6-1-b": "contract",
    "6-1-c": "law",
    "6-1-d": "vital-interest",
    "6-1-e": "public-task",
    "6-1-f": "legitimate-interest",
}
"""How a basis may be written, in lower case with hyphens; the last six are the points of Article 6(1) of the GDPR."""

YES: Final = frozenset({"yes", "y", "x", "✓", "1", "true", "○"})
NO: Final = frozenset({"", "no", "n", "-", "0", "false", "×"})
"""Cells of a table of data by purposes that state no basis."""

TEMPLATES: Final[Mapping[str, str]] = {
    "california": "categories of the CCPA, sale and sharing until somebody opts out",
    "children": "nothing before a parent agrees, no advertising by interest",
    "gdpr": "an online shop with the bases of Article 6(1) and periods",
    "health": "care, emergencies, research with consent",
    "japan": "the Japanese act, in Japanese and English",
}
"""The notices that `--template` begins with, each a file of the folder `templates`, and what they are."""

LONGEST_CLASS: Final = 4
"""Words of a title in the name of a class."""


@dataclasses.dataclass(slots=True)
class Draft:
    """What a notice says: `uses` leads from a purpose and a kind of data to the basis, None where none is stated."""

    controller: str
    title: str
    language: str
    revision: datetime.date
    uses: dict[str, dict[str, Basis | None]]
    data: list[str]


def new(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="[CSV]",
            help="Columns `data`, `purpose`, `basis`, or `data` and one for each purpose. Without it, questions.",
        ),
    ] = None,
    *,
    template: Annotated[
        str | None,
        typer.Option(
            "--template",
            metavar="NAME",
            help=f"Begin with a whole notice. {'; '.join(f'`{name}`: {what}' for name, what in TEMPLATES.items())}.",
        ),
    ] = None,
    controller: Annotated[str | None, typer.Option("--controller", help="Who publishes the notice.")] = None,
    title: Annotated[str | None, typer.Option("--title", help="What the notice is called.")] = None,
    titles: Annotated[
        str, typer.Option("--titles", metavar="TAG", help="The language of titles: `en`, `de`, …")
    ] = "en",
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="DATE", help="From when the notice holds; today.")
    ] = None,
    output: Output = None,
) -> bool:
    """Begin a notice file, from a table of data, purposes and legal bases, a template, or answers to questions.

    The file that is written is valid; what it cannot know, such as countries and rights, is yours to add.
    """
    if output is not None and output.exists():
        raise CommandProblem(f"{output} exists already: name another file, or remove it first")
    day = _day(revision)
    if template is not None:
        if source is not None or titles != "en":
            raise CommandProblem("a template is a whole notice: name no table and no `--titles` beside it")
        text = _template(template, controller, title, day)
    elif source is None:
        text = _toml(_ask_for_notice(controller, title, titles, day))
    else:
        draft = Draft(
            controller or translate("The controller"), title or translate("Privacy notice"), titles, day, {}, []
        )
        _read(source, draft)
        text = _toml(draft)
    notice = Notice.loads(text, str(output or "notice"))
    if output is None:
        print(text, end="")
        return True
    write(output, text)
    counted = f"{len(notice.sources)} sources, {len(notice.purposes)} purposes"
    print(translate(f"{output} is written: {counted}"))
    print(translate(f"run: `purposeguard matrix --notice {output}`"))
    return True


def _day(text: str | None) -> datetime.date:
    try:
        return datetime.datetime.now().astimezone().date() if text is None else datetime.date.fromisoformat(text)
    except ValueError as error:
        raise CommandProblem(f"`--revision {text}` is no date, such as 2026-01-31") from error


# ---- A template


def _template(name: str, controller: str | None, title: str | None, day: datetime.date) -> str:
    """Return a complete notice with its date, and with its publisher and title if they are stated.

    Raises:
        Problem: there is no such template.
    """
    if name not in TEMPLATES:
        close = find_nearest(name, TEMPLATES)
        suggestion = f"did you mean `{close[0]}`?" if close else f"there are {', '.join(TEMPLATES)}"
        raise CommandProblem(f"no template is called `{name}` (help: {suggestion})")
    text = (resources.files("purposeguard.cli") / "templates" / f"{name}.toml").read_text("utf-8")
    text = re.sub(r"(?m)^revision = .*$", f"revision = {day}", text, count=1)
    for key, value in (("controller", controller), ("title", title)):
        if value is not None:
            (line,) = re.findall(rf"(?m)^{key} = .*$", text.partition("[[")[0])
            text = text.replace(line, '""'.join(re.split(r'"[^"]*"', line)).replace('""', _quote(value)), 1)
    return text


# ---- Questions


def _ask_for_notice(controller: str | None, title: str | None, language: str, day: datetime.date) -> Draft:
    """Ask for a notice step by step; an empty answer ends a list."""
    steps = 5
    draft = Draft(
        controller or _answer(1, steps, "Who publishes the notice?"),
        title or _answer(2, steps, "What is it called?", "Privacy notice"),
        language,
        day,
        {},
        [],
    )
    _say(3, steps, "Which kinds of personal data are collected? One a line; an empty line ends.")
    draft.data = list(_several("data"))
    _say(4, steps, "What is the data used for? One purpose a line; an empty line ends.")
    purposes = list(_several("purpose"))
    for number, kind in enumerate(draft.data, 1):
        typer.echo(f"  {number} {kind}", err=True)
    for number, purpose in enumerate(purposes, 1):
        _say(5, steps, f"purpose {number} of {len(purposes)}: {purpose}")
        kinds = _chosen(draft.data)
        basis = _basis_asked()
        draft.uses[purpose] = dict.fromkeys(kinds, basis)
    return draft


def _say(step: int, steps: int, text: str) -> None:
    typer.echo(f"[{step}/{steps}] {translate(text)}", err=True)


def _answer(step: int, steps: int, question: str, default: str | None = None) -> str:
    answer: str = typer.prompt(f"[{step}/{steps}] {translate(question)}", default=default, err=True)
    return answer.strip()


def _several(what: str) -> Iterator[str]:
    met: set[str] = set()
    while answer := typer.prompt(
        f"  {translate(what)} {len(met) + 1}", default="", show_default=False, err=True
    ).strip():
        if answer not in met:
            met.add(answer)
            yield answer
    if not met:
        raise CommandProblem(f"a notice has one {what} at least")


def _chosen(data: Sequence[str]) -> list[str]:
    """Return the kinds of data of these numbers."""
    while True:
        answer = typer.prompt(f"  {translate('its data, by numbers (`1 3`), or `all`')}", default="all", err=True)
        if answer.strip() == "all":
            return list(data)
        numbers = re.split(r"[\s,]+", answer.strip())
        if all(number.isdecimal() and 0 < int(number) <= len(data) for number in numbers):
            return [data[int(number) - 1] for number in dict.fromkeys(numbers)]
        typer.echo(f"  {translate(f'numbers from 1 to {len(data)}, please')}", err=True)


def _basis_asked() -> Basis | None:
    question = f"  {translate('on what it rests in law')} ({', '.join(get_args(Basis))})"
    while True:
        answer = typer.prompt(question, default="", show_default=False, err=True)
        try:
            return _basis(answer)
        except ValueError as error:
            typer.echo(f"  {translate(str(error))}", err=True)


# ---- A table


def _read(path: Path, draft: Draft) -> None:
    """Add what a CSV file says.

    Raises:
        Problem: it cannot be read, or a row says something that is not understood.
    """
    (_, head), *body = _lines(path)
    purposes = _purposes_of(path, head)
    for number, row in body:
        here = f"{path}:{number}"
        if len(row) != len(head):
            raise CommandProblem(f"{here}: {len(row)} cells, and the first line has {len(head)}")
        cells = dict(zip(purposes or map(str.lower, head), row, strict=True))
        if not row[0] or not cells.get("purpose", "a purpose"):
            raise CommandProblem(f"{here}: `data` or `purpose` is empty")
        if row[0] not in draft.data:
            draft.data.append(row[0])
        for purpose in purposes[1:]:
            draft.uses.setdefault(purpose, {})
            if cells[purpose].lower() not in NO:
                _use(here, draft, row[0], purpose, cells[purpose])
        if not purposes:
            _use(here, draft, row[0], cells["purpose"], cells.get("basis", ""))
    for purpose, kinds in draft.uses.items():
        if not kinds:
            raise CommandProblem(f"{path}: no data serves `{purpose}`")


def _use(here: str, draft: Draft, kind: str, purpose: str, cell: str) -> None:
    """Add what one cell says."""
    try:
        basis = None if cell.lower() in YES else _basis(cell)
    except ValueError as error:
        raise CommandProblem(f"{here}: {error}") from error
    if draft.uses.setdefault(purpose, {}).setdefault(kind, basis) != basis:
        raise CommandProblem(f"{here}: a second basis of `{kind}` for `{purpose}`")


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Return the lines of a CSV file that are not empty, with their numbers."""
    try:
        reader = csv.reader(io.StringIO(path.read_text("utf-8-sig"), newline=""), strict=True)
        cells = ((reader.line_num, [" ".join(cell.split()) for cell in row]) for row in reader)
        lines = [(number, row) for number, row in cells if any(row)]
    except (OSError, UnicodeDecodeError) as error:
        raise CommandProblem(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except csv.Error as error:
        raise CommandProblem(f"{path} is no CSV: {error}") from error
    if len(lines) < 2:
        raise CommandProblem(f"{path} has no rows: write `data,purpose,basis`, and a row for each use below")
    return lines


def _purposes_of(path: Path, head: list[str]) -> list[str]:
    """Return the heads of a table that has a column for each purpose; none of one with a row for each use."""
    names = [name.lower() for name in head]
    if names[0] != "data":
        raise CommandProblem(f"{path}:1: the first column is `data`, not `{head[0]}`")
    if "purpose" in names:
        if sorted(names) not in (["data", "purpose"], ["basis", "data", "purpose"]):
            raise CommandProblem(f"{path}:1: the columns are `data`, `purpose` and `basis`, not {', '.join(head)}")
        return []
    if len(head) < 2 or not all(head) or len(set(head)) < len(head):
        raise CommandProblem(f"{path}:1: behind `data` stands a column for each purpose, each with a name of its own")
    return head


def _basis(text: str) -> Basis | None:
    """Return the basis that a text names; None where it is empty.

    Raises:
        ValueError: it names none.
    """
    if not text.strip():
        return None
    words = "-".join(re.findall(r"[a-z0-9]+", text.lower()))
    basis = BASES.get(words) or BASES.get(words.removeprefix("art-").removeprefix("article-").removesuffix("-gdpr"))
    if basis is None:
        close = find_nearest(words, BASES)
        suggestion = f"did you mean `{close[0]}`?" if close else f"write {', '.join(get_args(Basis))}"
        raise ValueError(f"unknown basis `{text}` (help: {suggestion})")
    return basis


# ---- The file


def _toml(draft: Draft) -> str:
    """Return the notice file of a draft."""
    taken: set[str] = set(RESERVED)
    sources = _name_rows(draft.data, "Data", "", taken)
    purposes = _name_rows(draft.uses, "Purpose", "Use", taken)
    groups: dict[tuple[str, ...], list[str]] = {}
    for purpose, kinds in draft.uses.items():
        groups.setdefault(tuple(kinds), []).append(purpose)

    def title(text: str) -> str:
        return f"title = {{ {draft.language} = {_quote(text)} }}"

    def lines() -> Iterator[str]:
        yield from (
            "# Each row may carry more than this: `purposeguard schema` prints the keys, and what they mean.",
            "",
            "format = 1",
            f"id = {_quote(_slug(draft.title) or 'privacy-notice')}",
            f"revision = {draft.revision}",
            f"controller = {{ {draft.language} = {_quote(draft.controller)} }}",
            title(draft.title),
            "",
            "# ---- What is collected",
        )
        for text, (id_, class_) in sources.items():
            yield from ("", "[[source]]", f"id = {_quote(id_)}", f"class = {_quote(class_)}", title(text))
        yield from ("", "# ---- What it may be used for")
        for number, (kinds, members) in enumerate(groups.items(), 1):
            named = ", ".join(_quote(sources[kind][0]) for kind in kinds)
            yield from ("", "[[grant]]", f"clause = {_quote(f'uses-{number}')}", f"sources = [{named}]")
            yield title("; ".join(members)[:200])
            for purpose in members:
                id_, class_ = purposes[purpose]
                yield from ("", "[[grant.purpose]]", f"id = {_quote(id_)}", f"class = {_quote(class_)}")
                yield title(purpose)
                yield from _bases(draft.uses[purpose], sources)

    return "\n".join(lines()) + "\n"


def _bases(kinds: Mapping[str, Basis | None], sources: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    """Yield the TOML lines of a purpose's legal bases: one basis, or one per kind of data where they differ."""
    by_basis: dict[Basis | None, list[str]] = {}
    for kind, basis in kinds.items():
        by_basis.setdefault(basis, []).append(kind)
    if len(by_basis) == 1:
        (basis,) = by_basis
        if basis is not None:
            yield f"basis = {_quote(basis)}"
        return
    if None in by_basis:
        raise CommandProblem(f"a basis is stated for some data of a purpose, and none for `{by_basis[None][0]}`")
    for basis, members in by_basis.items():
        ids = ", ".join(_quote(sources[kind][0]) for kind in members)
        yield from ("", "[[grant.purpose.bases]]", f"basis = {_quote(str(basis))}", f"sources = [{ids}]")


def _name_rows(texts: Iterable[str], kind: str, tail: str, taken: set[str]) -> dict[str, tuple[str, str]]:
    """Return the id and the class name of each row, by its title."""
    rows: dict[str, tuple[str, str]] = {}
    for number, text in enumerate(texts, 1):
        words = re.findall(r"[A-Za-z0-9]+", text)[:LONGEST_CLASS] if text.isascii() else []
        class_ = "".join(word[:1].upper() + word[1:] for word in words)
        if not re.match(r"[A-Z]", class_) or class_.upper() == class_ or iskeyword(class_):
            class_ = f"{kind}{class_.capitalize() or number}"
        candidates = (class_, f"{class_}{tail}", *(f"{class_}{tail}{count}" for count in range(2, 10_000)))
        class_ = next(name for name in candidates if name.lower() not in {each.lower() for each in taken})
        taken.add(class_)
        own = not text.isascii() and fold(text) is not None and len(text) <= 100
        rows[text] = (text if own else make_slug(class_), class_)
    return rows


def _slug(text: str) -> str:
    return re.sub(r"^[0-9-]+", "", "-".join(re.findall(r"[a-z0-9]+", text.lower())))[:100].strip("-")


def _quote(text: str) -> str:
    """Return a string of TOML; what JSON escapes, TOML escapes alike."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
