"""Tags from outside: what a class that somebody else wrote holds, said without touching its text."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Annotated, cast

from purposeguard.annotations import READABLE, is_taggable, names_of, what_is
from purposeguard.errors import UnlabelledData
from purposeguard.hints import Told, reader_of, tell, told_of
from purposeguard.label import Label
from purposeguard.marks import Mark
from purposeguard.shapes import shape_of
from purposeguard.terms import Source, TermMeta

OneTag = type[Source] | Label | Mark
Tags = OneTag | Iterable[OneTag]
"""What is said of a field: a source class, a label, a mark; or several of these."""


def tag(cls: type, /, **fields: Tags) -> None:
    """Tags the fields of a class from outside, as `Annotated[…]` would in its own text.

    `tag(User, id=pg.Subject, email=Account, segment=(Account, Orders))`. It holds for subclasses too (of a TypedDict as
    far as it knows what it derives from), and adds to what annotations say: a tag is never taken back. Fields that are
    not named stay as they are; `untagged` lists them. Do it where the class is imported, before anything asks for its
    tags: guards remember what they have read.

    Raises:
        TypeError: `cls` can carry no tags, or a field is told by something that is no tag.
        UnknownSource: a tag is a purpose, or the bare `Source`.
        UnlabelledData: there is no such field, or nothing is said of one; it was tagged from outside before, in another
            way; or the tags of the class, or of a subclass, were read already.
    """
    if not is_taggable(cls):
        raise TypeError(f"{what_is(cls)} has no fields that can carry tags: give {READABLE}")
    known = names_of(cls)
    told = {name: _read(f"{cls.__qualname__}.{name}", spec) for name, spec in fields.items()}
    for name in told:
        if name not in known:
            raise UnlabelledData(f"{cls.__qualname__} has no field `{name}`: it has {', '.join(known) or 'none'}")
    before = told_of(cls)
    changed = {name: tags for name, tags in told.items() if before.get(name) != tags}
    for name in changed:
        if name in before:
            raise UnlabelledData(f"{cls.__qualname__}.{name} was tagged from outside before, in another way")
    if not changed:
        return  # a module that is loaded again says the same again
    reader = reader_of(cls)
    if reader is not None:
        raise UnlabelledData(
            f"the tags of {reader} were read already, and guards remember them: tag {cls.__qualname__} where it is "
            "imported, before a function or table that holds it is guarded"
        )
    tell(cls, MappingProxyType({**before, **changed}))


def _read(where: str, spec: object) -> Told:
    parts: tuple[object, ...]
    if isinstance(spec, (TermMeta, Label, Mark)):
        parts = (spec,)
    elif isinstance(spec, Iterable) and not isinstance(spec, (str, bytes)):
        parts = tuple(spec)
    else:
        parts = (spec,)
    for part in parts:
        if not isinstance(part, (TermMeta, Label, Mark)):
            raise TypeError(f"`{where}` is told by a source class, a label or a mark, not {type(part).__name__}")
    if not parts:
        raise UnlabelledData(f"`{where}` is told by nothing: say `NotPersonal` where it is not personal (rule 4)")
    shape_of(Annotated[(object, *parts)])  # a purpose is no tag
    return cast("Told", parts)
