"""What hypothesis makes of the library's types by itself, once it runs the entry point."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import strategies as st

import purposeguard as pg
from purposeguard import Personal
from purposeguard.notice.vocabulary import TermMeta
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing.registering import register
from purposeguard.testing.values import simplest

ROOT = Path(__file__).resolve().parents[3]

register()  # as hypothesis does where the library is installed


class Model(pg.PersonalModel):
    email: Personal[str, tm.Registration]
    device: Annotated[str, tm.ProductData]


@dataclass
class Row:
    email: Personal[str, tm.Registration | tm.Contract]
    label: pg.Label


def test_a_sealed_value_is_drawn_by_its_type() -> None:
    sealed = simplest(st.from_type(Personal[int, tm.Contract]))
    assert sealed.label is pg.Label(tm.Contract)
    with pg.Guard(tm.NOTICE).purpose(tm.RenewalGuidance) as use:
        assert use.open(sealed) == 0
    assert isinstance(simplest(st.from_type(Personal)), Personal)


def test_models_with_sealed_fields_are_built() -> None:
    assert simplest(st.builds(Model)).email.label is pg.Label(tm.Registration)
    assert simplest(st.from_type(Row)).email.label is pg.Label(tm.Registration, tm.Contract)


@pytest.mark.parametrize("cls", [pg.Label, pg.Notice, pg.Family, TermMeta], ids=lambda cls: cls.__name__)
def test_types_of_the_library_are_known(cls: Any) -> None:
    assert isinstance(simplest(st.from_type(cls)), cls)


def test_the_entry_point_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["hypothesis"]
    (entry,) = (importlib.metadata.EntryPoint(name, value, "hypothesis") for name, value in declared.items())
    assert entry.load() is register


def test_registering_is_cheap() -> None:
    """What is drawn is imported when it is; and the library imports no hypothesis."""
    program = """
import sys
import purposeguard.testing
from purposeguard.testing.registering import register
assert "hypothesis" not in sys.modules
import hypothesis
register()
assert "purposeguard.testing.strategies" not in sys.modules
assert "purposeguard.notices.trendmicro_jp" not in sys.modules
"""
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        check=True,
        env={"HYPOTHESIS_NO_PLUGINS": "1", "PYTHONPATH": str(ROOT)},
    )
