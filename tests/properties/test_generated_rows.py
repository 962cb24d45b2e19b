"""Generated classes and values: what a compiled plan allows and leaves is what a slow specification of it says.

The specification goes through a value field by field, by the tags that the field was made with, and asks `policy.spec`
of each. It knows no plan, no cache and no class that was prepared. `make test-all` compares 10⁵ answers.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Collection, Mapping
from types import GenericAlias
from typing import Annotated, Any, Final, NamedTuple

import pytest
from hypothesis import settings

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy import spec
from purposeguard.values.withheld import GONE
from tests.properties.classes import KINDS, make_class

guard = pg.Guard(tm.NOTICE)

TREES: Final = 3 if settings().max_examples < 20 else 20
"""Classes, with those inside them, of each seed: 20 in `make test-all`."""
SEEDS: Final = range(20)
VALUES, ASKED = 7, 6
"""Values of each class, and purposes for which each is asked for: twice, by an access function and by withholding."""


class Field(NamedTuple):
    """A field as it was made: its tags, the container that it is (`""`: none), and the class that is in it."""

    tags: frozenset[type[pg.Source]]
    container: str
    inner: Node | None


class Node(NamedTuple):
    """A generated class, and of which kind it is."""

    kind: str
    cls: Any
    fields: Mapping[str, Field]

    @property
    def sources(self) -> frozenset[type[pg.Source]]:
        own = (field.tags | (field.inner.sources if field.inner else frozenset()) for field in self.fields.values())
        return frozenset().union(*own)


@functools.cache
def channel_of(purpose: type[pg.Purpose]) -> str | None:
    """A channel that the purpose admits, where an activity has to state one."""
    channels = next(row.channels for row in tm.NOTICE.document.purposes if row.id == purpose.clause)
    return channels.closed[0] if channels is not None and channels.closed is not None else None


@functools.cache
def permits(source: type[pg.Source], purpose: type[pg.Purpose]) -> bool:
    return spec.permits(tm.NOTICE.document, [source.clause], purpose.clause, channel_of(purpose))


def may_all(sources: Collection[type[pg.Source]], purpose: type[pg.Purpose]) -> bool:
    return all(permits(source, purpose) for source in sources)


CONTAINERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "": lambda inner: inner,
    "optional": lambda inner: inner | None,
    "list": lambda inner: GenericAlias(list, (inner,)),
    "tuple": lambda inner: GenericAlias(tuple, (inner, ...)),
    "dict": lambda inner: GenericAlias(dict, (str, inner)),
}


def fields_of(chance: random.Random, prefix: str, depth: int) -> tuple[dict[str, Field], dict[str, Any]]:
    fields: dict[str, Field] = {}
    hints: dict[str, Any] = {}
    for number in range(chance.randint(1, 4)):
        inner = node_of(chance, depth - 1) if depth and chance.random() < 0.4 else None
        container = chance.choice(list(CONTAINERS)) if inner else ""
        tags = frozenset(chance.sample(tm.NOTICE.sources, chance.choice([1, 1, 2]))) if chance.random() < 0.6 else ()
        hint: Any = CONTAINERS[container](inner.cls) if inner else int
        name = f"{prefix}{number}"
        fields[name] = Field(frozenset(tags), container, inner)
        hints[name] = Annotated[hint, *tags] if tags else hint
    return fields, hints


def node_of(chance: random.Random, depth: int) -> Node:
    kind = chance.choice(KINDS)
    fields, hints = fields_of(chance, "field", depth)
    return Node(kind, make_class(kind, "Row", hints), fields)


def submake_class(chance: random.Random, node: Node) -> Node:
    """A class that comes where the other was announced, and has fields of its own."""
    fields, hints = fields_of(chance, "own", 0)
    return Node(node.kind, make_class(node.kind, "Below", hints, node.cls), {**node.fields, **fields})


def value_of(chance: random.Random, node: Node) -> Any:
    values = {name: content_of(chance, field) for name, field in node.fields.items()}
    return node.cls.model_construct(**values) if node.kind == "pydantic" else node.cls(**values)


def content_of(chance: random.Random, field: Field) -> Any:
    inner = field.inner
    if inner is None:
        return chance.randrange(1000)
    if field.container == "optional":
        return value_of(chance, inner) if chance.random() < 0.7 else None
    if not field.container:
        return value_of(chance, inner)
    items = [value_of(chance, inner) for _ in range(chance.randint(0, 3))]
    return (
        {str(number): item for number, item in enumerate(items)}
        if field.container == "dict"
        else (tuple(items) if field.container == "tuple" else items)
    )


def seen(value: Any, node: Node, gone: Callable[[Field], bool]) -> Any:
    """All that a reader gets of a value, where these fields are not to be read."""
    return {
        name: GONE if gone(field) else inside(read(value, name), field, gone) for name, field in node.fields.items()
    }


def inside(content: Any, field: Field, gone: Callable[[Field], bool]) -> Any:
    if field.inner is None or content is None or content is GONE:
        return content
    if field.container == "dict":
        return {key: seen(item, field.inner, gone) for key, item in content.items()}
    if field.container in {"list", "tuple"}:
        return type(content)(seen(item, field.inner, gone) for item in content)
    return seen(content, field.inner, gone)


def read(value: Any, name: str) -> Any:
    try:
        return value.get(name, GONE) if isinstance(value, dict) else getattr(value, name)
    except pg.PurposeViolation:
        return GONE


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_left_is_what_the_specification_leaves(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(TREES):
        node = next(node for node in iter(lambda: node_of(chance, 2), None) if node.sources)
        rows = [(node, value_of(chance, node)) for _ in range(VALUES)]
        if node.kind in {"pydantic", "dataclass", "attrs"}:
            below = submake_class(chance, node)
            rows[0] = below, value_of(chance, below)

        def load(number: int) -> Any:
            return rows[number][1]  # noqa: B023  # called in this turn

        load.__annotations__["return"] = node.cls
        read_all = guard.access(load)
        withholding = guard.access(withhold=True)(load)
        for purpose in chance.sample(tm.NOTICE.purposes, ASKED):
            with guard.purpose(purpose, channel=channel_of(purpose)):
                for number, (comes, value) in enumerate(rows):
                    expected = seen(value, comes, lambda field: not may_all(field.tags, purpose))  # noqa: B023
                    assert seen(withholding(number), comes, lambda _: False) == expected
                    if may_all(node.sources, purpose):
                        assert read_all(number) is value
                    else:
                        with pytest.raises(pg.PurposeViolation):
                            read_all(number)
