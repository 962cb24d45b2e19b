"""Tags in `tags.toml`: they mean the same as tags in the code, and the two must agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, create_engine, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, composite, mapped_column, sessionmaker

from purposeguard import Guard, Label, NoticeError, NotPersonal
from purposeguard.adapters.sqlalchemy import GuardedSession, protect
from purposeguard.adapters.sqlalchemy.tags import EveryTable, MappedTables
from purposeguard.adapters.tags import Columns, Tag
from purposeguard.errors import PurposeGuardError, UnlabelledData
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import PurposeViolation
from purposeguard.project.tags import TagFile
from purposeguard.values.markers import Collected, Ended, Subject
from tests.support import RecordingReads

NOTHING = Tag()


class Base(DeclarativeBase): ...


class Point:
    def __init__(self, street: str, city: str) -> None:
        self.street, self.city = street, city


class Person(Base):
    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    mail: Mapped[str] = mapped_column("email")
    nickname: Mapped[str]
    street: Mapped[str]
    city: Mapped[str]
    home: Mapped[Point] = composite("street", "city")


class Employee(Person):
    __tablename__ = "employee"
    id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
    salary: Mapped[int]


class Plan(Base):
    __tablename__ = "plan"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


class Half(Base):
    __tablename__ = "half"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[Annotated[str, tm.Registration]]
    note: Mapped[str]


class Later(Base):
    __tablename__ = "later"
    id: Mapped[Annotated[int, Subject]] = mapped_column(primary_key=True)


PERSON = f"""\
["{__name__}.Person"]
id = {{ source = "not-personal", subject = true }}
mail = "1.1(a)"
nickname = "undecided"
home = "1.1(c)"

["{__name__}.Employee"]
id = "not-personal"
salary = "1.1(b)"

["{__name__}.Pl*"]
id = "not-personal"
title = "not-personal"
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], TagFile]:
    def read_text(text: str) -> TagFile:
        path = tmp_path / "tags.toml"
        path.write_text(text, "utf-8")
        return TagFile.read(path, tm.NOTICE)

    return read_text


def tags(file: TagFile | None, table: Any, **others: Any) -> Columns:
    tables = MappedTables(tm.NOTICE, (table.metadata,), others.get("not_personal", ()), others.get("tags", {}), file)
    return tables.find(getattr(table, "__table__", table))[1]


def test_entries_of_classes_and_tables_tag_columns(read: Callable[[str], TagFile]) -> None:
    file = read(PERSON)
    registered, contract = Tag(Label(tm.Registration)), Tag(Label(tm.Contract))
    assert dict(tags(file, Person)) == {
        "id": Tag(mark=Subject),
        "email": registered,
        "street": contract,
        "city": contract,
    }
    assert dict(tags(file, Employee)) == {"id": NOTHING, "salary": Tag(Label(tm.ProductData))}
    assert dict(tags(file, Plan)) == {"id": NOTHING, "title": NOTHING}
    table = Table("lead", MetaData(schema="crm"), Column("mail", String), Column("at", Integer), Column("x", Integer))
    lead = read(
        '["table crm.lead"]\nmail = ["1.1(a)", "by-row"]\n["table lead"]\nat = "not-personal"\nold = "1.1(a)"\n'
    )
    assert dict(tags(lead, table)) == {"mail": Tag(Label(tm.Registration), by_row=True), "at": NOTHING}


def test_a_subclass_may_name_the_fields_of_its_base(read: Callable[[str], TagFile]) -> None:
    file = read(f'["{__name__}.Employee"]\nmail = "1.1(a)"\n')
    assert dict(tags(file, Person)) == {"email": Tag(Label(tm.Registration))}
    with pytest.raises(NoticeError, match=r"the file says Label\(1\.1\(b\)\), and `.*Employee` \(line 2\) says"):
        tags(read(f'["{__name__}.Employee"]\nmail = "1.1(a)"\n["table person"]\nemail = "1.1(b)"\n'), Person)


def test_the_file_completes_the_code(read: Callable[[str], TagFile]) -> None:
    file = read(f'["{__name__}.Half"]\nemail = "undecided"\nnote = "undecided"\n["table later"]\nid = "1.1(a)"\n')
    assert dict(tags(file, Half)) == {"id": NOTHING, "email": Tag(Label(tm.Registration))}
    assert dict(tags(file, Later)) == {"id": Tag(Label(tm.Registration), mark=Subject)}
    outside = {Plan: {"id": NotPersonal, "title": tm.Contract}}
    assert dict(tags(read('["table plan"]\ntitle = "1.1(c)"\n'), Plan, tags=outside))["title"].label is Label(
        tm.Contract
    )


