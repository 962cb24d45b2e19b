"""Constants of the code under test are found in it, and a branch on one among many is found by noninterference."""

from __future__ import annotations

import datetime
import importlib
import itertools
import py_compile
import random
import re
import sys
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import Phase, seed, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model

from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing._constants import Constants, collect_constants
from purposeguard.testing._drawing import Drawing
from purposeguard.testing.failures import Interference
from purposeguard.testing.interference import noninterference
from purposeguard.testing.values import simplest
from tests.testing.noninterference.proving import guard

_DICE = random.Random(5)
MANY = 200
WHICH = 30
CODES = [f"{''.join(_DICE.choices('ABCDEFGH', k=3))}-{number}" for number in range(1000, 1000 + MANY)]
NUMBERS = _DICE.sample(range(10**6, 9 * 10**6), MANY)
DAYS = [datetime.date(1990, 1, 1) + datetime.timedelta(days=n) for n in _DICE.sample(range(12_000), MANY)]
PRICES = [f"{n / 100:.2f}" for n in _DICE.sample(range(10**5, 10**7), MANY)]

BRANCHES: dict[str, list[str]] = {
    "str": list(map(repr, CODES)),
    "int": list(map(str, NUMBERS)),
    "date": [f"datetime.date({day.year}, {day.month}, {day.day})" for day in DAYS],
    "Decimal": [f"Decimal({price!r})" for price in PRICES],
}
"""Type → 200 constants as code writes them."""

count = itertools.count()


def import_code(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, source: str) -> Any:
    """Import code as a module of its own."""
    name = f"code_with_constants_{next(count)}"
    (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module(name)
    monkeypatch.setitem(sys.modules, name, module)
    return module


class Item(BaseModel):
    value: Annotated[str, tm.ProductData]


def model_of(annotation: Any) -> type[BaseModel]:
    return create_model("One", name=Annotated[str, tm.Registration], value=Annotated[annotation, tm.ProductData])


class Holder(BaseModel):
    name: Annotated[str, tm.Registration]
    value: list[Item]


CASES: dict[str, tuple[type[BaseModel], str]] = {
    "str": (model_of(str), "str"),
    "pattern": (model_of(Annotated[str, Field(pattern=r"^[A-Z]{3}-\d{4}$")]), "str"),
    "int": (model_of(int), "int"),
    "bounded int": (model_of(Annotated[int, Field(ge=0, le=10**7)]), "int"),
    "date": (model_of(datetime.date), "date"),
    "Decimal": (model_of(Decimal), "Decimal"),
    "items": (Holder, "str"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_branch_on_one_constant_among_many_is_found_with_each_seed(case, tmp_path, monkeypatch):
    model, kind = CASES[case]
    lines = ["import datetime", "from decimal import Decimal", "", "def is_special(value):"]
    for number, constant in enumerate(BRANCHES[kind]):
        lines.append(f"    if value == {constant}: return {number == WHICH}")
    code = import_code(tmp_path, monkeypatch, "\n".join([*lines, "    return False"]))

    def body(one: Any) -> bool:
        values = [item.value for item in one.value] if isinstance(one, Holder) else [one.value]
        return any(map(code.is_special, values))

    body.__annotations__["one"] = model
    body.__module__ = code.__name__
    for number in range(10):
        test = seed(number)(noninterference(guard, tm.RenewalGuidance)(body))
        with pytest.raises(Interference):
            settings(max_examples=30, database=None, deadline=None, phases=[Phase.generate])(test)()


SOURCE = '''
"""Docstring of the module."""
from __future__ import annotations
import datetime
from decimal import Decimal

TABLE = {"in a table": [1234, b"bytes"]}


class Model:
    """Docstring of the class."""

    field: "annotation" = "default"

    def method(self, x: "of a parameter") -> "of a result":
        """Docstring of the method."""
        def nested():
            return f"in a text {x}" if x.startswith("prefix") else -77

        return nested, 60 * 60, {"in", "a set"}, datetime.date(2024, 4, 1), Decimal("19.99")
'''


def test_constants_of_code_are_read_with_their_neighbors(tmp_path, monkeypatch):
    constants = collect_constants(import_code(tmp_path, monkeypatch, SOURCE).__name__)
    texts = constants.of(str)
    assert {"in a table", "default", "in a text ", "prefix", "aprefixa", "a set"} <= set(texts)
    assert not [text for text in texts if re.search("Docstring|annotation|of a (parameter|result)", text)]
    assert {1234, -77, 3600, 3601, 3599} <= set(constants.of(int))
    assert b"bytes" in constants.of(bytes)
    assert constants.of(Decimal)[0] == Decimal("19.99")
    days = constants.of(datetime.date)
    assert days[0] == datetime.date(2024, 4, 1)
    assert {datetime.date(2024, 4, 2), datetime.date(2024, 3, 31)} <= set(days)


def test_constants_of_code_without_its_source_are_read(tmp_path, monkeypatch):
    source = tmp_path / "compiled_code.py"
    source.write_text('def fn(x):\n    """Docstring."""\n    return lambda: x == "without source"\n', encoding="utf-8")
    py_compile.compile(str(source), cfile=str(tmp_path / "compiled_code.pyc"))
    source.unlink()
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("compiled_code")
    monkeypatch.setitem(sys.modules, "compiled_code", module)
    texts = collect_constants("compiled_code").of(str)
    assert "without source" in texts
    assert "Docstring." not in texts


def test_constants_of_changed_code_are_read_again(tmp_path, monkeypatch):
    module = import_code(tmp_path, monkeypatch, "def fn(x): return x == 'before the change'")
    assert "before the change" in collect_constants(module.__name__).of(str)
    (tmp_path / f"{module.__name__}.py").write_text("def fn(x): return x == 'after it'", encoding="utf-8")
    assert "after it" in collect_constants(module.__name__).of(str)


class Both(BaseModel):
    code: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    number: Annotated[int, Field(ge=0, le=9)]


def test_the_nth_constant_is_taken_where_it_is_valid():
    constants = Constants(["AB", "long", "CD", 7, 70])

    @st.composite
    def draw_nth(draw: Any, nth: int) -> Any:
        return Drawing(draw, constants=constants, nth=nth).instance(Both)

    assert simplest(draw_nth(0)) == Both(code="AB", number=7)
    assert simplest(draw_nth(1)) == Both(code="CD", number=8)  # a neighbor
    assert simplest(draw_nth(9)).number == 0  # there are fewer
