"""Models of Django, those of installed applications by others included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from purposeguard.adapters.django.tags import every_model, list_stated_specs
from purposeguard.adapters.tags import OneSpec
from purposeguard.adoption.catalog import FoundClass, FoundField
from purposeguard.adoption.lexicon import KINDS_OF_TYPES, ValueType
from purposeguard.cli.adopt.collect.classes import describe_class, read_tag
from purposeguard.cli.adopt.collect.types import name_type
from purposeguard.errors import UnlabelledData
from purposeguard.extras import Needs
from purposeguard.notice.notice import Notice

with Needs(__name__, "django"):
    from django.db import models

_VALUE_TYPES: Final[tuple[tuple[tuple[type, ...], ValueType | None], ...]] = (
    ((models.ForeignKey, models.BooleanField, models.BinaryField), "other"),
    ((models.CharField, models.TextField, models.UUIDField, models.FileField, models.GenericIPAddressField), "text"),
    ((models.IntegerField, models.FloatField, models.DecimalField), "number"),
    ((models.DateField, models.TimeField, models.DurationField), "date"),
)
"""Fields → the type of their values. The first that fits counts. Other fields hold anything."""

_OPEN_TYPES: Final = (models.TextField, models.JSONField, models.BinaryField, models.FileField)


def collect_models(notice: Notice, unread: list[str]) -> Iterator[FoundClass]:
    """Yield all installed models with a table, those of many-to-many relations included.

    Args:
        notice: The notice.
        unread: The faults of annotations that cannot be resolved are added to it. Their fields count as untagged.

    Raises:
        PurposeGuardError: A tag in the code cannot be read.
    """
    for model in every_model():
        meta = model._meta
        fields = [_describe_field(field, notice, unread) for field in meta.local_concrete_fields]
        labels = (str(meta.verbose_name), meta.db_table)
        yield describe_class(model, fields, kind="model", table=meta.db_table, labels=labels)


def _describe_field(field: Any, notice: Notice, unread: list[str]) -> FoundField:
    value_type: ValueType | None = None
    for classes, fitting in _VALUE_TYPES:
        if isinstance(field, classes):
            value_type = fitting
            break
    if field.choices and value_type in ("text", "number"):
        value_type = "choice"
    target = field.remote_field.model if field.remote_field is not None else None
    is_time = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
    is_counted = isinstance(field, models.AutoField)
    is_random = field.primary_key and callable(field.default)
    specs: list[OneSpec] = []
    try:
        specs = list_stated_specs(field)
    except UnlabelledData as error:
        unread.append(str(error))
    tag = read_tag(notice, specs, f"{field.model._meta.label}.{field.name}")
    described: Any = field
    return FoundField(
        described.name,
        value_type,
        _find_known_type(field),
        (str(field.verbose_name),),
        described.column,
        str(field.help_text),
        target="" if target is None else name_type(target),
        is_key=field.primary_key,
        is_generated=is_time or is_counted or is_random,
        is_open=isinstance(field, _OPEN_TYPES),
        tag=tag,
    )


def _find_known_type(field: Any) -> str:
    """Return the dotted name of the class of a field, or of a base of it that indicates a kind of data."""
    for cls in type(field).__mro__:
        if name_type(cls) in KINDS_OF_TYPES:
            return name_type(cls)
    return name_type(type(field))