@pytest.mark.parametrize(
    ("text", "table", "others", "message"),
    [
        ('["table half"]\nemail = "1.1(b)"\n', Half, {}, "says Label(1.1(b)), and the annotation in the code says"),
        ('["table half"]\nemail = "not-personal"\n', Half, {}, "and the annotation in the code says Label(1.1(a))"),
        ('["table later"]\nid = { source = "1.1(a)", ended = true }\n', Later, {}, "the file says (Ended,), and"),
        ('["table plan"]\ntitle = "1.1(a)"\n', Plan, {"not_personal": [Plan]}, "says Label(not-personal)"),
        ('["table plan"]\ntitle = "1.1(a)"\n', Plan, {"tags": {Plan: {"title": tm.Contract}}}, "says Label(1.1(c))"),
    ],
)
def test_the_file_and_the_code_must_agree(
    read: Callable[[str], TagFile], text: str, table: Any, others: dict[str, Any], message: str
) -> None:
    file = read(text)
    with pytest.raises(NoticeError) as caught:
        tags(file, table, **others)
    (fault,) = caught.value.faults
    assert (fault.file, fault.line, fault.column) == (file.path, 2, 1)
    assert message in fault.message


def test_a_marked_column_must_be_decided(read: Callable[[str], TagFile]) -> None:
    for text in ('id = { source = "undecided", subject = true }', 'id = "undecided"'):
        with pytest.raises(UnlabelledData, match=r"`later\.id` is marked Subject and undecided, by `table later`"):
            tags(read(f'["table later"]\n{text}\n'), Later)


def test_the_guard_brings_the_file(read: Callable[[str], TagFile]) -> None:
    guard = Guard(tm.NOTICE, tags=read(PERSON.replace(", subject = true", "")))
    engine = protect(create_engine("sqlite://"), guard, Base)
    Base.metadata.create_all(engine)
    make = sessionmaker(engine, class_=GuardedSession)
    with guard.purpose(tm.RenewalGuidance), make() as session:
        session.execute(insert(Plan).values(id=1, title="small"))
        assert session.scalars(select(Plan.title)).all() == ["small"]
        assert session.scalars(select(Person.mail)).all() == []
        with pytest.raises(UnlabelledData, match=r"`person\.nickname` carries no tag"):
            session.scalars(select(Person.nickname))
        with pytest.raises(PurposeViolation, match="product-data"):
            session.scalars(select(Employee.salary))
    wrong = Guard(tm.NOTICE, tags=read('["table half"]\nemail = "1.1(b)"\n'))
    with pytest.raises(NoticeError, match="the annotation in the code says"):
        protect(create_engine("sqlite://"), wrong, Base)


def test_mapped_tables_count_before_those_of_migrations(read: Callable[[str], TagFile]) -> None:
    every_table = EveryTable()  # Other modules of tests map tables of the same names.
    for table in Base.metadata.tables.values():
        every_table._add(table, Base.metadata)
    for mapper in Base.registry.mappers:
        every_table._add_mapped(mapper, None)
    reads = RecordingReads()
    guard = Guard(tm.NOTICE, mode="observe", tags=read(PERSON.replace(", subject = true", "")), observers=[reads])
    engine = protect(create_engine("sqlite://"), guard, every_table)
    Base.metadata.create_all(engine)
    reflected = MetaData()
    reflected.reflect(engine)
    migrated = [Table("person", MetaData(), Column("email", String)) for _ in range(5)]
    assert every_table.tables["person"] is Person.__table__
    with guard.purpose(tm.RenewalGuidance), engine.connect() as connection:
        assert connection.execute(select(migrated[0].c.email)).all() == []
        assert connection.execute(select(reflected.tables["plan"].c.title)).all() == []
    assert reads.columns == {"person.email"}
    assert reads.unresolved_events == []
    versions = Table("versions", MetaData(), Column("number", String))
    versions.create(engine)
    with guard.purpose(tm.RenewalGuidance), engine.connect() as connection:
        connection.execute(insert(versions).values(number="1"))
        connection.exec_driver_sql("ALTER TABLE versions RENAME TO releases")
    events = [(event, columns) for event, columns, _ in reads.unresolved_events]
    assert events == [("insert of versions", set()), ("alter of versions", set())]
    members = Table("members", Base.metadata, Column("person_id", Integer), Column("plan_id", Integer))
    try:
        stub = Table("members", MetaData(), Column("person_id", Integer))  # As migrations define for an index.
        assert every_table.tables["members"] is members is not stub
    finally:
        Base.metadata.remove(members)
    latest = [Table("unmapped", MetaData(), Column("id", Integer)) for _ in range(5)][-1]
    assert every_table.tables["unmapped"] is latest


