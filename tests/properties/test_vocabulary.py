"""The vocabulary as classes says what the matrix says, however it came about; and ids mean what they look like."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from purposeguard import Guard, Label, Notice, NotPersonal, Purpose, Source, UnknownPurpose, UnknownSource, notices
from purposeguard.notice.codegen import generate
from purposeguard.notice.mro import linearize
from purposeguard.notice.vocabulary import TermMeta, fold
from purposeguard.notices import trendmicro_jp as tm
from tests import generated
from tests.generated.notice_tables import CIRCLED
from tests.properties.seals import module_of
from tests.properties.spellings import glyphs, name_spellings, spellings

TOML = Path(notices.__path__[0]) / "trendmicro_jp" / "notice.toml"


def assert_hierarchy_is_matrix(notice: Notice) -> None:
    guard = Guard(notice)
    for source in notice.sources:
        for purpose in notice.purposes:
            assert issubclass(source, purpose) is guard.allows(source, purpose)
        for family in notice.families:
            assert issubclass(source, family.union) is guard.allows(source, family)  # type: ignore[arg-type]  # a union
        assert issubclass(source, Source)
        assert not issubclass(source, NotPersonal)
    for one in notice.purposes:
        # A purpose is no source, and under no other purpose.
        assert one.__mro__[1:] == (Purpose, object)
    parents = {row.id: row.parent for row in notice.document.source}
    for source in notice.sources:
        above = []
        parent = parents.get(source.clause)
        while parent is not None:
            above.append(notice.source(parent))
            parent = parents.get(parent)
        assert [one for one in source.__mro__[1:] if one in notice.sources] == above


@pytest.mark.parametrize("notice", [tm.NOTICE, Notice.load(TOML)], ids=["generated-module", "loaded-toml"])
def test_hierarchy_of_the_bundled_notice_is_its_matrix(notice: Notice) -> None:
    assert_hierarchy_is_matrix(notice)
    assert issubclass(notice.source("Registration"), notice.purpose("RenewalGuidance"))
    assert not issubclass(notice.source("ProductData"), notice.purpose("RenewalGuidance"))


@given(notice=generated.notices(opened=True))
def test_hierarchy_of_generated_notices_is_their_matrix(notice: Notice) -> None:
    assert_hierarchy_is_matrix(notice)
    assert_hierarchy_is_matrix(module_of(notice)["NOTICE"])
    assert_hierarchy_is_matrix(Notice.loads(tomli_w.dumps(notice.dump())))


@given(notice=generated.notices(facts=True, opened=True))
def test_generated_module_is_the_notice(notice: Notice) -> None:
    text = generate(notice)
    names = module_of(notice)
    again = names["NOTICE"]
    assert again == notice
    assert generate(again) == generate(Notice.parse(notice.dump())) == text
    terms: list[type[Source | Purpose]] = [*again.sources, *again.purposes]
    for term in terms:
        twin = notice.source(term.clause) if issubclass(term, Source) else notice.purpose(term.clause)
        assert term is names[term.__name__] is not twin
        assert (term.clause, term.slug, term.title, term.__doc__) == (twin.clause, twin.slug, twin.title, term.__doc__)
        assert [base.__name__ for base in term.__mro__] == [base.__name__ for base in twin.__mro__]
    for family in again.families:
        assert names[family.name] == family.union
    assert {source.__name__: dict(granted) for source, granted in again.grants.items()}.keys() == {
        source.__name__ for source in notice.grants
    }


def tool(*arguments: str, text: str) -> subprocess.CompletedProcess[str]:
    """What ruff says of a module, under this project's rules."""
    return subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", "generated_notice.py", "-"],
        input=text,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@settings(max_examples=5)
@given(notice=generated.notices(opened=True))
def test_generated_module_is_clean_and_formatted(notice: Notice) -> None:
    text = generate(notice)
    checked = tool("check", "--no-cache", "--quiet", text=text)
    assert checked.returncode == 0, checked.stdout
    # It tells formatters to leave it alone. It need not: without that line they would change nothing.
    formatted = tool("format", "--no-cache", text=text.replace("# fmt: off\n", ""))
    assert formatted.stdout == text.replace("# fmt: off\n", "")


