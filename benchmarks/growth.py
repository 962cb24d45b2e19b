"""Growth: the same question to a small notice and to a large one, of a small label and of a large one."""

from __future__ import annotations

from collections.abc import Iterator

import purposeguard as pg
from benchmarks.notices import notice_tables
from benchmarks.timing import Case

QUESTIONS = 10
"""Different questions in turn, so that a large notice is asked at different places."""

PURPOSES = (34, 10_000)
SOURCES = (10, 1_000)
LABELS = (1, 50)
OTHERS = 200
"""Sources beside the purposes and labels that grow: so many that none of them may serve thousands."""


BY_CLASS = "`guard.allows(Class, Class)`"
BY_LABEL = "`guard.allows(label, Class)`"
BY_USE = "`use.allows(label)`"


def _make_pairs() -> Iterator[tuple[str, str]]:
    for (small, large), what, by_what in (
        (PURPOSES, "purposes in the notice", BY_CLASS),
        (SOURCES, "sources in the notice", BY_CLASS),
        (LABELS, "source(s) in the label", BY_LABEL),
    ):
        for question in (by_what, BY_USE):
            yield f"{question}, {small:,} {what}", f"{question}, {large:,} {what}"


PAIRS = tuple(_make_pairs())
"""Small case and large case: the large one should take what the small one takes."""


def growth() -> list[Case]:
    cases: list[Case] = []
    for purposes in PURPOSES:
        cases += _questions(_guard(purposes, OTHERS), f"{purposes:,} purposes in the notice")
    for sources in SOURCES:
        cases += _questions(_guard(PURPOSES[0], sources), f"{sources:,} sources in the notice")
    guard = _guard(PURPOSES[0], OTHERS)
    for size in LABELS:
        cases += _by_label(guard, size, f"{size} source(s) in the label")
    return cases


def _guard(purposes: int, sources: int) -> pg.Guard:
    return pg.Guard(pg.Notice.parse(notice_tables(purposes, sources, each=20)))


def _questions(guard: pg.Guard, size: str) -> list[Case]:
    return [*_by_class(guard, size), *_by_label(guard, 1, size)]


def _by_class(guard: pg.Guard, size: str) -> list[Case]:
    """Return `guard.allows` of ten sources, each with a purpose that it may serve, all over the notice."""
    notice = guard.notice
    names: dict[str, object] = {"guard": guard}
    step = len(notice.sources) // QUESTIONS
    for number, source in enumerate(notice.sources[::step][:QUESTIONS]):
        names[f"s{number}"] = source
        names[f"p{number}"] = list(notice.grants[source])[-1 - number]
    statements = [f"guard.allows(s{number}, p{number})" for number in range(QUESTIONS)]
    return [Case(f"{BY_CLASS}, {size}", statements, names)]


def _by_label(guard: pg.Guard, size: int, name: str) -> list[Case]:
    """Return cases that ask the guard and a use about ten labels of `size` sources.

    The purpose is one that all sources may serve.
    """
    sources, purpose = guard.notice.sources, guard.notice.purposes[0]
    names: dict[str, object] = {"guard": guard, "purpose": purpose}
    step = len(sources) // QUESTIONS
    asked: list[pg.Label] = []
    for first in range(10):
        places = range(first * step, first * step + size)
        asked.append(pg.Label(*(sources[place % len(sources)] for place in places)))
    with guard.purpose(purpose, activity="growth") as use:
        for number, label in enumerate(asked):
            use.check(label)
            names[f"label{number}"] = label
    return [
        Case(
            f"{BY_LABEL}, {name}",
            [f"guard.allows(label{number}, purpose)" for number in range(QUESTIONS)],
            names,
        ),
        Case(
            f"{BY_USE}, {name}",
            [f"use.allows(label{number})" for number in range(QUESTIONS)],
            names,
            lambda: guard.purpose(purpose, activity="growth"),
        ),
    ]