def test_undecided_columns_and_conflicts_are_recorded_in_observe_mode(read: Callable[[str], TagFile]) -> None:
    text = PERSON.replace(", subject = true", "") + '["table half"]\nemail = "1.1(b)"\nnote = "1.1(c)"\n'
    reads = RecordingReads()
    guard = Guard(tm.NOTICE, mode="observe", tags=read(text), observers=[reads])
    engine = protect(create_engine("sqlite://"), guard, Base)
    Base.metadata.create_all(engine)
    with guard.purpose(tm.RenewalGuidance), engine.connect() as connection:
        for column in (Person.nickname, Person.mail, Half.email, Half.note):
            assert connection.execute(select(column)).all() == []
    assert reads.columns == {"person.email", "half.note"}
    assert [str(error).partition(" ")[0] for *_, error in reads.unresolved_events] == [
        "`person.nickname`",
        "`half.email`",
    ]


SOURCES = {"1.1(a)": tm.Registration, "1.1(b)": tm.ProductData, "1.1(c)": tm.Contract}
MARKS = {"collected": Collected, "ended": Ended}


@st.composite
def described_tables(draw: st.DrawFn) -> dict[str, tuple[list[str], str]]:
    """Columns, each with the ids of its sources, and its mark. At least one of them has a source."""
    columns: dict[str, tuple[list[str], str]] = {}
    marks = draw(st.permutations([*MARKS, "", "", ""]))
    for number in range(draw(st.integers(1, 4))):
        ids = draw(st.lists(st.sampled_from([*SOURCES]), max_size=2, unique=True))
        columns[f"c{number}"] = (ids if number else ids or ["1.1(a)"], marks[number])
    return columns


def decisions(columns: dict[str, tuple[list[str], str]], file: Path | None, *, by_class: bool) -> list[object]:
    """What each column may be used for, with tags in the code, or in a file."""
    described: dict[str, Any] = {}
    for name, (ids, mark) in columns.items():
        spec = (*map(SOURCES.get, ids), *([MARKS[mark]] if mark else []))
        described[name] = {"purposeguard": spec or NotPersonal} if file is None else {}
    columns_of_table = [Column(name, String, info=info, primary_key=name == "c0") for name, info in described.items()]
    table = Table("drawn", MetaData(), *columns_of_table)
    classes: list[type] = []  # Mapped classes disappear with their last reference.
    if by_class:
        base = type("DrawnBase", (DeclarativeBase,), {"metadata": table.metadata})
        classes.append(type("Drawn", (base,), {"__table__": table, "__module__": "drawn.models"}))
    guard = Guard(tm.NOTICE, tags=file)
    engine = protect(create_engine("sqlite://"), guard, table.metadata)
    table.metadata.create_all(engine)
    seen: list[object] = [dict(tags(guard.tags, table))]
    for purpose in (tm.RenewalGuidance, tm.ProductImprovement, tm.ProductGuidance):
        for column in (*table.columns, table):
            try:
                with guard.purpose(purpose), engine.connect() as connection:
                    seen.append(connection.execute(select(column)).all())
            except PurposeGuardError as error:
                seen.append((type(error), str(error)))
    engine.dispose()
    classes.clear()
    return seen


@given(described_tables(), st.booleans())
@settings(max_examples=25, deadline=None)
def test_tags_in_a_file_decide_as_tags_in_the_code(
    tmp_path_factory: pytest.TempPathFactory, columns: dict[str, tuple[list[str], str]], by_class: bool
) -> None:
    lines = ['["drawn.models.Drawn"]' if by_class else '["table drawn"]']
    for name, (ids, mark) in columns.items():
        marked = f", {mark} = true" if mark else ""
        lines.append(f"{name} = {{ source = {json.dumps(ids or 'not-personal')}{marked} }}")
    file = tmp_path_factory.mktemp("drawn") / "tags.toml"
    file.write_text("\n".join(lines), "utf-8")
    assert decisions(columns, file, by_class=by_class) == decisions(columns, None, by_class=by_class)
