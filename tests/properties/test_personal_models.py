"""Models with sealed fields are written as the same models without: no more than may be used, and no less."""

from __future__ import annotations

import copy
import datetime
import decimal
import enum
import types
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    TypeAdapter,
    ValidationError,
    computed_field,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticSerializationError

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

ALL: Final = tm.ProductProvision
"""A purpose that may use every source below."""

SOME: Final = tm.RenewalGuidance
"""A purpose that may use some of them."""

SOURCES: Final = (tm.Registration, tm.Contract, tm.ProductData)
DENIED: Final[set[Any]] = {source for source in SOURCES if not pg.Guard(tm.NOTICE).allows(source, SOME)}
T = TypeVar("T")
LIST: Final[Any] = list
SEALED: Final[Any] = pg.Personal
GENERIC: Final[Any] = Generic
WITH_CLASS: Final[Any] = classmethod


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


TEXT = st.text("abcü<", max_size=4)
INSTANTS = st.datetimes(timezones=st.just(datetime.UTC))
LEAVES: Final[Mapping[Any, st.SearchStrategy[Any]]] = {
    str: TEXT, int: st.integers(-9, 9), float: st.floats(-9, 9), bool: st.booleans(), datetime.date: st.dates(),
    datetime.datetime: INSTANTS, datetime.timedelta: st.timedeltas(datetime.timedelta(0), datetime.timedelta(9)),
    decimal.Decimal: st.decimals(-9, 9, places=2), uuid.UUID: st.uuids(), Color: st.sampled_from(Color),
    Annotated[str, Field(max_length=3)]: TEXT, Annotated[int, Field(ge=0)]: st.integers(-3, 9),
    Annotated[str, AfterValidator(str.upper)]: TEXT, Literal["a", 1]: st.sampled_from(["a", 1]),
    list[str]: st.lists(TEXT, max_size=2), dict[str, int]: st.dictionaries(TEXT, st.integers(0, 9), max_size=2),
    tuple[int, str]: st.tuples(st.integers(0, 9), TEXT), int | str: st.one_of(st.integers(0, 9), TEXT),
    set[int]: st.sets(st.integers(0, 9), max_size=2), bytes: st.binary(max_size=2).filter(bytes.isascii),
}  # fmt: skip
"""Types of fields, with inputs of which some are not valid."""

CONFIGS: Final = st.fixed_dictionaries(
    {},
    optional={
        "extra": st.sampled_from(["ignore", "allow", "forbid"]), "frozen": st.just(True),
        "validate_assignment": st.just(True), "serialize_by_alias": st.booleans(), "use_enum_values": st.just(True),
        "revalidate_instances": st.just("always"), "ser_json_bytes": st.just("base64"),
        "validate_default": st.just(True), "str_strip_whitespace": st.just(True),
    },
)  # fmt: skip

ALIASES: Final[tuple[dict[str, str], ...]] = (
    {},
    {},
    {"alias": "{}Alias"},
    {"serialization_alias": "{}Out"},
    {"validation_alias": "{}In"},
)


@dataclass
class Pair:
    """A class without sealed fields and one with them, and what is known of their fields.

    `sources`: what is sealed, and under which source. `below`: the fields that hold models. `keys`: the key of a field
    in output by alias. `input_keys`: its key in the input.
    """

    plain: Any = None
    sealed: Any = None
    by_alias: bool = False
    takes_once: bool = False
    inputs: dict[str, st.SearchStrategy[Any]] = field(default_factory=dict)
    optional: set[str] = field(default_factory=set)
    sources: dict[str, type[pg.Source]] = field(default_factory=dict)
    below: dict[str, Pair] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    input_keys: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> st.SearchStrategy[dict[str, Any]]:
        """Inputs of both classes, of which some are not valid."""
        required = {self.input_keys[name]: inputs for name, inputs in self.inputs.items() if name not in self.optional}
        if self.takes_once:
            required["once"] = st.just(1)
        optional = {self.input_keys[name]: st.none() | self.inputs[name] for name in self.optional}
        return st.fixed_dictionaries(required, optional=optional)

    def split(self, written: Any, options: Mapping[str, Any]) -> tuple[Any, bool]:
        """What of a dump the purpose `SOME` may use, and whether it may use all that is in it."""
        if isinstance(written, list):
            parts = [self.split(part, options) for part in written]
            return [part for part, _ in parts], all(whole for _, whole in parts)
        if not isinstance(written, dict):
            return written, True
        by_alias = options.get("by_alias")
        renamed = self.by_alias if by_alias is None else by_alias
        fields = {self.keys[name] if renamed else name: name for name in self.inputs}
        kept: dict[str, Any] = {}
        whole = True
        for key, value in written.items():
            name = str(fields.get(key, key))
            if self.sources.get(name) in DENIED and value is not None:
                whole = False
            elif name in self.below:
                kept[key], inner_whole = self.below[name].split(value, options)
                whole = whole and inner_whole
            else:
                kept[key] = value
        return kept, whole


