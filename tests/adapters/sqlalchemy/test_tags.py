"""How columns and tables are tagged, and what is no tag."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import BaseModel
from sqlalchemy import JSON, Column, Computed, ForeignKey, Integer, MetaData, String, Table, create_engine, orm, select
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, column_property, mapped_column, registry
from typing_extensions import TypeAliasType

import purposeguard as pg
from purposeguard import Guard, Label, NotPersonal
from purposeguard.adapters.sqlalchemy import GuardedSession, protect
from purposeguard.adapters.sqlalchemy.tags import MappedTables
from purposeguard.adapters.tags import Columns, Tag, columns_of
from purposeguard.errors import PurposeMissing, UnknownSource, UnlabelledData
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import PurposeViolation
from purposeguard.values.markers import ByRow, Collected, Ended, RowSource, Subject
from tests.adapters.sqlalchemy.shop import Shop

OTHER: Any = pg.Notice.parse(tm.NOTICE.dump())
Misplaced = Annotated[str, (tm.Registration, tm.Contract)]
Number = TypeAliasType("Number", Annotated[int, tm.Contract])


def tags(table: Any, *where: Any, **given: Any) -> Columns:
    catalogue = MappedTables(tm.NOTICE, where or (table.metadata,), given.get("not_personal", ()))
    return catalogue.find(table)[1]


def one(spec: Any) -> Tag:
    table = Table("t", MetaData(), Column("a", Integer, info={"purposeguard": spec}), Column("b", Integer))
    found = tags(table)
    assert found["b"] == Tag()
    return found["a"]


def test_a_column_is_tagged_by_whatever_tells_a_source() -> None:
    assert one(tm.Registration) == Tag(Label(tm.Registration))
    assert one("1.1a") == Tag(Label(tm.Registration))
    assert one(Label(tm.Registration, tm.Contract)) == Tag(Label(tm.Registration, tm.Contract))
    assert one((tm.Registration, "1.1(c)")) == Tag(Label(tm.Registration, tm.Contract))
    assert one([tm.Contract, ByRow]) == Tag(Label(tm.Contract), by_row=True)
    assert one(Subject("customer")) == Tag(mark=Subject("customer"))
    assert one({tm.Registration, Subject}) == Tag(Label(tm.Registration), mark=Subject)
    assert one(RowSource) == Tag(mark=RowSource)
    assert one(NotPersonal) == Tag()


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("9.9(z)", UnknownSource), (tm.RenewalGuidance, UnknownSource), (OTHER.sources[0], UnknownSource),
        (7, UnknownSource), ({"a": 1}, TypeError), ((Collected, Ended), UnlabelledData),
        ((RowSource, tm.Contract), UnlabelledData), (object(), UnknownSource),
    ],
)  # fmt: skip
def test_what_is_no_tag_is_refused(spec: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        one(spec)


def test_the_info_of_a_table_says_that_nothing_in_it_is_personal_and_no_more() -> None:
    place = MetaData()
    for number, told in enumerate(("not-personal", NotPersonal)):
        none = Table(f"none{number}", place, Column("a", String), info={"purposeguard": told})
        assert tags(none) == columns_of(tm.NOTICE, {"a": NotPersonal})
    whole = Table("whole", MetaData(), Column("a", String), info={"purposeguard": {"a": tm.Registration}})
    with pytest.raises(UnlabelledData, match="the `info` of the table `whole`"):
        tags(whole)
    plain = Table("plain", place, Column("a", String))
    with pytest.raises(UnlabelledData, match="`plain` carries no tags"):
        tags(plain)
    for name in (plain, "plain"):
        assert tags(plain, not_personal=[name]) == columns_of(tm.NOTICE, {"a": NotPersonal})


def test_annotations_tag_the_columns_of_a_class() -> None:
    class Base(DeclarativeBase): ...

    class Kept:
        day: Mapped[Annotated[int, Collected]] = mapped_column("kept_on")

    class Row(Kept, Base):
        __tablename__ = "rows"
        id: Mapped[Annotated[int, Subject("customer")]] = mapped_column(primary_key=True)
        email: Mapped[Annotated[str, mapped_column(String(9)), tm.Registration]] = mapped_column("mail")
        both: Mapped[Annotated[str, tm.Registration, tm.Contract]]
        maybe: Mapped[Annotated[str | None, tm.ProductData]]
        inner: Mapped[Annotated[str, tm.ProductData] | None]
        alias: Mapped[Number]
        info: Mapped[Annotated[str, tm.Registration]] = mapped_column(info={"purposeguard": tm.Contract})
        plain: Mapped[int]

    assert dict(tags(Row.__table__)) == {
        "kept_on": Tag(mark=Collected),
        "id": Tag(mark=Subject("customer")),
        "mail": Tag(Label(tm.Registration)),
        "both": Tag(Label(tm.Registration, tm.Contract)),
        "maybe": Tag(Label(tm.ProductData)),
        "inner": Tag(Label(tm.ProductData)),
        "alias": Tag(Label(tm.Contract)),
        "info": Tag(Label(tm.Registration, tm.Contract)),
        "plain": Tag(),
    }
    assert tags(Row.__table__, Base) == tags(Row.__table__, Base.registry) == tags(Row.__table__, Base.metadata)


def test_other_ways_to_map_are_read_too() -> None:
    class Base(MappedAsDataclass, DeclarativeBase): ...

    class Row(Base):
        __tablename__ = "rows"
        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[Annotated[str, tm.Registration]]

    assert tags(Row.__table__)["email"] == Tag(Label(tm.Registration))
    own = registry()
    table = Table("plain", own.metadata, Column("id", Integer, primary_key=True), Column("email", String))

    class Imperative:
        id: int
        email: Annotated[str, tm.Registration]

    own.map_imperatively(Imperative, table)
    assert tags(table)["email"] == Tag(Label(tm.Registration))


def test_what_two_classes_say_of_a_table_counts_together() -> None:
    class Base(DeclarativeBase): ...

    class One(Base):
        __tablename__ = "rows"
        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[Annotated[str, tm.Registration]]

    class Two(Base):
        __table__ = One.__table__
        email: Mapped[Annotated[str, tm.Contract]]

    assert tags(One.__table__)["email"] == Tag(Label(tm.Registration, tm.Contract))


def test_a_computed_column_says_what_it_is() -> None:
    def made(**info: Any) -> Table:
        return Table(
            "t",
            MetaData(),
            Column("a", String, info={"purposeguard": tm.Registration}),
            Column("b", String, Computed("lower(a)"), info=info),
        )

    with pytest.raises(UnlabelledData, match="computed"):
        tags(made())
    assert tags(made(purposeguard=tm.Registration))["b"] == Tag(Label(tm.Registration))
    assert tags(made(purposeguard=NotPersonal))["b"] == Tag()


def test_a_class_that_is_mapped_later_is_found(guard: Guard) -> None:
    class Base(DeclarativeBase): ...

    engine = protect(create_engine("sqlite://"), guard, Base)
    with engine.connect():
        pass

    class Late(Base):
        __tablename__ = "late"
        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[Annotated[str, tm.Registration]]

    Base.metadata.create_all(engine)
    with GuardedSession(engine) as session:
        session.add(Late(email="x"))
        session.commit()
        with pytest.raises(PurposeMissing):
            session.scalars(select(Late))
        with guard.purpose(tm.RenewalGuidance):
            assert session.scalars(select(Late.email)).all() == ["x"]
    engine.dispose()


def test_names_that_differ_in_case_alone_are_two_tables_or_none() -> None:
    place = MetaData()
    Table("rows", place, Column("a", Integer, info={"purposeguard": tm.Registration}))
    Table("ROWS", place, Column("a", Integer, info={"purposeguard": tm.Contract}))
    catalogue = MappedTables(tm.NOTICE, (place,), ())
    assert catalogue.find(place.tables["ROWS"])[0] == "ROWS"
    with pytest.raises(UnlabelledData):
        catalogue.find(Table("Rows", MetaData(), Column("a", Integer)))


def test_a_table_of_which_nothing_is_personal_has_no_tags() -> None:
    table = Table("t", MetaData(), Column("a", Integer, info={"purposeguard": tm.Contract}), Column("b", Integer))
    with pytest.raises(UnlabelledData, match="nothing in the table `t` is personal, it is said, and its column `a`"):
        tags(table, not_personal=[table])
    said = Table("s", MetaData(), Column("a", Integer, info={"purposeguard": NotPersonal}))
    assert tags(said, not_personal=["s"]) == columns_of(tm.NOTICE, {"a": NotPersonal})


@pytest.mark.parametrize("given", ["job", b"job", 7], ids=["text", "bytes", "number"])
def test_what_is_several_is_not_given_as_one(given: Any) -> None:
    engine, guard = create_engine("sqlite://"), Guard(tm.NOTICE)
    with pytest.raises(TypeError, match=r"`not_personal` takes several: `not_personal=\[Table\]`"):
        protect(engine, guard, MetaData(), not_personal=given)
    with pytest.raises(TypeError, match="`functions` takes several"):
        protect(engine, guard, MetaData(), functions=given)
    with pytest.raises(TypeError, match="guards an engine, not sessionmaker"):
        protect(orm.sessionmaker(engine), guard, MetaData())  # type: ignore[type-var]  # on purpose


def test_tags_of_classes_that_are_mapped_later_count(guard: Guard, shop: Shop) -> None:
    """Also for tables that are known, and for statements that were seen."""

    class Later(DeclarativeBase):
        metadata = MetaData()

    known = Table(
        "later",
        Later.metadata,
        Column("id", Integer, primary_key=True),
        Column("kind", String),
        Column("email", String, info={"purposeguard": tm.Registration}),
        Column("device", String),
    )
    Later.metadata.drop_all(shop.plain)
    Later.metadata.create_all(shop.plain)
    engine = create_engine(shop.url)
    shop.engines.append(engine)
    protect(engine, guard, Later)
    device, key = select(known.c.device), select(known.c.id)
    with engine.connect() as connection:
        connection.execute(device)

        class Tagged(Later):
            __table__ = known
            device: Mapped[Annotated[str, tm.ProductData]]
            __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "tagged"}

        with pytest.raises(PurposeMissing):
            connection.execute(device)
        connection.execute(key)

    class More(Tagged):
        extra: Mapped[Annotated[str | None, tm.Contract]] = mapped_column(use_existing_column=True)
        __mapper_args__ = {"polymorphic_identity": "more"}

    Later.metadata.drop_all(shop.plain)
    Later.metadata.create_all(shop.plain)
    with Session(engine) as session:
        with pytest.raises(PurposeMissing):
            session.scalars(select(More.extra))
        with guard.purpose(tm.RenewalGuidance):
            assert session.scalars(select(More.extra)).all() == []
    Later.metadata.drop_all(shop.plain)


def test_tables_that_somebody_else_wrote_are_told_from_outside(guard: Guard) -> None:
    place = MetaData()
    customer = Table("customer", place, Column("id", Integer), Column("name", String), Column("device", String))
    visit = Table("visit", place, Column("page", String), Column("at", String), schema="web")

    class Row(pg.PersonalModel):
        id: int
        name: Annotated[str, tm.Registration]

    engine = create_engine("sqlite://")
    protect(engine, guard, place, tags={customer: Row, "web.visit": {"page": tm.Cookie, "at": NotPersonal}})
    with engine.connect() as connection, guard.purpose(tm.ProductProvision):
        with pytest.raises(UnlabelledData, match="device"):  # the class does not have it, so nothing says what it is
            connection.execute(select(customer.c.device))
        with pytest.raises(PurposeViolation, match=r"web\.visit\.page"):
            connection.execute(select(visit.c.page))


def test_what_is_told_from_outside_is_told_nowhere_else() -> None:
    place = MetaData()
    told = Table("told", place, Column("a", String, info={"purposeguard": tm.Registration}))
    none = Table("none", place, Column("a", String))
    for table in (told, none):
        catalogue = MappedTables(tm.NOTICE, [place], ["none"], {table: {"a": tm.Contract}})
        with pytest.raises(UnlabelledData, match="say it in one place"):
            catalogue.find(table)
    with pytest.raises(TypeError, match="`tags` names tables"):
        MappedTables(tm.NOTICE, [place], (), {7: {"a": tm.Contract}})
    with pytest.raises(UnknownSource):
        MappedTables(tm.NOTICE, [place], (), {none: {"a": tm.RenewalGuidance}})


class Visit(BaseModel):
    page: Annotated[str, tm.Cookie]
    at: str


@dataclasses.dataclass
class Point:
    street: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]


class Pair:
    def __init__(self, street: str, device: str) -> None:
        self.street, self.device = street, device


class Mixin:
    @orm.declared_attr
    def mixed(cls) -> Mapped[Annotated[str, tm.ProductData]]:
        return mapped_column(String)

    @orm.declared_attr.directive
    def __tablename__(cls) -> str:
        return str(getattr(cls, "__name__", "")).lower()


class Json(DeclarativeBase): ...


class Inside(Mixin, Json):
    id: Mapped[int] = mapped_column(primary_key=True)
    items: Mapped[list[Annotated[str, tm.ProductData]]] = mapped_column(JSON)
    mapping: Mapped[dict[str, Annotated[str, tm.ProductData]]] = mapped_column(JSON)
    keys: Mapped[dict[Annotated[str, tm.Registration], int]] = mapped_column(JSON)
    model: Mapped[Visit] = mapped_column(JSON)
    models: Mapped[list[Visit] | None] = mapped_column(JSON)
    data: Mapped[Point] = mapped_column(JSON)
    late: Mapped[Annotated[str, tm.Contract]] = orm.deferred(mapped_column(String))
    made: Mapped[Annotated[int, tm.Contract]] = column_property(Column("made_at", Integer))


def test_tags_inside_the_type_of_a_column_count() -> None:
    device, both = Tag(Label(tm.ProductData)), Tag(Label(tm.Registration, tm.ProductData))
    assert dict(tags(Inside.__table__)) == {
        "id": Tag(), "items": device, "mapping": device, "keys": Tag(Label(tm.Registration)),
        "model": Tag(Label(tm.Cookie)), "models": Tag(Label(tm.Cookie)), "data": both, "late": Tag(Label(tm.Contract)),
        "made_at": Tag(Label(tm.Contract)), "mixed": device,
    }  # fmt: skip


def test_a_statement_that_reads_what_lies_inside_is_refused() -> None:
    engine, guard = create_engine("sqlite://"), Guard(tm.NOTICE)
    Json.metadata.create_all(engine)
    protect(engine, guard, Json)
    with engine.connect() as connection, guard.purpose(tm.RenewalGuidance):
        assert connection.execute(select(Inside.keys, Inside.late)).all() == []
        for column in (Inside.items, Inside.mapping, Inside.model, Inside.data, Inside.mixed):
            with pytest.raises(PurposeViolation):
                connection.execute(select(column))
    engine.dispose()


def test_composites_tag_their_columns() -> None:
    class Base(DeclarativeBase): ...

    class Row(Base):
        __tablename__ = "rows"
        id: Mapped[int] = mapped_column(primary_key=True)
        home: Mapped[Point] = orm.composite(mapped_column("street"), mapped_column("device"))
        street2: Mapped[str]
        device2: Mapped[str]
        work: Mapped[Annotated[Point, tm.Contract]] = orm.composite("street2", "device2")

    both = {"street": tm.Registration, "device": tm.ProductData}
    assert dict(tags(Row.__table__)) == {
        "id": Tag(),
        **{name: Tag(Label(source)) for name, source in both.items()},
        **{f"{name}2": Tag(Label(source, tm.Contract)) for name, source in both.items()},
    }


def test_a_composite_of_another_number_of_columns_tags_each_with_all() -> None:
    class Base(DeclarativeBase): ...

    class Row(Base):
        __tablename__ = "rows"
        id: Mapped[int] = mapped_column(primary_key=True)
        street: Mapped[str]
        device: Mapped[str]
        home: Mapped[Annotated[Pair, tm.Registration, tm.ProductData]] = orm.composite(Pair, "street", "device")

    both = Tag(Label(tm.Registration, tm.ProductData))
    assert dict(tags(Row.__table__)) == {"id": Tag(), "street": both, "device": both}


def test_a_tagged_table_whose_column_has_no_annotation_is_refused() -> None:
    class Base(DeclarativeBase): ...

    class Row(Base):
        __tablename__ = "rows"
        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[Annotated[str, tm.Registration]]

        @orm.declared_attr
        def device(cls) -> Mapped[Annotated[str, tm.ProductData]]:
            return mapped_column(String)

    with pytest.raises(UnlabelledData, match=r"`rows\.device`: no annotation was found") as refused:
        tags(Row.__table__)
    assert "mixin" in str(refused.value)


def test_a_column_without_an_annotation_says_it_in_its_info() -> None:
    class Base(DeclarativeBase): ...

    class Told(Base):
        __tablename__ = "told"
        id = mapped_column(Integer, primary_key=True, info={"purposeguard": NotPersonal})
        email: Mapped[Annotated[str, tm.Registration]]

    assert tags(Told.__table__)["id"] == Tag()


def test_an_annotation_that_is_not_understood_is_refused() -> None:
    class Base(DeclarativeBase):
        type_annotation_map: ClassVar[Any] = {}

    class Row(Base):
        __tablename__ = "rows"
        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[Misplaced]

    with pytest.raises(UnlabelledData, match=r"Row\.email: what stands in `Annotated` seems"):
        tags(Row.__table__)


def test_a_tag_that_belongs_to_no_column_is_refused() -> None:
    class Base(DeclarativeBase): ...

    class Row(Base):
        __table__ = Table("rows", Base.metadata, Column("id", Integer, primary_key=True), Column("email", String))
        mail: Mapped[Annotated[str, tm.Registration]]  # the attribute is called `email`

    with pytest.raises(UnlabelledData, match=r"Row\.mail is tagged and belongs to no column of `rows`"):
        tags(Row.__table__)


def test_a_column_that_a_subclass_annotates_anew_keeps_its_tag() -> None:
    class Base(DeclarativeBase): ...

    class Tagged:
        email: Mapped[Annotated[str, tm.Registration]]

    class Row(Tagged, Base):
        __tablename__ = "rows"
        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[str]

    assert tags(Row.__table__)["email"] == Tag(Label(tm.Registration))


def test_two_tables_of_one_name_say_the_same_or_are_refused() -> None:
    def place(*columns: Column[Any]) -> MetaData:
        made = MetaData()
        Table("rows", made, Column("id", Integer, primary_key=True), *columns)
        return made

    def email(spec: Any = None) -> Column[Any]:
        return Column("email", String, info={} if spec is None else {"purposeguard": spec})

    first = place(email(tm.Registration))
    assert MappedTables(tm.NOTICE, (first, place(email(tm.Registration))), ()).find(first.tables["rows"])
    for other in (place(email(tm.Contract)), place(email()), place(email(tm.Registration), Column("more", String))):
        for where in ((first, other), (other, first)):
            with pytest.raises(UnlabelledData, match="two tables are called `rows`"):
                MappedTables(tm.NOTICE, where, ()).refresh()
    assert MappedTables(tm.NOTICE, (place(email()), place(email())), ()).refresh()
    assert MappedTables(tm.NOTICE, (first, first), ()).find(first.tables["rows"])


def test_the_info_of_a_mapped_table_is_refused_where_it_says_more() -> None:
    class Base(DeclarativeBase): ...

    class Row(Base):
        __tablename__ = "rows"
        __table_args__ = {"info": {"purposeguard": {"id": NotPersonal, "device": tm.Registration}}}
        id: Mapped[int] = mapped_column(primary_key=True)
        device: Mapped[Annotated[str, tm.ProductData]]

    with pytest.raises(UnlabelledData, match="the `info` of the table `rows`"):
        tags(Row.__table__)


def test_a_subclass_with_a_table_of_its_own_keeps_tags_and_not_marks() -> None:
    class Base(DeclarativeBase): ...

    class Row(Base):
        __tablename__ = "rows"
        id: Mapped[Annotated[int, Subject, tm.Contract]] = mapped_column(primary_key=True)

    class Long(Row):
        __tablename__ = "longs"
        id: Mapped[int] = mapped_column(ForeignKey("rows.id"), primary_key=True)

    assert tags(Row.__table__)["id"] == Tag(Label(tm.Contract), mark=Subject)
    assert tags(Long.__table__)["id"] == Tag(Label(tm.Contract))
