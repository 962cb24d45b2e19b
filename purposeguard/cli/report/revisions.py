"""What changed from one revision to the next, and what becomes of the application."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from typing import NamedTuple

from purposeguard.cli.diff_words import ChangeWords
from purposeguard.cli.revision_effects import RevisionEffect, effects
from purposeguard.cli.words import Language, begin, learn_titles, translate
from purposeguard.guard import Guard
from purposeguard.notice.history import History
from purposeguard.notice.notice import Notice
from purposeguard.policy.diff import Change, Comparison, compare


class RevisionStep(NamedTuple):
    """Two revisions that follow each other, and what becomes of the application."""

    comparison: Comparison
    turns: list[list[RevisionEffect]]
    """The effects that change something, in groups of one activity that look alike; those that stop it come first."""
    combinations: int
    """The number of all effects."""


def steps(guard: Guard, revisions: Sequence[Notice]) -> list[RevisionStep]:
    """Return the steps between the revisions that the guard knows, and further ones, in the order of their dates.

    Raises:
        NoticeError: one is of another notice.
    """
    by_date = {notice.revision: notice for notice in (*revisions, *guard.history)}
    history = History(*(by_date[revision] for revision in sorted(by_date)))
    return [_step(guard, compare(old, new)) for old, new in itertools.pairwise(history)]


def _step(guard: Guard, comparison: Comparison) -> RevisionStep:
    combinations = effects(guard, comparison)
    turns: dict[tuple[object, ...], list[RevisionEffect]] = {}
    for effect in combinations:
        if effect.stops or effect.starts:
            key = (effect.before.activity, *effect.shown)
            turns.setdefault(key, []).append(effect)
    return RevisionStep(comparison, sorted(turns.values(), key=lambda alike: not alike[0].stops), len(combinations))


def sentences(comparison: Comparison, language: str) -> list[tuple[Change, str]]:
    """Return each change with its sentence, as `purposeguard diff` says it in this language."""
    with contextlib.ExitStack() as run:
        run.callback(begin(Language(language)))
        learn_titles(comparison.old)
        learn_titles(comparison.new)
        words = ChangeWords(comparison)
        return [(change, translate(words.sentence(change))) for change in comparison.changes]