def double(cls: Any, value: Any) -> Any:
    return value * 2 if type(value) in {str, int, float} else value


def take_once(cls: Any, data: Any) -> Any:
    """Take a key out of the input itself, as a validator does that cannot run twice."""
    if isinstance(data, dict):
        del data["once"]
    return data


def read_all(self: Any) -> Any:
    for name in type(self).model_fields:
        getattr(self, name)
    return self


def count_fields(self: Any) -> int:
    return len(type(self).model_fields)


def fill_with(body: Mapping[str, Any]) -> Callable[[dict[str, Any]], None]:
    return lambda namespace: namespace.update(body)


@st.composite
def pairs(draw: st.DrawFn, depth: int = 2) -> Pair:
    """Two classes that differ in nothing but their sealed fields."""
    config = {**draw(CONFIGS), "populate_by_name": True}
    pair = Pair(by_alias=bool(config.get("serialize_by_alias")), takes_once=draw(st.integers(0, 9)) == 0)
    plain: dict[str, Any] = {"model_config": config}
    sealed: dict[str, Any] = {"model_config": config}
    members: dict[str, Any] = {}
    for name in "abcd"[: draw(st.integers(1, 4))]:
        hints = draw(hints_of(pair, name, depth))
        mode: Any = draw(st.sampled_from(["", "", "", "before", "after"]))
        # A validator after a sealed field would see the sealed value.
        if mode == "before" or (mode == "after" and name not in {*pair.sources, *pair.below}):
            members[f"validate_{name}"] = field_validator(name, mode=mode)(WITH_CLASS(double))
        aliases: dict[str, Any] = {kind: text.format(name) for kind, text in draw(st.sampled_from(ALIASES)).items()}
        pair.keys[name] = aliases.get("serialization_alias") or aliases.get("alias", name)
        pair.input_keys[name] = aliases.get("validation_alias") or aliases.get("alias", name)
        if draw(st.booleans()):
            pair.optional.add(name)
            hints = (hints[0] | None, hints[1] | None)
            aliases["default"] = None
        for namespace, hint in zip((plain, sealed), hints, strict=True):
            namespace.setdefault("__annotations__", {})[name] = hint
            namespace[name] = Field(**aliases)
    if pair.takes_once:
        members["take_once"] = model_validator(mode="before")(WITH_CLASS(take_once))
    if draw(st.integers(0, 5)) == 0:
        members["read_all"] = model_validator(mode="after")(read_all)
    if draw(st.integers(0, 9)) == 0:
        members["size"] = computed_field(return_type=int)(property(count_fields))
    bases: tuple[Any, ...] = ()
    parameter = draw(st.sampled_from([str, int, datetime.date])) if draw(st.integers(0, 9)) == 0 else None
    if parameter is not None:
        bases = (GENERIC[T],)
        pair.inputs["g"], pair.keys["g"], pair.input_keys["g"] = LEAVES[parameter], "g", "g"
        pair.sources["g"] = draw(st.sampled_from(SOURCES))
        plain["__annotations__"]["g"], sealed["__annotations__"]["g"] = T, SEALED[T, pair.sources["g"]]
    made: list[Any] = []
    for base, namespace in ((BaseModel, plain), (pg.PersonalModel, sealed)):
        body = {**members, **namespace, "__module__": __name__}
        cls: Any = types.new_class("Row", (base, *bases), {}, fill_with(body))
        made.append(cls if parameter is None else cls[parameter])
    pair.plain, pair.sealed = made
    return pair