@given(data=st.data(), notice=st.one_of(st.just(tm.NOTICE), generated.notices(opened=True)))
def test_any_spelling_of_an_id_means_it(data: st.DataObject, notice: Notice) -> None:
    guard = Guard(notice)
    terms: list[type[Source | Purpose]] = [*notice.sources, *notice.purposes]
    for term in data.draw(st.lists(st.sampled_from(terms), min_size=1, max_size=8)):
        spelling = data.draw(st.one_of(spellings(term.clause), name_spellings(term.__name__, term.slug)))
        if issubclass(term, Source):
            assert notice.source(spelling) is term
            assert guard.explain(spelling, notice.purposes[0]).label is Label(term)
        else:
            assert notice.purpose(spelling) is term
            assert guard.explain(notice.sources[0], spelling).purpose is term
    for family in notice.families:
        assert notice.purpose_or_family(data.draw(name_spellings(family.name, family.slug))) is family


def test_every_enclosed_glyph_means_its_number() -> None:
    """All of them, not a sample: the notice itself mixes blocks."""
    for purpose in tm.NOTICE.purposes:
        head, number = purpose.clause[:-1], "⑪".join(CIRCLED).find(purpose.clause[-1]) // 2 + 1
        if purpose.clause.endswith("⑪"):
            number = 11
        for glyph in glyphs(number):
            assert tm.NOTICE.purpose(head + glyph) is purpose, f"{head}{glyph}"


@settings(max_examples=300)
@given(
    text=st.one_of(
        st.text(max_size=40),
        st.text("0123456789abcABC().-（）①➁➅➇⑴１ａ　 \t\nΑаᴀ¹½Ⅰ", max_size=15),
        st.text("ab1.", min_size=190, max_size=400),
    )
)
def test_random_text_is_unknown_or_a_known_id(text: str) -> None:
    for find, terms, error in (
        (tm.NOTICE.source, tm.NOTICE.sources, UnknownSource),
        (tm.NOTICE.purpose, tm.NOTICE.purposes, UnknownPurpose),
    ):
        names = {fold(name): term for term in terms for name in (term.clause, term.slug, term.__name__)}
        folded = fold(text)
        if folded in names:
            assert find(text) is names[folded]
            continue
        with pytest.raises(error) as unknown:
            find(text)
        # Every suggestion is an id that works, and the message stays short and printable.
        assert all(find(one) in terms for one in unknown.value.suggestions)
        message = str(unknown.value)
        assert len(message) < 600
        assert all(line.isprintable() for line in message.splitlines())


@given(name=st.sampled_from(["1.1(a)", "2.3", "Registration", "registration", "Cookie"]), data=st.data())
def test_letters_that_only_look_alike_are_unknown(name: str, data: st.DataObject) -> None:
    alike = {"a": "а", "e": "е", "i": "і", "o": "ο", "C": "С", "s": "ѕ", "1": "l", "3": "З", ".": "․"}
    places = [index for index, char in enumerate(name) if char in alike and char != "."]
    chosen = data.draw(st.lists(st.sampled_from(places), min_size=1, unique=True))
    text = "".join(alike[char] if index in chosen else char for index, char in enumerate(name))
    with pytest.raises(UnknownSource):
        tm.NOTICE.source(text)


@given(
    name=st.sampled_from(["1.1(a)", "1.1", "2.3③", "Registration", "web-contact"]),
    char=st.characters(categories=["Cf", "Mn", "Sm", "Sc"]),
    data=st.data(),
)
def test_characters_that_no_id_has_are_not_passed_over(name: str, char: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name)))
    with pytest.raises(UnknownSource):
        tm.NOTICE.source(name[:at] + char + name[at:])


@given(st.lists(st.lists(st.integers(0, 9), max_size=4, unique=True), max_size=10))
def test_classes_are_ordered_as_python_orders_them(bases: list[list[int]]) -> None:
    """Whatever stands above what, consistent or not; Python's own way is asked where a class has few bases."""
    made: list[type] = [Purpose]
    for number, chosen in enumerate(bases):
        above = tuple(dict.fromkeys(made[one % len(made)] for one in chosen)) or (Purpose,)
        try:
            made.append(TermMeta(f"T{number}", above, {}))
        except TypeError:
            with pytest.raises(TypeError, match="no consistent order"):
                linearize(cast("type", SimpleNamespace(__bases__=above, __name__="none")))
        else:
            assert tuple(linearize(made[-1])) == made[-1].__mro__
