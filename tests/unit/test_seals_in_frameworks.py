"""Frameworks that take the text of any value, to store it or to show it, get none of a sealed one."""

from __future__ import annotations

from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

SEAL = pg.Personal("Aiko", tm.Registration)

TEXTS = {
    "str": "str(value)",
    "repr": "repr(value)",
    "an f-string": "f'{value}'",
    "format": "'{}'.format(value)",
    "percent": "'%s' % value",
    "a list of them": "str([value])",
    "a joined map": "''.join(map(str, [value]))",
}


def text_in(module: str, expression: str) -> Any:
    """What an expression in a module of this name gives."""
    names = {"__name__": module, "value": SEAL}
    return eval(expression, names)  # noqa: S307  # the expressions above


@pytest.mark.parametrize("module", ["django.db.models.fields", "rest_framework.fields", "http.cookies"])
@pytest.mark.parametrize("expression", TEXTS.values(), ids=TEXTS.keys())
def test_code_that_stores_or_shows_gets_no_text(module: str, expression: str) -> None:
    with pytest.raises(pg.SealedValue, match="not stored"):
        text_in(module, expression)


@pytest.mark.parametrize("module", ["shop.views", "logging", "django_shop.models", "httpx"])
@pytest.mark.parametrize("expression", TEXTS.values(), ids=TEXTS.keys())
def test_other_code_gets_the_seal(module: str, expression: str) -> None:
    assert "<sealed 1.1(a)>" in text_in(module, expression)
