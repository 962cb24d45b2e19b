"""What names say of a person.

A name is split into words and read from its end, since its last word says what a thing is: `customer_email` is an
e-mail address, `email_template` a template. Whether a class is about people is told by its own name, or by fields
beside that are personal wherever they stand.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from purposeguard.linting.vocabulary import (
    BESIDE,
    BODIES,
    DATA_WORDS,
    DIRECT,
    ENDINGS,
    INDIRECT,
    JAPANESE_BODIES,
    JAPANESE_DIRECT,
    JAPANESE_NOBODYS,
    JAPANESE_OF_PEOPLE,
    JAPANESE_PERSONS,
    LOOKS,
    NO_PERSONS,
    NOBODYS,
    OF_A_PERSON,
    OF_PEOPLE,
    OF_QUALIFIED,
    PERSONS,
    QUALIFIERS,
    QUESTIONS,
    THINGS,
    WORK,
    Sense,
    Words,
)

JAPANESE: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
PART: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def folded(name: str) -> str:
    """A name with full-width letters and the like made ordinary."""
    return unicodedata.normalize("NFKC", name)


def words_of(name: str) -> list[str]:
    """The words of a name in Latin letters: `billingEMail_1` → billing, e, mail."""
    return [one.lower() for one in PART.findall(folded(name)) if not one.isdigit()]


@dataclass(frozen=True, slots=True)
class Subject:
    """What the name of a class says: it is about people, about a body such as a company, or how something is set up."""

    person: bool = False
    body: bool = False
    thing: bool = False


def subject_of(name: str) -> Subject:
    """What a class is about, by its name."""
    if JAPANESE.search(name):
        plain = folded(name)
        return Subject(any(one in plain for one in JAPANESE_PERSONS), any(one in plain for one in JAPANESE_BODIES))
    words = words_of(name)
    thing = any(one in THINGS for one in words)
    if thing and all(one not in THINGS or one in OF_A_PERSON for one in words):
        thing = not any(_singular(one) in PERSONS for one in words)  # `UserSettings` are somebody's
    while len(words) > 1 and words[-1] in DATA_WORDS:
        words.pop()
    head = _singular(words[-1]) if words else ""
    before = {_singular(one) for one in words[:-1]}
    person = head in PERSONS and not (head in NO_PERSONS and bool(before & NO_PERSONS[head]))
    if not person and head in INDIRECT:
        person = bool(before & PERSONS)
    return Subject(person and not thing, head in BODIES, thing)


def _singular(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


@dataclass(frozen=True, slots=True)
class Reading:
    """What a name of a field says: personal wherever it stands, or of people only.

    `beside`: also where others stand beside it that are so wherever they stand. `tells`: whether it tells that the
    class is about a person; the author's address does not make a package one.
    """

    sense: Sense
    direct: bool
    beside: bool = False
    tells: bool = False


def reading_of(name: str) -> Reading | None:
    """What a field's name says of a person; None where it says nothing."""
    plain = folded(name).strip("_")
    if JAPANESE.search(plain):
        return _japanese(plain)
    words = words_of(plain)
    if not words or words[0] in QUESTIONS:
        return None
    while len(words) > 1 and words[-1] in ENDINGS and tuple(words) not in DIRECT:
        words.pop()
    for length in range(min(4, len(words)), 0, -1):
        before = words[:-length]
        for tail in _spelt(words[-length:]):
            if tail in DIRECT:
                sense = DIRECT[tail]
                excluded = NOBODYS.get(sense, frozenset())
                if any(one in excluded for one in before):
                    return None
                return Reading(sense, direct=True, tells=sense.tells and not any(one in PERSONS for one in before))
            if tail in OF_PEOPLE:
                return _of_people(tail, before)
    return None


def _spelt(words: list[str]) -> tuple[Words, ...]:
    return tuple(dict.fromkeys((tuple(words), (*words[:-1], _singular(words[-1])))))


def _of_people(tail: Words, before: list[str]) -> Reading | None:
    sense = OF_PEOPLE[tail]
    if not before:
        return Reading(sense, direct=False, beside=tail in BESIDE)
    if before[-1] in QUALIFIERS and tail in OF_QUALIFIED:
        return Reading(sense, direct=True)
    return Reading(sense, direct=False) if sense in (WORK, LOOKS) and before[-1] in PERSONS else None


def _japanese(name: str) -> Reading | None:
    name = re.sub(r"[0-9_]+$", "", name)
    for table, direct in ((JAPANESE_DIRECT, True), (JAPANESE_OF_PEOPLE, False)):
        found = max(
            ((word, sense) for sense, text in table.items() for word in text.split() if _ends(name, word)),
            key=lambda one: len(one[0]),
            default=None,
        )
        if found is not None:
            before = name[: len(name) - len(found[0])]
            if any(one in before for one in JAPANESE_NOBODYS):
                return None
            return Reading(found[1], direct, beside=not direct, tells=direct and found[1].tells)
    return None


def _ends(name: str, word: str) -> bool:
    """Whether a name ends in a word; of one character, whether it is it."""
    return (
        name == word
        if len(word) == 1 or word in ("電話", "メール", "会社", "写真", "名前", "TEL", "携帯")
        else name.endswith(word)
    )
