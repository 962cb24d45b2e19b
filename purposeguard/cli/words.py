"""The language of what is printed: each sentence by its English, each term by the titles of the notice.

The library and the commands say everything in English. What people read passes here on its way out, and nothing else
does: JSON, SARIF, generated files and errors of the library stay as they are. `words.toml` is the one table of words.
Its keys are the sentences in English, with names in braces for what varies:

- `{text}`, `{text2}`: other sentences of the table;
- `{word}`, `{word2}`: a word of the table or a title, or else what stays; `{words}`: several with commas;
- `{terms}`, `{terms2}`: terms of the notice, or ids, in a row;
- `{what}`: one of the words of `[what]`;
- `{count}` and the others in `NUMBERS`: a number; `{day}` and the others in `DAYS`: a day; `{place}` and the others in
  `PLACES`: a text without blanks;
- any other name: what stays as it is.

A sentence that the table lacks is printed in English: `tests/end_to_end/test_shop_japanese.py` looks for it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from purposeguard.containers import intersect
from purposeguard.notice.fields import Table
from purposeguard.notice.grants import source_rows
from purposeguard.notice.languages import title_in
from purposeguard.notice.schema import Channel, Equivalence, Kind
from purposeguard.notice.texts import Titles
from purposeguard.notice.vocabulary import make_slug

if TYPE_CHECKING:
    from purposeguard.notice.notice import Notice


class Language(StrEnum):
    """The language of words and titles."""

    en = "en"
    ja = "ja"


HOLE: Final = re.compile(r"\{(\w+)\}")
NUMBERS: Final = frozenset(
    {"byte", "channels", "count", "days", "exposures", "families", "found", "known", "length"}
    | {"line", "next", "number", "pending", "purposes", "shown", "size", "sources", "tables"}
)
DAYS: Final = frozenset({"day", "notified", "now", "revision", "then"})
PLACES: Final = frozenset({"place", "resource", "symbol"})
LONGEST: Final = 4_000
MOST_PARTS: Final = 40
"""Characters of a sentence, and colons and semicolons in it, beyond which nothing is looked for."""
LATIN: Final = re.compile(r"[A-Za-z]")


@dataclass(slots=True)
class Speech:
    """The language of one run of the command line, and the titles of the notices that it has read."""

    language: Language = Language.en
    titles: dict[str, str] = field(default_factory=dict)
    sentences: dict[str, str] = field(default_factory=dict)
    """What was said before, by its English: a sentence that holds others is not taken apart twice."""


_SPEECH: ContextVar[Speech | None] = ContextVar("purposeguard_speech", default=None)


def begin(language: Language) -> Callable[[], None]:
    """Begin a run in this language. Return a function that ends the run."""
    token = _SPEECH.set(Speech(language))
    return lambda: _SPEECH.reset(token)


def change(language: Language) -> None:
    """Continue the run in this language."""
    speech = _SPEECH.get()
    if speech is not None:
        speech.language = language


def language() -> Language:
    """Return the language of this run; English if no run has begun."""
    speech = _SPEECH.get()
    return Language.en if speech is None else speech.language


def learn_titles(notice: Notice) -> None:
    """Name the terms of this notice by their titles, the Japanese ones if it has them."""
    speech = _SPEECH.get()
    if speech is None:
        return
    document = notice.document
    titles = speech.titles
    speech.sentences.clear()
    _map_titles(document, titles)
    for row in (*source_rows(document), *document.purposes):
        title = title_in(row.title, Language.ja)
        titles[f"{row.slug} ({row.id})"] = f"「{title}」（{row.id}）"
        titles.setdefault(row.slug, f"「{title}」")
    for family in document.family:
        slug = make_slug(family.class_)
        title = title_in(family.title, Language.ja)
        titles[f"{slug} ({', '.join(family.purposes)})"] = f"「{title}」（{'、'.join(family.purposes)}）"
        titles.setdefault(slug, f"「{title}」")


def _map_titles(node: object, titles: dict[str, str]) -> None:
    """Map the English titles of a notice to their Japanese ones."""
    if isinstance(node, Titles):
        titles[title_in(node, Language.en)] = title_in(node, Language.ja)
    elif isinstance(node, (Channel, Kind, Equivalence)):
        title = title_in(node.title, Language.ja)
        titles.setdefault(node.id, title)
        titles[f"{node.id} ({title_in(node.title, Language.en)})"] = f"「{title}」（{node.id}）"
    if isinstance(node, Table):
        for name in type(node).model_fields:
            _map_titles(getattr(node, name), titles)
    elif isinstance(node, tuple):
        for part in node:
            _map_titles(part, titles)


def translate(text: str) -> str:
    """Translate a text of one or more lines into the language of this run. Keep lines that the table lacks."""
    speech = _SPEECH.get()
    if speech is None or speech.language is Language.en:
        return text
    return "\n".join(_line(line, speech) for line in text.split("\n"))


def _line(line: str, speech: Speech) -> str:
    bare = re.sub(r"<a text of ([\d,]+) characters?>", r"<\1文字の文字列>", line.strip(" "))
    if not LATIN.search(bare) or len(bare) > LONGEST or bare.count(": ") + bare.count("; ") > MOST_PARTS:
        return line  # This is data, not a sentence.
    return line[: len(line) - len(line.lstrip(" "))] + _sentence(bare, speech)


def _sentence(text: str, speech: Speech) -> str:
    translated = speech.sentences.get(text)
    if translated is None:
        translated = speech.sentences[text] = _translate_line(text, speech)
    return translated


def _translate_line(text: str, speech: Speech) -> str:
    words, patterns = _table()
    if (word := words.get(text)) is not None or (word := speech.titles.get(text)) is not None:
        return word
    for pattern in patterns:
        translated = pattern.translate(text, speech)
        if translated is not None:
            return translated
    return text


def _terms(text: str, titles: Mapping[str, str]) -> str:
    """Replace the terms in a row of terms by their titles, with the commas of the language between them."""
    words, _ = _table()
    if (word := words.get(text)) is not None or (word := titles.get(text)) is not None:
        return word
    names = sorted(intersect(titles, text), key=len, reverse=True)
    if names:
        titles_pattern = "|".join(map(re.escape, names))
        text = re.sub(
            rf"(?<![\w.`/-])(?:{titles_pattern})(?![\w.`/-])", lambda match: titles[match[0]].replace(" ", "\0"), text
        )
    text = re.sub(r" \(((?:[^()]|\([^()]*\))*)\)", r"（\1）", text)
    text = re.sub(r" and (\d+) more\b", r"ほか\1件", text)
    return re.sub(r", | and | or ", "、", text).replace("」、「", "」「").replace("\0", " ")  # no title is taken apart


@dataclass(frozen=True, slots=True)
class SentencePattern:
    """A sentence with what varies in it, and what it is in the other language."""

    english: re.Pattern[str]
    other: str

    def translate(self, text: str, speech: Speech) -> str | None:
        """Return the sentence in the other language; None if the text is another sentence."""
        match = self.english.fullmatch(text)
        if match is None:
            return None
        values: dict[str, str] = {}
        for name, value in match.groupdict().items():
            if name == "what":
                values[name] = sections_of_words()["what"][value]
            elif name == "words":
                values[name] = "、".join(_sentence(word, speech) for word in value.split(", "))
            elif name.startswith(("text", "word")):
                values[name] = _sentence(value, speech)
                if name.startswith("text") and values[name] == value not in speech.titles and LATIN.search(value):
                    return None
            else:
                values[name] = _terms(value, speech.titles) if name.startswith("terms") else value
        if len(set(values.values())) < len(set(match.groups())):
            # What differs in English alone is shown in English.
            values |= {name: value for name, value in match.groupdict().items() if name.startswith("word")}
        return _fill_sentence(self.other, values)


def _fill_sentence(template: str, values: Mapping[str, str]) -> str:
    """Fill the values into a sentence of the other language.

    A space that sets off Latin letters and digits is left out between Japanese characters.
    """
    text = ""
    for number, part in enumerate(HOLE.split(template)):
        text += values[part] if number % 2 else part.replace(" ", "\0")
    return re.sub("(?<=[\u2e80-\uffef])\0(?=[\u2e80-\uffef])", "", text).replace("\0", " ")


@cache
def _table() -> tuple[Mapping[str, str], tuple[SentencePattern, ...]]:
    """Return the table of whole sentences, and the patterns of sentences with variable parts, specific ones first."""
    sections = sections_of_words()
    sentences: dict[str, str] = {}
    for section in sections.values():
        sentences |= section
    kinds_pattern = "|".join(map(re.escape, sections["what"]))
    varying = [_pattern(english, other, kinds_pattern) for english, other in sentences.items() if HOLE.search(english)]
    return sentences, tuple(varying)


@cache
def sections_of_words() -> dict[str, dict[str, str]]:
    """Return the table of words, as it is written."""
    return tomllib.loads(resources.files("purposeguard.cli").joinpath("words.toml").read_text("utf-8"))


def _pattern(english: str, other: str, kinds_pattern: str) -> SentencePattern:
    parts: list[str] = []
    for number, part in enumerate(HOLE.split(english)):
        parts.append(f"(?P<{part}>{_placeholder_pattern(part, kinds_pattern)})" if number % 2 else re.escape(part))
    return SentencePattern(re.compile("".join(parts)), other)


def _placeholder_pattern(name: str, kinds_pattern: str) -> str:
    """Return the pattern of a regular expression for what a placeholder may contain."""
    if name in NUMBERS:
        return r"\d[\d,]*"
    if name in DAYS:
        return r"\d{4}-\d\d-\d\d"
    if name == "what":
        return kinds_pattern
    if name.startswith("terms"):
        return r"[^:;\[\]“”]+?"
    if name in PLACES:
        return r"\S+?"
    return ".+?" if name.startswith(("text", "word", "reason", "message")) else "[^;]+?"
