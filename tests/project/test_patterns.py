"""Patterns: what they match, and which of several wins."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from purposeguard.project.patterns import Pattern, PatternSet

SEGMENTS = st.text("ab*", max_size=3)
NAMES = [f"{method} /{path}" for method in ("GET", "a") for path in ("", "a", "b", "ab", "a/b", "a/a/b", "b/", "aa/ab")]


@st.composite
def entry_point_patterns(draw: st.DrawFn) -> str:
    word = draw(st.sampled_from(["GET", "a", "*", "G*"]))
    path = "/" + "/".join(draw(st.lists(SEGMENTS, max_size=3)))
    return draw(st.sampled_from([f"{word} {path}", "**", path]))


def matches(pattern: str, name: str) -> bool:
    """Match letter by letter, with every way to end a wildcard."""
    if pattern == "":
        return name == ""
    if pattern.startswith("**"):
        return any(matches(pattern[2:], name[end:]) for end in range(len(name) + 1))
    if pattern.startswith("*"):
        reach = len(re.match("[^/]*", name).group())  # type: ignore[union-attr]  # It matches any text.
        return any(matches(pattern[1:], name[end:]) for end in range(reach + 1))
    return name[:1] == pattern[0] and matches(pattern[1:], name[1:])


def matches_entry_point(pattern: str, name: str) -> bool:
    if " " not in pattern:
        return matches(pattern, name)
    (word, rest), (own_word, own_rest) = pattern.split(" ", 1), name.split(" ", 1)
    return matches(word, own_word) and matches(rest, own_rest)


def specificity(pattern: str) -> tuple[object, ...]:
    """Rank a pattern as the documentation does: the rest before the first word, prefix before length."""

    def rank(text: str) -> tuple[int, int, int]:
        return len(text.split("*", maxsplit=1)[0]), len(text.replace("*", "")), -len(re.findall(r"\*\*", text))

    word, rest = pattern.split(" ", 1) if " " in pattern else ("", pattern)
    return " " in pattern, rank(rest), rank(word)


@given(st.lists(entry_point_patterns(), unique=True, max_size=8))
@example(["GET /a*", "* /a*", "GET /**", "**"])
@example(["GET /a*b", "GET /ab*"])
def test_the_most_specific_pattern_wins_as_in_a_search_by_hand(texts: list[str]) -> None:
    patterns = PatternSet(map(Pattern.compile_entry_points, texts))
    ambiguous = {frozenset(pair) for pair in patterns.list_ambiguous()}
    for name in NAMES:
        matching = [text for text in texts if matches_entry_point(text, name)]
        assert set(patterns.find_all(name)) == set(matching)
        if matching:
            best = max(map(specificity, matching))
            winners = [text for text in matching if specificity(text) == best]
            if name in matching:
                winners = [name]
            assert next(patterns.find_all(name)) in winners
            for pair in itertools.combinations(winners, 2):
                assert frozenset(pair) in ambiguous


@given(entry_point_patterns(), entry_point_patterns())
def test_patterns_that_match_a_common_name_overlap(one: str, other: str) -> None:
    common = [name for name in NAMES if matches_entry_point(one, name) and matches_entry_point(other, name)]
    if common:
        assert Pattern.compile_entry_points(one).overlaps(Pattern.compile_entry_points(other))


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("GET /a*b", "GET /ab*", True),
        ("GET /a*/c", "GET /*b/c", True),
        ("GET /a*/c", "GET /a*/d", False),
        ("GET /*", "GET /a/b", False),
        ("GET /**", "GET /a/b", True),
        ("* /a", "GET /a", True),
        ("POST /*", "GET /*", False),
    ],
)
def test_overlap(one: str, other: str, overlap: bool) -> None:
    left, right = Pattern.compile_entry_points(one), Pattern.compile_entry_points(other)
    assert left.overlaps(right) is right.overlaps(left) is overlap


def test_the_path_counts_before_the_method() -> None:
    patterns = PatternSet(
        map(Pattern.compile_entry_points, ["* /users/me", "GET /users/*", "GET /**", "GET /users/{*}", "**"])
    )
    assert list(patterns.find_all("GET /users/me")) == ["* /users/me", "GET /users/*", "GET /**", "**"]
    assert next(patterns.find_all("GET /users/{*}")) == "GET /users/{*}"
    assert next(patterns.find_all("task shop.tasks.send")) == "**"
