"""Tags of a dbt project: those in `meta`, which declares resources and columns, completed by `tags.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from purposeguard.adapters.dbt.manifest import Config, ManifestColumn, ManifestNode
from purposeguard.adapters.tags import KEY, Revisions, Tag, make_field_tag, merge_file_tags, parts_of
from purposeguard.containers import drop_none_values
from purposeguard.errors import PurposeGuardError, UnlabelledData
from purposeguard.notice.vocabulary import find_nearest, is_text
from purposeguard.project.tags import FieldTag, TagFile
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
    """A declared declassification, with the arguments of `Guard.reclassify`."""

    why: Text
    approver: Text | None = None
    at_least: int = Field(ge=2)
    """The minimum number of subjects behind each figure."""


class OfColumn(_Meta):
    """The `meta` of a column."""

    tags: Words | None = None
    declassified: Declassified | None = None


class OfTable(_Meta):
    """The `meta` of a table: default tags for its columns, and the purpose of the table."""

    tags: Words | None = None
    purpose: Text | None = None
    channel: Text | None = None


class OfExposure(_Meta):
    """The `meta` of an exposure."""

    purpose: Text | None = None
    channel: Text | None = None
    columns: dict[str, list[str]] = Field(default_factory=dict)
    """The columns that the exposure uses, by model. It uses all columns of a model that is missing here."""


M = TypeVar("M", OfColumn, OfTable, OfExposure)


def read_meta(kind: type[M], described: ManifestNode | ManifestColumn, where: str) -> M:
    """Read the `meta` of a resource or column under the key `purposeguard`.

    Args:
        kind: The model to validate the value with.
        described: The resource or column.
        where: The name of the resource or column in errors.

    Raises:
        UnlabelledData: the value is invalid, or `meta` and `config.meta` differ.
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
    """Return the value under the key. dbt also copies `config.meta` to `meta`, and older versions have only `meta`."""
    values = [mapping[KEY] for mapping in (meta, config.meta) if KEY in mapping]
    if len(values) == 2 and values[0] != values[1]:
        raise UnlabelledData(NOT_READ.format(where=where, why=f"`meta.{KEY}` and `config.meta.{KEY}` differ"))
    return values[0] if values else None


def read_tag(
    revisions: Revisions, words: Words | None, file: TagFile | None, stated: FieldTag | None, where: str
) -> Tag | None:
    """Return the tag that `meta` and `tags.toml` state for a column.

    Args:
        revisions: The notice, or all its revisions, or several notices.
        words: The words of the tag in `meta`, if there are any.
        file: The file, if there is one.
        stated: What the file says about the column, if anything.
        where: The name of the column in errors.

    Returns:
        The tag. None if neither states one, or the column is undecided.

    Raises:
        NoticeError: the two do not agree.
        UnlabelledData: the words are not a tag, or need a decision for each row, which dbt's queries cannot make; or
            the column is undecided and marked.
        UnknownSource: a word names a source that the notice does not have.
    """
    table, _, name = where.rpartition(".")
    try:
        annotated = None if words is None else make_field_tag(revisions, parts_of(words), where)
        by_file, by_meta = (drop_none_values({name: tag}) for tag in (stated, annotated))
        tag = merge_file_tags(revisions, file, [by_file], by_meta, table).get(name)
    except PurposeGuardError:
        raise
    except ValueError as error:
        why = str(error)
    else:
        if tag is None or (not tag.by_row and (tag.mark is None or isinstance(tag.mark, SubjectMark))):
            return tag
        why = (
            "rows are not decided one by one here, so `by-row`, `source`, `collected` and `ended` have no meaning: "
            "name every source that the rows may have"
        )
    raise UnlabelledData(NOT_READ.format(where=where, why=why))
