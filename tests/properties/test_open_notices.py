"""Languages, ids and texts of any kind: TOML → classes → TOML is the identity, and nothing is decided otherwise."""

from __future__ import annotations

from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from purposeguard import Guard, Notice, Purpose, Source
from purposeguard.notice import languages
from purposeguard.notice.languages import is_well_formed, nearest_language, title_in
from purposeguard.policy.diff import compare
from tests.generated.notice_tables import Tables
from tests.generated.open_tables import LANGUAGES, open_tables
from tests.properties.seals import module_of


def terms_of(notice: Notice) -> list[type[Source | Purpose]]:
    return [*notice.sources, *notice.purposes]


@given(open_tables())
def test_toml_to_classes_to_toml_is_the_identity(made: tuple[Tables, Tables]) -> None:
    notice = Notice.parse(made[1])
    tables = notice.dump()
    for other in (module_of(notice)["NOTICE"], Notice.loads(tomli_w.dumps(tables))):
        assert other.dump() == tables
        assert other.languages == notice.languages
    assert {row["id"]: row.get("text") for row in tables["source"]} == {
        row["id"]: row.get("text") for row in made[1]["source"]
    }


@given(open_tables())
def test_nothing_is_decided_by_languages_ids_and_texts(made: tuple[Tables, Tables]) -> None:
    plain, opened = map(Notice.parse, made)
    assert [
        [plain.sources.index(source) for source in plain.sources if purpose in plain.grants[source]]
        for purpose in plain.purposes
    ] == [
        [opened.sources.index(source) for source in opened.sources if purpose in opened.grants[source]]
        for purpose in opened.purposes
    ]
    one, two = Guard(plain), Guard(opened)
    for source, twin in zip(plain.sources, opened.sources, strict=True):
        for purpose, other in zip(plain.purposes, opened.purposes, strict=True):
            assert (
                one.allows(source, purpose)
                == two.allows(twin.clause, other.clause)
                == two.allows(twin.slug, other.slug)
            )


@given(open_tables())
def test_ids_are_found_as_they_are_written(made: tuple[Tables, Tables]) -> None:
    notice = Notice.parse(made[1])
    for term in terms_of(notice):
        find = notice.source if issubclass(term, Source) else notice.purpose
        assert {find(name) for name in (term.clause, term.clause.upper(), term.__name__, term.slug)} == {term}
        assert term.clause in repr(term)
        assert term.clause in str(term.__doc__)


@given(open_tables(facts=False), st.data())
def test_a_difference_of_words_alone_is_a_change_of_words_alone(
    made: tuple[Tables, Tables], data: st.DataObject
) -> None:
    earlier = Notice.parse(made[1] | {"revision": "0001-01-01"})
    later: dict[str, Any] = earlier.dump() | {"revision": "0001-01-02"}
    assert not compare(earlier, Notice.parse(later))
    row = data.draw(st.sampled_from([*later["source"], *later["grant"]]))
    was = row.get("text", {})
    row["text"] = {"mi": "kua rerekē"}
    comparison = compare(earlier, Notice.parse(later))
    assert not comparison.cells
    assert {(change.kind, change.direction, change.needs) for change in comparison.changes} == {
        ("text", "neutral", None)
    }
    assert {change["language"]: (change["old"], change["new"]) for change in comparison.changes} == {
        "mi": (None, "kua rerekē")
    } | {tag: (words, None) for tag, words in was.items()}
    assert comparison.compared["text"] >= 1 + len(was)


WELL_FORMED = """
en EN-us zh-Hant-TW zh-cmn-Hans-CN de-CH-1996 sl-rozaj-biske es-419 x-foo i-klingon en-GB-oed tlh mi
de-DE-u-co-phonebk ja-JP-x-kansai abcde sgn-BE-FR
"""


@pytest.mark.parametrize("tag", WELL_FORMED.split())
def test_tags_that_are_well_formed(tag: str) -> None:
    assert is_well_formed(tag)


@pytest.mark.parametrize(
    "tag", ["", "e", "a-b", "en-", "-en", "en_US", "englishlong", "日本", "en-x", "de-\u017fs", "en\n"]
)
def test_tags_that_are_not(tag: str) -> None:
    assert not is_well_formed(tag)


@pytest.mark.parametrize(
    ("tags", "asked", "read"),
    [
        (("de", "en"), "en", "en"),
        (("de", "EN"), "en-US", "EN"),
        (("de", "zh-Hant"), "zh-Hant-CN-x-private1-private2", "zh-Hant"),
        (("de", "zh-Hant-CN", "zh"), "zh-Hant", "zh"),
        (("de", "en-GB"), "en", "en-GB"),
        (("de", "en-GB"), "en-US", "en-GB"),
        (("de", "fr"), "ja", "de"),
        (("x-house", "de"), "x-other", "x-house"),
    ],
)
def test_the_language_asked_for_or_the_nearest(tags: tuple[str, ...], asked: str, read: str) -> None:
    assert nearest_language(tags, asked) == read
    assert title_in({tag: f"in {tag}" for tag in tags}, asked) == f"in {read}"


@given(st.lists(st.sampled_from(LANGUAGES), min_size=1, unique=True), st.sampled_from(LANGUAGES))
def test_whatever_is_asked_for_something_is_read(tags: list[str], asked: str) -> None:
    read = nearest_language(tags, asked)
    assert read in tags
    assert (asked in tags) <= (read.casefold() == asked.casefold())
    assert languages.is_well_formed(read)
