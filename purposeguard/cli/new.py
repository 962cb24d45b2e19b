"""Begins a notice file: from a table of data and purposes, from a template, or from answers to questions."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import io
import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from importlib import resources
from keyword import iskeyword
from pathlib import Path
from typing import Annotated, Final, NamedTuple, get_args

from purposeguard.cli.files import CommandProblem, write
from purposeguard.cli.options import Output
from purposeguard.cli.words import translate
from purposeguard.extras import Needs
from purposeguard.notice.fields import Basis
from purposeguard.notice.notice import Notice
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
    """What a notice says."""

    controller: str
    title: str
    language: str
    """The language of titles."""
    revision: datetime.date
    uses: dict[str, dict[str, Basis | None]]
    """The legal bases, by purpose and kind of data; None where none is stated."""
    data: list[str]
    """The kinds of data."""


TableFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="[CSV]",
        help="Columns `data`, `purpose`, `basis`, or `data` and one for each purpose. Without it, questions.",
    ),
]
Template = Annotated[
    str | None,
    typer.Option(
        "--template",
        metavar="NAME",
        help=f"Begin with a whole notice. {'; '.join(map('`{}`: {}'.format, TEMPLATES, TEMPLATES.values()))}.",
    ),
]
Controller = Annotated[str | None, typer.Option("--controller", help="Who publishes the notice.")]
Title = Annotated[str | None, typer.Option("--title", help="What the notice is called.")]
TitleTag = Annotated[str, typer.Option("--titles", metavar="TAG", help="The language of titles: `en`, `de`, …")]
Revision = Annotated[str | None, typer.Option("--revision", metavar="DATE", help="From when the notice holds; today.")]


def new(
    table: TableFile = None,
    *,
    template: Template = None,
    controller: Controller = None,
    title: Title = None,
    titles: TitleTag = "en",
    revision: Revision = None,
    output: Output = None,
) -> bool:
    """Begin a notice file, from a table of data, purposes and legal bases, a template, or answers to questions.

    The file that is written is valid; what it cannot know, such as countries and rights, is yours to add.
    """
    if output is not None and output.exists():
        raise CommandProblem(f"{output} exists already: name another file, or remove it first")
    day = _day(revision)
    if template is not None:
        if table is not None or titles != "en":
            raise CommandProblem("a template is a whole notice: name no table and no `--titles` beside it")
        text = _template(template, controller, title, day)
    elif table is None:
        text = _toml(_ask_for_notice(controller, title, titles, day))
    else:
        draft = Draft(
            controller or translate("The controller"), title or translate("Privacy notice"), titles, day, {}, []
        )
        _read(table, draft)
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
        CommandProblem: there is no such template.
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


def _several(noun: str) -> Iterator[str]:
    """Ask for names until one is empty, and yield each once."""
    names: set[str] = set()
    while answer := typer.prompt(
        f"  {translate(noun)} {len(names) + 1}", default="", show_default=False, err=True
    ).strip():
        if answer not in names:
            names.add(answer)
            yield answer
    if not names:
        raise CommandProblem(f"a notice has one {noun} at least")


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
        CommandProblem: it cannot be read, or a row says something that is not understood.
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
        lines = list(_iter_lines(path.read_text("utf-8-sig")))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandProblem(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except csv.Error as error:
        raise CommandProblem(f"{path} is no CSV: {error}") from error
    if len(lines) < 2:
        raise CommandProblem(f"{path} has no rows: write `data,purpose,basis`, and a row for each use below")
    return lines


def _iter_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines of CSV that are not empty, with their numbers and with single blanks between words."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    for row in reader:
        cells = [" ".join(cell.split()) for cell in row]
        if any(cells):
            yield reader.line_num, cells


def _purposes_of(path: Path, head: list[str]) -> list[str]:
    """Return the heads of a table that has a column for each purpose; none of one with a row for each use."""
    names = list(map(str.lower, head))
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
    return "\n".join(_NoticeFile(draft).lines()) + "\n"


class _RowNames(NamedTuple):
    """The id and the class name of a row."""

    id: str
    class_: str


class _NoticeFile:
    """The lines of a notice file."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        taken: set[str] = set(RESERVED)
        self._sources = _name_rows(draft.data, "Data", "", taken)
        self._purposes = _name_rows(draft.uses, "Purpose", "Use", taken)

    def lines(self) -> Iterator[str]:
        """Yield the lines."""
        draft = self._draft
        yield from (
            "# Each row may carry more than this: `purposeguard schema` prints the keys, and what they mean.",
            "",
            "format = 1",
            f"id = {_quote(_slug(draft.title) or 'privacy-notice')}",
            f"revision = {draft.revision}",
            f"controller = {{ {draft.language} = {_quote(draft.controller)} }}",
            self._title(draft.title),
            "",
            "# ---- What is collected",
        )
        for text, names in self._sources.items():
            yield from ("", "[[source]]", *self._row(text, names))
        yield from ("", "# ---- What it may be used for")
        for number, (kinds, purposes) in enumerate(self._group_purposes().items(), 1):
            yield from self._grant(f"uses-{number}", kinds, purposes)

    def _group_purposes(self) -> dict[tuple[str, ...], list[str]]:
        """Return the purposes by the kinds of data that they use: each group becomes a clause."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for purpose, kinds in self._draft.uses.items():
            groups.setdefault(tuple(kinds), []).append(purpose)
        return groups

    def _grant(self, clause: str, kinds: Sequence[str], purposes: Sequence[str]) -> Iterator[str]:
        yield from ("", "[[grant]]", f"clause = {_quote(clause)}", f"sources = [{_join_ids(kinds, self._sources)}]")
        yield self._title("; ".join(purposes)[:200])
        for purpose in purposes:
            yield from ("", "[[grant.purpose]]", *self._row(purpose, self._purposes[purpose]))
            yield from _bases(self._draft.uses[purpose], self._sources)

    def _row(self, text: str, names: _RowNames) -> Iterator[str]:
        yield from (f"id = {_quote(names.id)}", f"class = {_quote(names.class_)}", self._title(text))

    def _title(self, text: str) -> str:
        return f"title = {{ {self._draft.language} = {_quote(text)} }}"


def _join_ids(kinds: Iterable[str], sources: Mapping[str, _RowNames]) -> str:
    """Return the ids of kinds of data, as items of a TOML array."""
    return ", ".join(_quote(sources[kind].id) for kind in kinds)


def _bases(kinds: Mapping[str, Basis | None], sources: Mapping[str, _RowNames]) -> Iterator[str]:
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
        ids = _join_ids(members, sources)
        yield from ("", "[[grant.purpose.bases]]", f"basis = {_quote(str(basis))}", f"sources = [{ids}]")


def _name_rows(texts: Iterable[str], kind: str, tail: str, taken: set[str]) -> dict[str, _RowNames]:
    """Return the id and the class name of each row, by its title.

    Args:
        texts: The titles.
        kind: The beginning of a class name that the title alone does not give.
        tail: The end of a class name that would be taken otherwise.
        taken: The class names that are taken. Those of the rows are added.
    """
    rows: dict[str, _RowNames] = {}
    for number, text in enumerate(texts, 1):
        class_ = _make_class_name(text, kind, number)
        class_ = _make_unique(class_, tail, {name.lower() for name in taken})
        taken.add(class_)
        own = not text.isascii() and fold(text) is not None and len(text) <= 100
        rows[text] = _RowNames(text if own else make_slug(class_), class_)
    return rows


def _make_class_name(text: str, kind: str, number: int) -> str:
    """Return a class name made of the first words of a title, or else of the kind and number of its row."""
    words = re.findall(r"[A-Za-z0-9]+", text)[:LONGEST_CLASS] if text.isascii() else []
    class_ = "".join(word[:1].upper() + word[1:] for word in words)
    if not re.match(r"[A-Z]", class_) or class_.upper() == class_ or iskeyword(class_):
        return f"{kind}{class_.capitalize() or number}"
    return class_


def _make_unique(class_: str, tail: str, taken: Container[str]) -> str:
    """Return a class name that is not taken, whatever the case of its letters."""
    name = class_
    count = 1
    while name.lower() in taken:
        name = f"{class_}{tail}" if count == 1 else f"{class_}{tail}{count}"
        count += 1
    return name


def _slug(text: str) -> str:
    return re.sub(r"^[0-9-]+", "", "-".join(re.findall(r"[a-z0-9]+", text.lower())))[:100].strip("-")


def _quote(text: str) -> str:
    """Return a string of TOML; what JSON escapes, TOML escapes alike."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
