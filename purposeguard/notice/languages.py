"""Language tags (BCP 47): a check that a tag is well-formed, and the choice of the nearest language.

Nothing here decides anything: titles and texts are for people.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

_GRANDFATHERED: Final = (
    "en-gb-oed i-ami i-bnn i-default i-enochian i-hak i-klingon i-lux i-mingo i-navajo i-pwn i-tao i-tay i-tsu "
    "sgn-be-fr sgn-be-nl sgn-ch-de"
)
"""Tags that RFC 5646 keeps although its grammar does not allow them."""

_TAG: Final = re.compile(
    rf"(?:{'|'.join(_GRANDFATHERED.split())}"
    r"|(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})"  # the language
    r"(?:-[a-z]{4})?"  # its script
    r"(?:-(?:[a-z]{2}|[0-9]{3}))?"  # a region
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"  # variants
    r"(?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*"  # extensions
    r"(?:-x(?:-[a-z0-9]{1,8})+)?"
    r"|x(?:-[a-z0-9]{1,8})+)",  # private use
    re.ASCII | re.IGNORECASE,
)


def is_well_formed(tag: str) -> bool:
    """Return True if `tag` is a language tag by the grammar of RFC 5646, such as `en`, `pt-BR` or `zh-Hant-TW`."""
    return _TAG.fullmatch(tag) is not None


def nearest_language(tags: Collection[str], language: str) -> str:
    """Return the best of the available tags for a requested language.

    The language itself comes first; then what remains when subtags are taken from its end (look-up, RFC 4647, section
    3.4); then the first tag of the same primary language; then the first tag.
    """
    tags_by_key = {tag.casefold(): tag for tag in tags}
    subtags = language.casefold().split("-")
    primary = subtags[0]
    while subtags:
        tag = tags_by_key.get("-".join(subtags))
        if tag is not None:
            return tag
        subtags.pop()
        if subtags and len(subtags[-1]) == 1:
            subtags.pop()  # A singleton means nothing without the subtags that follow it.
    first, *_ = tags
    return next((tag for tag in tags if tag.casefold().partition("-")[0] == primary), first)


def title_in(titles: Mapping[str, str], language: str) -> str:
    """Return the title in a language, or in the nearest language that there is."""
    return titles[nearest_language(titles, language)]
