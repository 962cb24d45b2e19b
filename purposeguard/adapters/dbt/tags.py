"""Tags in `meta`: what the resources and columns of a dbt project are declared to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from purposeguard.adapters.dbt.manifest import Config, ManifestColumn, ManifestNode
from purposeguard.adapters.tags import KEY, Revisions, Tag, parts_of, tag_of
from purposeguard.errors import PurposeGuardError, UnlabelledData
from purposeguard.notice.vocabulary import find_nearest, is_text
from purposeguard.values.markers import SubjectMark

NOT_READ: Final = "the `meta` of `{where}` cannot be read: {why}"


def _require_text(text: str) -> str:
    if not is_text(text):
        raise ValueError("must not be blank")
    return text


Text = Annotated[str, AfterValidator(_require_text)]
Words = str | list[str]


class _Meta(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True)


class Declassified(_Meta):
    """A declared declassification, in the words of `Guard.reclassify`: why, by whom, over how many subjects."""

    why: Text
    approver: Text | None = None
    at_least: int = Field(ge=2)


class OfColumn(_Meta):
    """What the `meta` of a column says."""

    tags: Words | None = None
    declassified: Declassified | None = None


class OfTable(_Meta):
    """What the `meta` of a table says: the tags of its columns without any, and what the table is for."""

    tags: Words | None = None
    purpose: Text | None = None
    channel: Text | None = None


class OfExposure(_Meta):
    """What the `meta` of an exposure says. `columns`: by model, the ones that it uses; all of them if left out."""

    purpose: Text | None = None
    channel: Text | None = None
    columns: dict[str, list[str]] = Field(default_factory=dict)


M = TypeVar("M", OfColumn, OfTable, OfExposure)


def read_meta(kind: type[M], described: ManifestNode | ManifestColumn, where: str) -> M:
    """What a `meta` says under the key `purposeguard`; `where` names its resource or column.

    Raises:
        UnlabelledData: it cannot be read, or `meta` and `config.meta` differ.
    """
    written = _find_meta_value(described.meta, described.config, where)
    if written is None:
        return kind()
    data: Any = {"tags": written} if isinstance(written, (str, list)) and kind is not OfExposure else written
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        why = ".".join(map(str, fault["loc"])) + ": " + fault["msg"]
        if fault["type"] == "extra_forbidden":
            near = find_nearest(fault["loc"][-1], kind.model_fields)
            why += f" (did you mean `{near[0]}`?)" if near else f" (known are {', '.join(kind.model_fields)})"
        elif fault["type"] == "model_type":
            why = f"must be a mapping of {', '.join(kind.model_fields)}; of ids, a text in quotes or a list of these"
    raise UnlabelledData(NOT_READ.format(where=where, why=why.removeprefix(": ")))


def _find_meta_value(meta: Mapping[str, Any], config: Config, where: str) -> Any:
    """Return the value under the key; dbt writes `config.meta` to `meta` as well, and older versions have only that."""
    values = [place[KEY] for place in (meta, config.meta) if KEY in place]
    if len(values) == 2 and values[0] != values[1]:
        raise UnlabelledData(NOT_READ.format(where=where, why=f"`meta.{KEY}` and `config.meta.{KEY}` differ"))
    return values[0] if values else None


def read_tag(revisions: Revisions, words: Words, where: str) -> Tag:
    """Return the tag that is written so.

    Raises:
        UnlabelledData: it is none, or rows would have to be decided one by one, which no query of dbt's does.
        UnknownSource: it names no source of the notice.
    """
    try:
        tag = tag_of(revisions, parts_of(words), where)
    except PurposeGuardError:
        raise
    except ValueError as error:
        why = str(error)
    else:
        if not tag.by_row and (tag.mark is None or isinstance(tag.mark, SubjectMark)):
            return tag
        why = (
            "rows are not decided one by one here, so `by-row`, `source`, `collected` and `ended` have no meaning: "
            "name every source that the rows may have"
        )
    raise UnlabelledData(NOT_READ.format(where=where, why=why))
