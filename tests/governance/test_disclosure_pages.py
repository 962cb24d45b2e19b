"""The disclosure report as a page: whole, in both languages, safe whatever it is about, and sufficient unto itself."""

from __future__ import annotations

import datetime
import itertools
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.governance.disclosure import RecordsAboutSubject, build_disclosure
from purposeguard.governance.disclosure_page import TEMPLATES, Disclosure, Language, load_words, replace_unprintable
from purposeguard.governance.holdings import Holdings
from tests.governance.disclosures import GERMAN, HOSTILE, NOTICE, NOW, customer, door, report

LANGUAGES: tuple[Language, ...] = ("en", "ja")
VOID = {"meta"}
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "h1", "h2", "h3", "p"),
    *("dl", "div", "dt", "dd", "table", "caption", "thead", "tbody", "tr", "th", "td", "ul", "li", "address", "time"),
    *("span", "bdi", "pre"),
}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "id", "aria-labelledby", "scope", "datetime")
}


class Page(HTMLParser):
    """A page, read strictly: each tag known and closed in its order, each attribute known and given once."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.styles: list[str] = []
        assert text.startswith("<!DOCTYPE html>\n<html lang=")
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        assert len({name for name, _ in attrs}) == len(attrs)
        assert ATTRIBUTES.issuperset(name for name, _ in attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in {"td", "th", "li", "p", "dd", "dt", "h3", "caption"}:
            self.pieces.append("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        raise AssertionError(f"HTML has no <{tag}/>")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.styles if self.open and self.open[-1] == "style" else self.pieces).append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment")

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, name if key != "value" else key)
            if key == "value":
                yield key, name
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, key)
    else:
        yield key, value


CODED = {"state": "state_", "requester": "by_", "role": "contact_", "basis": "basis_", "counted_from": "days_from_"}
FLAGS = {"sealed", "held", "values_shown", "in_force", "suspended", "agreed", "by_agent"}
SAID_BY_TITLE = {"format", "language", "kind"}  # `kind` of a request; that of a provision is a title itself


def told(key: str, value: Any, texts: Any) -> str | None:
    """What the page is to say of one leaf of the JSON; None where a word, or a title beside it, says it."""
    if value is None or key in FLAGS or key in SAID_BY_TITLE:
        return None
    if key in CODED:
        return str(texts[CODED[key] + value])
    if re.fullmatch(r"\d{4}-\d\d-\d\dT.*", str(value)):
        return datetime.datetime.fromisoformat(value).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, bool):
        return json.dumps(value)
    return replace_unprintable(value)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("values", [True, False], ids=["values", "no_values"])
def test_everything_of_the_json_is_on_the_page(language: Language, values: bool) -> None:
    made = report(language, values=values)
    page = Page(made.to_html())
    # Inside of nested values, JSON's own quoting stands on the page.
    text = page.text.replace('\\"', '"')
    for key, value in leaves(json.loads(made.to_json())):
        expected = told(key, value, load_words(language))
        assert expected is None or expected in text, (key, value)
    for one in made.provisions:
        assert one.kind in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_flags_are_told_in_words(language: Language) -> None:
    texts = load_words(language)
    text = Page(report(language).to_html()).text
    for word in ("absent", "suspended", "agreed", "not_agreed", "in_use", "no_period", "nothing_held", "rights_agent"):
        assert texts[word] in text
    assert texts["values_shown"] in text
    assert texts["values_not_shown"] not in text
    hidden = Page(report(language, values=False).to_html()).text
    assert texts["is_held"] in hidden
    assert texts["values_not_shown"] in hidden


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_that_the_report_is_about_becomes_markup(language: Language) -> None:
    text = report(language).to_html()
    page = Page(text)  # which knows no <script> and no <img>
    assert page.text.count(HOSTILE) >= 4  # a value, a field's name, a recipient, a reason
    assert "<script" not in text
    assert "<img" not in text
    assert "49" not in page.text.replace("10649", "")  # {{ 7 * 7 }} is text


def test_characters_that_no_page_may_have_are_replaced_and_all_others_kept() -> None:
    assert replace_unprintable("a\x00\x1f\x7f\x9f\ud800b") == "a" + "\N{REPLACEMENT CHARACTER}" * 5 + "b"
    assert replace_unprintable("〒\N{NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}\n\t\N{RIGHT-TO-LEFT OVERRIDE}🧑🏽") == (
        "〒\N{NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}\n\t\N{RIGHT-TO-LEFT OVERRIDE}🧑🏽"
    )
    made = Holdings()
    made.holding("<b>\x00", names={"segment": {"en": "\x08it"}})(lambda key: customer(segment="\x00\x08"))
    text = build_disclosure(NOTICE, "7", made, RecordsAboutSubject(), now=NOW, values=True, door=door).to_html()
    assert "<b>\N{REPLACEMENT CHARACTER}" in Page(text).text
    assert replace_unprintable(text) == text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_needs_nothing_but_itself(language: Language) -> None:
    made = report(language)
    page = Page(made.to_html())
    assert not any({"href", "src"} & attributes.keys() for _, attributes in page.tags)
    (style,) = page.styles
    assert "url(" not in style
    assert "@import" not in style
    assert "@page" in style
    assert "size: A4" in style
    policy = next(one["content"] for tag, one in page.tags if tag == "meta" and "http-equiv" in one)
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src" not in policy  # so the default holds: none


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_can_be_read_aloud(language: Language) -> None:
    page = Page(report(language).to_html())
    assert page.tags[0] == ("html", {"lang": language})
    tags = [tag for tag, _ in page.tags]
    assert [tags.count(one) for one in ("title", "h1", "main", "header", "footer")] == [1, 1, 1, 1, 1]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    labels = [attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes]
    assert set(labels) <= set(ids)
    for number, (tag, attributes) in enumerate(page.tags):
        if tag == "th":
            assert attributes["scope"] in {"row", "col"}
        if tag == "table":
            assert "aria-labelledby" in attributes or page.tags[number + 1][0] == "caption"
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h\d", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_both_languages_have_the_same_words_and_the_page_uses_each() -> None:
    assert load_words("en").keys() == load_words("ja").keys()
    template = (TEMPLATES / "disclosure.html").read_text("utf-8")
    used = set(re.findall(r"words\.(\w+)", template)) | set(re.findall(r'"([\w-]+)"', template))
    spelt = tuple(CODED.values())
    assert {one for one in load_words("en") if one not in used and not one.startswith(spelt)} == set()
    assert all(text.strip() for language in LANGUAGES for text in load_words(language).values())


def test_a_report_of_nothing_says_so() -> None:
    for language in LANGUAGES:
        texts = load_words(language)
        text = Page(build_disclosure(NOTICE, "7", (), RecordsAboutSubject(), now=NOW, language=language).to_html()).text
        for word in ("nothing_registered", "no_restrictions", "no_consents", "no_provisions", "no_requests"):
            assert texts[word] in text


def test_a_report_read_back_from_its_json_makes_the_same_page() -> None:
    made = report()
    assert Disclosure.model_validate_json(made.to_json()).to_html() == made.to_html()


@pytest.mark.parametrize("language", LANGUAGES)
def test_titles_in_another_language_than_the_report_are_marked(language: Language) -> None:
    made = build_disclosure(GERMAN, "7", holdings_of(GERMAN), RecordsAboutSubject(), now=NOW, language=language)
    assert (made.language, made.notice.language, made.notice.title) == (language, "de", GERMAN.document.title["de"])
    page = made.to_html()
    assert page.startswith(f'<!DOCTYPE html>\n<html lang="{language}">')
    for title in (made.notice.title, made.purposes[0].title, made.sources[0].title, made.contacts[0].name):
        assert f'<bdi class="text" lang="de">{title}</bdi>' in page
    assert '<bdi class="text">7</bdi>' in page
    plain = build_disclosure(NOTICE, "7", (), RecordsAboutSubject(), now=NOW, language=language)
    assert 'lang="de"' not in plain.to_html()


def holdings_of(notice: pg.Notice) -> Holdings:
    source: Any = notice.source("1.1(a)")

    class Account(BaseModel):
        email: Annotated[str, source]

    made = Holdings()
    made.holding("accounts")(lambda key: Account(email=f"{key}@example.org"))
    return made


def test_a_clause_that_is_gone_is_told() -> None:
    gone = tuple(one.model_copy(update={"in_force": False}) for one in report().sources)
    made = report().model_copy(update={"sources": gone})
    assert load_words("en")["gone"] in Page(made.to_html()).text
    unserved = tuple(one.model_copy(update={"purposes": ()}) for one in made.categories)
    nothing = made.model_copy(update={"categories": unserved})
    assert load_words("en")["may_serve_nothing"] in Page(nothing.to_html()).text


def test_values_of_several_lines_keep_them() -> None:
    assert "〒151-0053 東京都渋谷区代々木\n2-1-1" in Page(report().to_html()).text
