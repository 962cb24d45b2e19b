"""Whatever holds a sealed value prints, dumps and comes apart without showing it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.bypass.render import WAYS, shown
from tests.bypass.seal_kinds import HOLDERS, seals
from tests.bypass.seal_looking import MARKS, TEXT, leaks

LIMITS = {"referents"}
"""Ways that docs/explanation/limits.md lists: the garbage collector finds everything."""

SEALED = ["model", "frozen model", "personal model", "root model", "outer model", "pydantic dataclass"]
"""Holders whose fields say that they are sealed, under sources that are left open."""


@pytest.mark.parametrize("name", [name for name in HOLDERS if name not in SEALED])
def test_a_holder_shows_a_plain_value(name: str) -> None:
    """What holds nothing that could be seen would prove nothing."""
    assert leaks(HOLDERS[name](TEXT))


@pytest.mark.parametrize("name", SEALED)
def test_a_holder_of_sealed_fields_takes_no_plain_value(name: str) -> None:
    with pytest.raises(ValidationError, match="is not sealed") as caught:
        HOLDERS[name](TEXT)
    assert leaks(caught.value, frames="purposeguard") == []


@pytest.mark.parametrize("name", list(HOLDERS))
def test_no_way_shows_what_is_sealed_in_a_holder(name: str) -> None:
    found: dict[str, Any] = {}
    for kind in ("text", "mapped", "dict", "model"):
        for way, ask in WAYS.items():
            text = shown(ask, HOLDERS[name](seals()[kind])).lower()
            if way not in LIMITS and any(mark in text for mark in MARKS):
                found[f"{way} of {kind}"] = text
    assert found == {}


@pytest.mark.parametrize("name", list(HOLDERS))
def test_a_reporter_that_walks_attributes_slots_and_items_finds_seals_only(name: str) -> None:
    for kind, one in seals().items():
        assert leaks(HOLDERS[name](one)) == [], kind