@st.composite
def hints_of(draw: st.DrawFn, pair: Pair, name: str, depth: int) -> tuple[Any, Any]:
    """The annotation of a field in the class without sealed fields, and in the other one."""
    if depth and draw(st.integers(0, 4)) == 0:
        pair.below[name] = inner = draw(pairs(depth - 1))
        several = draw(st.booleans())
        pair.inputs[name] = st.lists(inner.rows, max_size=2) if several else inner.rows
        return (LIST[inner.plain], LIST[inner.sealed]) if several else (inner.plain, inner.sealed)
    hint = draw(st.sampled_from(list(LEAVES)))
    pair.inputs[name] = LEAVES[hint]
    if not draw(st.booleans()):
        return hint, hint
    pair.sources[name] = draw(st.sampled_from(SOURCES))
    return hint, SEALED[hint, pair.sources[name]]


NAMES = st.sets(st.sampled_from("abcdg"), min_size=1)
OPTIONS: Final = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.sampled_from(["python", "json"]), "by_alias": st.booleans(), "exclude_unset": st.booleans(),
        "exclude_defaults": st.booleans(), "exclude_none": st.booleans(), "round_trip": st.booleans(),
        "include": NAMES, "exclude": NAMES | st.dictionaries(st.sampled_from("abcd"), NAMES, min_size=1),
    },
)  # fmt: skip
"""Options of a dump. Most have few, as in applications."""


def keep(model: Any) -> Any:
    return model


PREPARATIONS: Final[tuple[Callable[[Any], Any], ...]] = (
    keep, keep, keep, read_all, vars, repr, copy.copy, copy.deepcopy, BaseModel.model_copy, dict,
    lambda model: model == model,  # noqa: PLR0124  # it reads the fields
)  # fmt: skip
"""What an application does with a model before it is written. Those that return a model replace it."""


def written(model: Any, way: str, options: Mapping[str, Any]) -> Any:
    """A dump in one of the ways that pydantic has."""
    options = dict(options)
    if way == "adapter":
        return TypeAdapter(LIST[type(model)]).dump_python(
            [model, model], **{**options, "include": None, "exclude": None}
        )
    if way == "json":
        options.pop("mode", None)
        return model.model_dump_json(**options)
    if way == "adapter json":
        for name in ("mode", "include", "exclude"):
            options.pop(name, None)
        return TypeAdapter(LIST[type(model)]).dump_json([model, model], **options)
    return model.model_dump(**options)


def validate(cls: Any, row: Any) -> Any:
    try:
        return cls.model_validate(copy.deepcopy(row))
    except ValidationError as error:
        return error


def check_dumps(data: st.DataObject) -> None:
    pair = data.draw(pairs())
    row = data.draw(pair.rows)
    plain, sealed = (validate(cls, row) for cls in (pair.plain, pair.sealed))
    if isinstance(plain, ValidationError):
        assert isinstance(sealed, ValidationError)
        assert len(sealed.errors()) == len(plain.errors())
        return
    prepared = data.draw(st.sampled_from(PREPARATIONS))(sealed)
    sealed = prepared if isinstance(prepared, pg.PersonalModel) else sealed
    guard = pg.Guard(tm.NOTICE)
    for _ in range(2):
        options = data.draw(OPTIONS)
        way = data.draw(st.sampled_from(["python", "json", "adapter", "adapter json"]))
        expected = written(plain, way, options)
        with guard.purpose(ALL):
            for _ in range(2):  # The first one shows that all may be used.
                assert written(sealed, way, options) == expected
        if way.endswith("json"):
            continue
        permitted, whole = pair.split(expected, options)
        with guard.purpose(SOME):
            if whole:
                assert written(sealed, way, options) == expected
            else:
                with pytest.raises((pg.PurposeViolation, PydanticSerializationError)):
                    written(sealed, way, options)
            assert written(sealed, way, {**options, "context": {"withhold": True}}) == permitted


@given(data=st.data())
def test_random_models_are_written_as_plain_ones(data: st.DataObject) -> None:
    check_dumps(data)


@pytest.mark.deep
@settings(max_examples=10_000)
@given(data=st.data())
def test_ten_thousand_random_models_are_written_as_plain_ones(data: st.DataObject) -> None:
    check_dumps(data)
