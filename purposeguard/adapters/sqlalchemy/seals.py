"""Sealed columns: `Mapped[Personal[str, Source]]`. Values are sealed when read, and unsealed when written."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, get_args, get_origin

import typing_extensions
from sqlalchemy import event
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import ColumnProperty, Mapped, Mapper, registry
from sqlalchemy.types import TypeDecorator, TypeEngine, to_instance

from purposeguard.errors import SealedValue, UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import NotPersonal, Source, TermMeta, is_union
from purposeguard.policy.violations import FlowViolation
from purposeguard.values.annotations import evaluate_annotation
from purposeguard.values.personal import Personal
from purposeguard.values.sealed import Sealed, compute_plain_value


class SealedType(TypeDecorator[Any]):
    """The type of a sealed column: `mapped_column(SealedType(String(40), Label(tm.Registration)))`.

    What is read of it is sealed under `label`; what is written is taken out of its seal on its way to the driver. A
    plain value is sealed when it is given to an attribute, as a pydantic field does it.
    """

    impl = TypeEngine
    cache_ok = True

    def __init__(self, inner: TypeEngine[Any] | type[TypeEngine[Any]], label: Label | type[Source]) -> None:
        """Create a sealed type.

        Args:
            inner: The type of the plain value.
            label: The sources under which the value is sealed.
        """
        self.inner: TypeEngine[Any] = to_instance(inner)
        self.label = label if isinstance(label, Label) else Label(label)
        this: Any = self
        this.impl = self.inner  # TypeDecorator does the same.

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Return the plain value for the driver. Raise FlowViolation as `must_take`, unless it is only observed."""
        if not isinstance(value, Sealed):
            return value
        try:
            self.must_take(value)
        except FlowViolation as error:
            watch: Any = getattr(dialect, "purposeguard", None)
            if watch is None:
                raise
            watch.decider.refuse_unresolved(error, "sealed value in a statement")
        return compute_plain_value(value)

    def process_literal_param(self, value: Any, dialect: Dialect) -> str:
        """Render a plain value as a literal. Raise SealedValue for a sealed one, which must be bound as a parameter."""
        if isinstance(value, Sealed):
            raise SealedValue("a sealed value is not written into the text of a statement: bind it as a parameter")
        processor = self.inner.literal_processor(dialect)
        if processor is None:
            raise SealedValue("a value of a sealed column is not written into the text of a statement: bind it")
        return processor(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002  # as SQLAlchemy calls it
        """Seal a value that was read."""
        return None if value is None else Personal(value, self.label)

    def must_take(self, value: Sealed, target: str = "", column: str = "sealed") -> None:
        """Raise FlowViolation if a value is sealed under sources that the column's tag does not cover."""
        own = tuple(self.label.sources)
        missing = [source for source in value.label.sources if not issubclass(source, (*own, NotPersonal))]
        if missing:
            raise FlowViolation(target or "column", column, Label(*missing))

    @property
    def python_type(self) -> type[Any]:
        """The class of sealed values."""
        return Personal


class SealedColumns:
    """A base, before `DeclarativeBase`, of classes with `Mapped[Personal[T, Source]]`: gives these columns their type.

    ::

        class Base(SealedColumns, DeclarativeBase): ...
    """

    registry: ClassVar[registry]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register the sealed types in the annotations of the class before it is mapped."""
        own_registry: registry | None = getattr(cls, "registry", None)
        if own_registry is not None:
            for base in cls.__mro__:
                for annotation in _seals_in(base):
                    sealed_type = _find_sealed_type(own_registry, annotation, cls)
                    own_registry.type_annotation_map.setdefault(annotation, sealed_type)
        super().__init_subclass__(**kwargs)
        mapper: Mapper[Any] | None = vars(cls).get("__mapper__")
        if mapper is not None:
            # The mapper is not configured here, because it may refer to classes that are defined later.
            for key, prop in mapper._props.items():
                if isinstance(prop, ColumnProperty) and isinstance(prop.columns[0].type, SealedType):
                    sealer = _sealer(cls, key, prop.columns[0].type)
                    event.listen(getattr(cls, key), "set", sealer, retval=True, propagate=True)


def _seals_in(cls: type) -> Iterator[Any]:
    """Yield the sealed types in the annotations of a class. SQLAlchemy reports annotations that cannot be read yet."""
    stated = typing_extensions.get_annotations(cls, format=typing_extensions.Format.FORWARDREF)
    names = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
    for annotation in stated.values():
        try:
            hint = evaluate_annotation(annotation, dict(names), dict(vars(cls)))
        except (NameError, TypeError):  # A relationship's target may be defined later, or `ClassVar` may be bare.
            continue
        origin = get_origin(hint)
        if isinstance(origin, type) and issubclass(origin, Mapped):
            inner = get_args(hint)[0]
            parts = get_args(inner) if is_union(inner) else (inner,)
            for part in parts:
                if get_origin(part) is Personal:
                    yield part


def _find_sealed_type(type_registry: registry, annotation: Any, cls: type) -> SealedType:
    inner, terms = get_args(annotation)
    members = get_args(terms) if is_union(terms) else (terms,)
    for member in members:
        if not isinstance(member, TermMeta) or not issubclass(member, Source) or "clause" not in vars(member):
            raise UnlabelledData(
                f"{cls.__qualname__}: a sealed column says its sources: `Mapped[Personal[str, Source]]`"
            )
    plain_type = type_registry._resolve_type(inner)  # The mapper finds types by this method.
    if plain_type is None:
        raise UnlabelledData(
            f"{cls.__qualname__}: SQLAlchemy knows no column type for what is sealed; name it, "
            "`mapped_column(SealedType(Type, Label(Source)))`"
        )
    return SealedType(plain_type, Label(*members))


def _sealer(cls: type, key: str, kind: SealedType) -> Callable[..., Any]:
    """Return a listener that seals a value when it is assigned to an attribute, unless it is sealed already."""

    def seal(_target: object, value: Any, *_: object) -> Any:
        if value is None:
            return None
        if isinstance(value, Sealed):
            kind.must_take(value, cls.__name__, key)
            return value
        return Personal(value, kind.label)

    return seal
