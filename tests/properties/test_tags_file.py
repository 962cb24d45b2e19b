"""Classes that are tagged in `tags.toml` are decided as the same classes with their tags in the code."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.properties.classes import KINDS, make_class
from tests.unit.marked_rows import reading
from tests.unit.oversights import STOPPED, Office

FIELDS: Final = ("id", "email", "threats", "inner")
SOURCES: Final[Mapping[str, Any]] = {
    "1.1(a)": tm.Registration,
    "1.1(b)": tm.ProductData,
    "1.1(c)": tm.Contract,
    "not-personal": pg.NotPersonal,
}
GOVERNANCE: Final = Office({"7": STOPPED})
CODED: Final = pg.Guard(tm.NOTICE, governance=GOVERNANCE)


class FieldSpec(NamedTuple):
    """The tags of a field: ids of sources, and whether it names the subject of its row."""

    sources: frozenset[str]
    is_subject: bool

    def annotate(self, hint: Any) -> Any:
        tags = [SOURCES[source] for source in sorted(self.sources)] + [pg.Subject] * self.is_subject
        return Annotated[(hint, *tags)] if tags else hint

    def to_toml(self) -> str:
        sources = ", ".join(f'"{source}"' for source in sorted(self.sources or {"not-personal"}))
        return f"{{ source = [{sources}]{', subject = true' if self.is_subject else ''} }}"


personal = st.frozensets(st.sampled_from(sorted(SOURCES.keys() - {"not-personal"})), min_size=1)
sources = st.one_of(st.just(frozenset[str]()), st.just(frozenset({"not-personal"})), personal)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, FieldSpec]:
    """The tags of the fields of a class. A marked field has a source in a file, and so it has one in the code."""
    chosen = {name: FieldSpec(draw(sources), is_subject=False) for name in FIELDS}
    if draw(st.booleans()):
        chosen["id"] = FieldSpec(chosen["id"].sources or frozenset({"not-personal"}), is_subject=True)
    return chosen


class Pair(NamedTuple):
    """The classes of rows with their tags in the code, the same classes without tags, and the guard with the file."""

    coded: tuple[Any, Any]
    filed: tuple[Any, Any]
    guard: pg.Guard


def make_pair(folder: Path, kind: str, specs: Sequence[Mapping[str, FieldSpec]]) -> Pair:
    """Make a class of rows, and a class of the rows in them, by the tags of the fields of each."""
    classes: dict[str, list[Any]] = {"Coded": [], "Filed": []}
    lines: list[str] = []
    for name, made in classes.items():
        within: Any = type(None)
        for level, stated in zip(("Inner", "Outer"), specs, strict=True):
            hints: dict[str, Any] = {"id": int, "email": str, "threats": int, "inner": list[within]}
            if name == "Coded":
                hints = {field: stated[field].annotate(hint) for field, hint in hints.items()}
            else:
                lines.append(f'["{__name__}.Filed{level}"]')
                lines += [f"{field} = {spec.to_toml()}" for field, spec in stated.items() if spec.sources]
            within = make_class(kind, name + level, hints, module=__name__)
            within.__module__, within.__qualname__ = __name__, name + level
            made.append(within)
    path = folder / "tags.toml"
    path.write_text("\n".join(lines), "utf-8")
    inner, outer = classes["Coded"]
    filed_inner, filed_outer = classes["Filed"]
    return Pair((inner, outer), (filed_inner, filed_outer), pg.Guard(tm.NOTICE, governance=GOVERNANCE, tags=path))


def make_rows(inner: Any, outer: Any) -> list[Any]:
    """Make rows of two subjects, of whom one stopped all use."""
    rows: list[Any] = []
    for subject, other in ((1, 7), (7, 1), (2, 3)):
        within = [inner(id=number, email="b", threats=4, inner=[]) for number in (subject, other)]
        rows.append(outer(id=subject, email="a", threats=3, inner=within))
    return rows


def read(value: Any) -> object:
    """Return what is readable in a result."""
    if isinstance(value, list):
        return list(map(read, value))
    if isinstance(value, dict):
        return {name: read(part) for name, part in value.items()}
    if isinstance(value, (int, str)):
        return value
    shown: dict[str, object] = {}
    for name in FIELDS:
        with contextlib.suppress(pg.PurposeViolation):
            shown[name] = read(getattr(value, name))
    return shown


def find_outcome(run: Callable[[], object]) -> object:
    """Return what is readable in a result, or the class of the error that came instead."""
    try:
        return read(run())
    except (pg.PurposeGuardError, TypeError) as error:
        return type(error)


def list_outcomes(guard: pg.Guard, inner: Any, outer: Any, purpose: Any) -> dict[str, object]:
    """Return what each way of reading rows gives."""
    rows = make_rows(inner, outer)
    outcomes: dict[str, object] = {}
    with guard.purpose(purpose) as use:
        for options in ({}, {"withhold": True}, {"narrow": True}, {"withhold": True, "narrow": True}):
            outcomes[f"access {options}"] = find_outcome(lambda: reading(guard, list[outer], rows, **options)())  # noqa: B023, PLW0108  # declaring it may fail
        outcomes["withhold"] = find_outcome(lambda: use.withhold(rows))
        outcomes["withhold like"] = find_outcome(lambda: use.withhold(rows, like=list[outer]))
        if issubclass(outer, BaseModel):
            outcomes["dump of a copy"] = find_outcome(lambda: use.withhold(rows[0]).model_dump())
            outcomes["dump"] = find_outcome(lambda: rows[0].model_dump(mode="withhold"))
        outcomes["subject"] = find_outcome(lambda: guard.allows(tm.Registration, purpose, subject=rows[1]))
    return outcomes


@pytest.mark.parametrize("kind", [*KINDS, "PersonalModel"])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    inner=specs(), outer=specs(), purpose=st.sampled_from([tm.RenewalGuidance, tm.ProductProvision, tm.ProductGuidance])
)
def test_tags_in_the_file_decide_as_tags_in_the_code(
    tmp_path: Path, kind: str, inner: dict[str, FieldSpec], outer: dict[str, FieldSpec], purpose: Any
) -> None:
    pair = make_pair(tmp_path, kind, (inner, outer))
    assert list_outcomes(pair.guard, *pair.filed, purpose) == list_outcomes(CODED, *pair.coded, purpose)
    for read_tags in (pg.sources_of, pg.untagged):
        assert list(read_tags(pair.filed[1], tags=pair.guard.tags)) == list(read_tags(pair.coded[1]))
    # Another guard, which reads no file, knows none of these tags.
    assert pg.sources_of(pair.filed[1]) == {}
    assert find_outcome(lambda: reading(CODED, pair.filed[1], None)) is pg.UnlabelledData
