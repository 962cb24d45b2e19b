"""Tags of models, from annotations of their fields, `class Privacy:`, `PURPOSEGUARD_TAGS`, and `tags.toml`."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

import typing_extensions
from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.db import models

from purposeguard.adapters.sql.tags import Tables
from purposeguard.adapters.tags import (
    NOT_PERSONAL_TAG,
    TAG_ERRORS,
    Columns,
    OneSpec,
    Revisions,
    Tag,
    UndefinedName,
    hint_of,
    make_field_tag,
    merge_file_tags,
    specs_of,
)
from purposeguard.containers import drop_none_values
from purposeguard.errors import NoticeError, PurposeGuardError, UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import TermMeta
from purposeguard.project.tags import TABLE, FieldTag, TagFile
from purposeguard.values.annotations import field_names_of, is_taggable
from purposeguard.values.markers import Mark, SubjectMark
from purposeguard.values.type_schema import read_shape

PRIVACY: Final = "Privacy"
"""The name of the class within a model that tags its fields by name."""

STRUCTURE: Final = frozenset({"contenttypes.contenttype", "auth.permission", "auth.group"})
"""Models of Django that hold names from code and no personal data."""

MIGRATIONS: Final = "django_migrations"
"""The table in which Django records the migrations that ran. It belongs to no application."""

Model = Any
"""A model class. Django has no type annotations. Its attribute `_meta` is a documented API."""


class TagFault(NamedTuple):
    """A fault in the tags of a model, with a remedy."""

    model: Model | None
    message: str
    hint: str
    id: str


def tables_of(revisions: Revisions, file: TagFile | None = None, *, omit_faulty: bool = False) -> Tables:
    """Return the tables of all installed models, each with all its columns.

    Args:
        revisions: The revisions of the notice.
        file: The file `tags.toml`, if there is one.
        omit_faulty: True to treat a field whose tag cannot be read as one without a tag, as observe mode does. If two
            models do not agree about a column of their table, the first one counts.

    Raises:
        TypeError, UnknownSource, UnlabelledData: a tag cannot be read, or two models do not agree about a column.
        NoticeError: `file` and the code, or two of its entries, do not agree.
    """
    tables: dict[str, dict[str, Tag | None]] = {
        MIGRATIONS: dict.fromkeys(("id", "app", "name", "applied"), NOT_PERSONAL_TAG)
    }
    for model in every_model():
        columns = tables.setdefault(model._meta.db_table, {})
        for field in model._meta.local_concrete_fields:
            try:
                tag = _tag(field, revisions, file)
            except (TypeError, *TAG_ERRORS):
                if not omit_faulty:
                    raise
                tag = None
            column = field.column
            if columns.setdefault(column, tag) != tag and not omit_faulty:
                raise UnlabelledData(
                    f"two models have the table `{model._meta.db_table}`, and not the same is said of its column "
                    f"`{column}`: say the same of both"
                )
    return Tables(revisions, tables, is_complete=True)


def every_model() -> Iterable[Model]:
    """Return all models that have a table, including the ones that Django creates for many-to-many fields."""
    return [model for model in apps.get_models(include_auto_created=True) if not model._meta.proxy]


def columns_of_model(model: Model, revisions: Revisions, file: TagFile | None = None) -> Columns:
    """Return the tags of a model's fields, including inherited ones, by the name of the field.

    Fields without a tag are left out. A statement that uses such a field is refused.

    Args:
        model: The model.
        revisions: The notice, or all its revisions, or several notices.
        file: The file `tags.toml`, if there is one: `guard.tags`.

    Raises:
        TypeError, UnknownSource, UnlabelledData: a tag cannot be read.
        NoticeError: `file` and the code, or two of its entries, do not agree.
    """
    concrete: Model = model._meta.concrete_model
    tags: dict[str, Tag] = {}
    for owner in dict.fromkeys(field.model for field in concrete._meta.concrete_fields):
        for field in owner._meta.local_concrete_fields:
            tag = _tag(field, revisions, file)
            if tag is not None:
                tags[field.name] = tag
    return Columns(tags)


def faults_of(model: Model, revisions: Revisions, file: TagFile | None = None) -> Iterator[TagFault]:
    """Yield the faults in a model's tags, for `manage.py check`."""
    for field in model._meta.local_concrete_fields:
        where = f"{model._meta.label}.{field.name}"
        try:
            tag = _tag(field, revisions, file)
        except NoticeError as error:
            for fault in error.faults:
                yield TagFault(model, str(fault._replace(suggestion=None)), str(fault.suggestion), "E004")
            continue
        except (PurposeGuardError, TypeError) as error:
            yield TagFault(model, f"the tag of {where} cannot be read: {error}", "name a source of the notice", "E002")
            continue
        undecided = next(_find_entries(field, file), None) if tag is None else None
        if undecided is not None and file is not None:
            yield TagFault(
                model,
                f"{file.path}:{undecided.position.line}:{undecided.position.column}: {where} is undecided, so every "
                "statement that uses it is refused",
                "name its source, or `not-personal`",
                "E001",
            )
        elif tag is None:
            yield TagFault(
                model,
                f"{where} carries no tag, so every statement that uses it is refused",
                f"annotate it `{field.name}: Annotated[…, Source]`, name it in `class {PRIVACY}`, in "
                "PURPOSEGUARD_TAGS or in `tags.toml`; say `NotPersonal` if it is not personal",
                "E001",
            )
    for name in _unknown_names(model):
        yield TagFault(
            model,
            f"{model._meta.label} tags `{name}`, and has no such field",
            "call it as the field is called",
            "E003",
        )


