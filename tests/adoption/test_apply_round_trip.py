"""Tags that `purposeguard adopt apply` wrote into code are those of the file, for generated modules of each kind."""

import importlib
import itertools
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from purposeguard.adapters.sqlalchemy.tags import MappedTables
from purposeguard.adapters.tags import Tag, columns_of
from purposeguard.cli.adopt.apply import write_files
from purposeguard.cli.adopt.rewriting import rewrite
from purposeguard.cli.adopt.source_files import iter_source_files
from purposeguard.cli.adopt.tag_plan import TagPlanner, Vocabulary
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.project.tags import FieldTag, TagFile

_NUMBERS = itertools.count()
_HEAD = """\
import dataclasses
from typing import Annotated, List, NamedTuple, Optional, TypedDict

import attrs
from pydantic import BaseModel, Field
from sqlalchemy import Column, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlmodel import SQLModel

Short = Annotated[str, 50]


class Base(DeclarativeBase):
    type_annotation_map = {Short: String(50)}


"""
_CLASSES = {
    "pydantic": "class {name}(BaseModel):\n",
    "sqlmodel": "class {name}(SQLModel):\n",
    "dataclass": "@dataclasses.dataclass\nclass {name}:\n",
    "attrs": "@attrs.define\nclass {name}:\n",
    "typeddict": "class {name}(TypedDict):\n",
    "namedtuple": "class {name}(NamedTuple):\n",
    "mapped": (
        'class {name}(Base):\n    __tablename__ = "{name}"\n    key: Mapped[int] = mapped_column(primary_key=True)\n'
    ),
}
_FIELDS = ("{}: str", "{}: Optional[str]", '{}: "str"', "{}: Short", "{}: List[str]", "{}: Annotated[str, 'remark']")
_MAPPED_FIELDS = (
    "{}: Mapped[str]",
    "{}: Mapped[Optional[str]]",
    '{}: Mapped["str"]',
    '{}: "Mapped[str]"',
    "{}: Mapped[Short]",
    "{}: Mapped[str] = mapped_column(String(3), nullable=False)",
    "{} = Column(String(3))",
    "{} = Column(\n        String(3),\n        info={{'other': 1}},\n    )",
)
_SOURCES = ("1.1(a)", "1.1(b)", "1.1(c)", "2.3", "not-personal")
_MARKS = (None, "subject", "collected", "ended")


@st.composite
def modules(draw: st.DrawFn) -> tuple[str, dict[str, dict[str, str]]]:
    """Draw the source of a module, and class → field → tag as `tags.toml` writes it."""
    source, tags = _HEAD, dict[str, dict[str, str]]()
    for number in range(draw(st.integers(1, 4))):
        kind, name = draw(st.sampled_from(sorted(_CLASSES))), f"Class{number}"
        source += _CLASSES[kind].format(name=name)
        tags[name] = {"key": '"not-personal"'} if kind == "mapped" else {}
        for index in range(draw(st.integers(1, 4))):
            field = f"field_{index}"
            source += f"    {draw(st.sampled_from(_MAPPED_FIELDS if kind == 'mapped' else _FIELDS)).format(field)}\n"
            chosen = draw(st.sampled_from(_SOURCES) | st.lists(st.sampled_from(_SOURCES[:4]), min_size=1, unique=True))
            mark = draw(st.sampled_from(_MARKS)) if index == 0 else None
            written = str(chosen).replace("'", '"') if isinstance(chosen, list) else f'"{chosen}"'
            tags[name][field] = written if mark is None else f"{{ source = {written}, {mark} = true }}"
        source += "\n\n"
    return source, tags


@contextmanager
def fresh_import(folder: Path, name: str) -> Iterator[Any]:
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(name)


def read_code(module: Any, name: str) -> Mapping[str, Tag]:
    """Return the tags of a class as a guard reads them."""
    cls = getattr(module, name)
    if hasattr(cls, "__table__"):
        return MappedTables(tm.NOTICE, [module.Base], []).find(cls.__table__)[1]
    return columns_of(tm.NOTICE, cls)


def to_tag(tag: FieldTag) -> Tag:
    assert tag.sources is not None
    return Tag(tag.sources, mark=tag.marks[0] if tag.marks else None)


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n\n"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=modules())
def test_code_states_afterwards_what_the_file_states(future: str, drawn: tuple[str, dict[str, dict[str, str]]]) -> None:
    source, written = drawn
    # In a file with the import, a text in quotes is a text within a text.
    source = future + (source.replace('"Mapped[str]"', "Mapped[str]") if future else source)
    name, after = (f"round_trip_{next(_NUMBERS)}" for _ in range(2))
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory).resolve()
        path = root / f"{name}.py"
        path.write_text(source, "utf-8")
        lines: list[str] = []
        for cls, fields in written.items():
            lines += [f'["{name}.{cls}"]', *(f"{field} = {tag}" for field, tag in fields.items())]
        (root / "tags.toml").write_text("\n".join(lines), "utf-8")
        tags = TagFile.read(root / "tags.toml", tm.NOTICE)
        with fresh_import(root, name):
            planner = TagPlanner(tags, Vocabulary(tm.__name__, "tm", tm.NOTICE))
            (file,) = iter_source_files(root)
            planner.read(file)
            plan = planner.finish()
        assert (plan.left, plan.faults, plan.failures) == ([], [], [])
        changed = rewrite(file.content, plan.edits[path])
        write_files({path: file.content}, {path: changed})
        path.rename(root / f"{after}.py")
        with fresh_import(root, after) as module:
            for cls, fields in written.items():
                stated = tags.find_class(name, cls)
                assert stated is not None
                present = read_code(module, cls)
                assert {field: present[field] for field in fields} == {field: to_tag(stated[field]) for field in fields}
