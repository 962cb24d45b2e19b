"""Tags of fields: reading the tags of a model, and adding tags to classes of other libraries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, cast

from purposeguard.errors import UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import Source, TermMeta
from purposeguard.values.annotations import (
    READABLE,
    ExternalTags,
    describe_kind,
    external_tags_of,
    field_names_of,
    find_reader,
    is_taggable,
    set_external_tags,
)
from purposeguard.values.markers import Mark
from purposeguard.values.type_schema import SILENT, FieldTags, Shape, TagLookup, read_shape, resolve_hints


def sources_of(
    model: object, localns: Mapping[str, Any] | None = None, *, tags: FieldTags | None = None
) -> dict[str, Label]:
    """Return the tagged and sealed fields of a model, `{"email": Label(1.1(a)), "orders[].address": …}`, in its order.

    In a path, `[]` stands for the items of a container or the values of a mapping. A tag on the keys counts for the
    mapping. Recursive classes (mutual relations) are listed where the shortest path meets them, by each field of the
    class that holds them there. Their tags count everywhere, not only in the paths listed.
    Instead of a model, `model` may be any annotation that holds one, such as `list[Customer]`. `tags` completes the
    tags in the code.

    Raises:
        NoticeError: `tags` and the code do not agree.
        TypeError: there is no taggable class in `model`.
        UnlabelledData: an annotation cannot be resolved; `localns` gives names it may need.
    """
    return _read_taggable_shape(model, localns, tags).all_labels()


def untagged(
    model: object, localns: Mapping[str, Any] | None = None, *, tags: FieldTags | None = None
) -> tuple[str, ...]:
    """Return the paths of the fields that have no tag, in the order of the model.

    Of fields whose contents have tags, these are containers and optional fields: nothing says what their length, or
    whether there is a value, is known from. Other fields that contain models or seals are left out.

    Raises:
        NoticeError, TypeError, UnlabelledData: as `sources_of`.
    """
    shape = _read_taggable_shape(model, localns, tags)
    return tuple(dict.fromkeys(path for path, _ in shape.iter_untagged(holders=True)))


def _read_taggable_shape(model: object, localns: Mapping[str, Any] | None, tags: FieldTags | None) -> Shape:
    if localns and is_taggable(model):
        resolve_hints(model, localns)
    shape = SILENT if tags is None else TagLookup(tags).silent
    if not isinstance(model, str):  # A string is no forward reference here.
        shape = read_shape(model, shape.bindings)
    if not shape.has_fields:
        shape.all_labels()  # This raises if the class has tags but is of no kind that is read.
        raise TypeError(
            f"{describe_kind(model)} has no fields to read tags from: give {READABLE}, or an annotation that holds one"
        )
    return shape


OneTag = type[Source] | Label | Mark
Tags = OneTag | Iterable[OneTag]
"""The tags of a field: a source class, a label or a mark, or several of these."""


def tag(cls: type, /, **fields: Tags) -> None:
    """Tag the fields of a class from outside, as `Annotated[…]` would in its own text.

    For example, `tag(User, id=pg.Subject, email=Account, segment=(Account, Orders))`. The tags hold for subclasses too
    (of a TypedDict, as far as its bases are known) and are added to those in annotations: no tag is ever removed.
    Fields that are not named stay as they are; `untagged` lists them. Call this where the class is imported, before its
    tags are read: guards cache them.

    Raises:
        TypeError: `cls` can carry no tags, or a field gets something that is no tag.
        UnknownSource: a tag is a purpose, or the bare `Source`.
        UnlabelledData: there is no such field, or it gets no tags; it was tagged from outside before, in another
            way; or the tags of the class, or of a subclass, were read already.
    """
    if not is_taggable(cls):
        raise TypeError(f"{describe_kind(cls)} has no fields that can carry tags: give {READABLE}")
    field_names = field_names_of(cls)
    new_tags = {name: _read_tags(f"{cls.__qualname__}.{name}", spec) for name, spec in fields.items()}
    for name in new_tags:
        if name not in field_names:
            raise UnlabelledData(f"{cls.__qualname__} has no field `{name}`: it has {', '.join(field_names) or 'none'}")
    before = external_tags_of(cls)
    changed = {name: tags for name, tags in new_tags.items() if before.get(name) != tags}
    for name in changed:
        if name in before:
            raise UnlabelledData(f"{cls.__qualname__}.{name} was tagged from outside before, in another way")
    if not changed:
        return  # A module that is reloaded repeats its tags.
    reader = find_reader(cls)
    if reader is not None:
        raise UnlabelledData(
            f"the tags of {reader} were read already, and guards remember them: tag {cls.__qualname__} where it is "
            "imported, before a function or table that holds it is guarded"
        )
    set_external_tags(cls, MappingProxyType({**before, **changed}))


def _read_tags(where: str, spec: object) -> ExternalTags:
    parts: tuple[object, ...]
    if isinstance(spec, (TermMeta, Label, Mark)):
        parts = (spec,)
    elif isinstance(spec, Iterable) and not isinstance(spec, (str, bytes)):
        parts = tuple(spec)
    else:
        parts = (spec,)
    for part in parts:
        if not isinstance(part, (TermMeta, Label, Mark)):
            raise TypeError(f"`{where}`: a tag is a source class, a label or a mark, not {type(part).__name__}")
    if not parts:
        raise UnlabelledData(f"`{where}` is told by nothing: say `NotPersonal` where it is not personal (rule 4)")
    read_shape(Annotated[(object, *parts)])  # This raises if a tag is a purpose.
    return cast("ExternalTags", parts)