def unknown_settings() -> Iterator[TagFault]:
    """Yield a fault for each name in PURPOSEGUARD_TAGS that is not an installed model or application."""
    keys: set[str] = set()
    for model in every_model():
        keys.update(_keys(model))
    for key in _settings():
        if key.lower() not in keys:
            yield TagFault(
                None,
                f"PURPOSEGUARD_TAGS names `{key}`, and no application or model is called so",
                "write `app_label.Model`, or `app_label` for all models of an application",
                "E003",
            )


def find_unmatched_entries(file: TagFile) -> Iterator[TagFault]:
    """Yield a fault for each entry of `tags.toml` that matches no class or table, or names a field that it lacks.

    Entries of tables are only warned of, because other libraries may use databases too.
    """
    classes: dict[str, list[str]] = {}
    tables = {MIGRATIONS: ["id", "app", "name", "applied"]}
    for cls in _iter_imported_classes({header.partition(".")[0] for header in file.entries}):
        classes[f"{cls.__module__}.{cls.__qualname__}"] = [
            *dir(cls),
            *(field_names_of(cls) if is_taggable(cls) else ()),
        ]
    for model in apps.get_models(include_auto_created=True):
        fields = model._meta.concrete_fields
        names = [name for field in fields for name in (field.name, field.attname)]
        classes[f"{model.__module__}.{model.__qualname__}"] = names
        tables.setdefault(model._meta.db_table, []).extend(field.column for field in model._meta.local_concrete_fields)
    for fault in file.find_unmatched(classes, tables):
        code = "W004" if fault.place.startswith(f'"{TABLE}') else "E003"
        yield TagFault(None, str(fault._replace(suggestion=None)), fault.suggestion or "correct or remove it", code)


def _iter_imported_classes(packages: Container[str]) -> Iterator[type]:
    """Yield the classes in the imported modules of these top-level packages."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in packages:
            for value in list(vars(module).values()):
                if isinstance(value, type) and value.__module__ == name:
                    yield value


# ---- one field -------------------------------------------------------------------------------------------------------


def _tag(field: Any, revisions: Revisions, file: TagFile | None) -> Tag | None:
    """Return the tag of a field, or None if it has none, or is undecided.

    A relation holds the key of another row, so it inherits the tag of that key unless it is tagged itself. A key that
    the database counts up is not personal.
    """
    label = field.model._meta.label
    stated = [{field.name: tag} for tag in _find_entries(field, file)]
    specs: list[OneSpec] = []
    try:
        specs = list_stated_specs(field)
    except UndefinedName:
        if not stated:  # The file is the only statement then: what does not exist carries no tag.
            raise
    if specs or stated:
        own = drop_none_values({field.name: make_field_tag(revisions, specs, f"{label}.{field.name}")})
        return merge_file_tags(revisions, file, stated, own, label)[field.name]
    if field.model._meta.label_lower in STRUCTURE:
        return NOT_PERSONAL_TAG
    if field.is_relation and field.remote_field is not None:
        target = field.target_field
        if target is field:
            return None
        tag = _tag(target, revisions, file)
        if tag is None:
            return None
        mark = tag.mark if isinstance(tag.mark, SubjectMark) else None
        return Tag(tag.label, by_row=tag.by_row, mark=mark)
    return NOT_PERSONAL_TAG if isinstance(field, models.AutoField) else None


def _find_entries(field: Any, file: TagFile | None) -> Iterator[FieldTag]:
    """Yield what `tags.toml` says about a field: by its model, by models that inherit it, and by its table."""
    if file is None:
        return
    for model in _iter_subclasses(field.model):
        fields = file.find_class(model.__module__, model.__qualname__) or {}
        for name in dict.fromkeys((field.name, field.attname)):
            if name in fields:
                yield fields[name]
    columns = file.find_table(field.model._meta.db_table) or {}
    if field.column in columns:
        yield columns[field.column]


def _iter_subclasses(model: Model) -> Iterator[Model]:
    yield model
    for subclass in model.__subclasses__():
        yield from _iter_subclasses(subclass)


def list_stated_specs(field: Any) -> list[OneSpec]:
    """Return the parts of the tag that the code or the settings state for a field.

    Raises:
        TypeError, UnlabelledData: the tag cannot be read.
    """
    return list(_specs(field, f"{field.model._meta.label}.{field.name}"))


def _specs(field: Any, where: str) -> Iterator[OneSpec]:
    """Yield the parts of a field's tag, from the nearest class that tags the field, and from the settings."""
    model: Model = field.model
    for owner in model.__mro__:
        specs = [*_read_annotation(owner, field.name, where), *_in_privacy(owner, field.name)]
        if specs:
            yield from specs
            break
    described = _read_settings(model)
    if isinstance(described, Mapping):
        described = described.get(field.name)
    yield from _several(described)


def _read_annotation(owner: type, name: str, where: str) -> Iterable[OneSpec]:
    annotations = typing_extensions.get_annotations(owner, format=typing_extensions.Format.FORWARDREF)
    return specs_of(read_shape(hint_of(annotations[name], owner, where)), where) if name in annotations else ()


def _in_privacy(owner: type, name: str) -> Iterable[OneSpec]:
    privacy = vars(owner).get(PRIVACY)
    return _several(vars(privacy).get(name)) if isinstance(privacy, type) else ()


def _several(spec: Any) -> Iterable[OneSpec]:
    if spec is None:
        return ()
    single = isinstance(spec, (str, TermMeta, Label, Mark))
    return cast("tuple[OneSpec, ...]", (spec,) if single else tuple(spec))


def _unknown_names(model: Model) -> Iterator[str]:
    privacy = vars(model).get(PRIVACY)
    names = [name for name in vars(privacy) if not name.startswith("__")] if isinstance(privacy, type) else []
    described = _read_settings(model)
    if isinstance(described, Mapping):
        names += list(map(str, described))
    for name in names:
        try:
            field = model._meta.get_field(name)
        except FieldDoesNotExist:
            yield name
        else:
            if not getattr(field, "concrete", False):
                yield name


# ---- settings --------------------------------------------------------------------------------------------------------


def _settings() -> Mapping[str, Any]:
    tags: Any = getattr(settings, "PURPOSEGUARD_TAGS", {})
    if not isinstance(tags, Mapping):
        raise TypeError("PURPOSEGUARD_TAGS is a mapping: `{'auth.User': {'email': Source}, 'sessions': NotPersonal}`")
    return tags


def _keys(model: Model) -> tuple[str, str]:
    return model._meta.label_lower, model._meta.app_label.lower()


def _read_settings(model: Model) -> Any:
    """Return the settings for a model: a mapping of its fields, or one tag for all of them.

    An entry for the model takes precedence over an entry for its application.
    """
    tags = {key.lower(): value for key, value in _settings().items()}
    for key in _keys(model):
        if key in tags:
            return tags[key]
    return None
