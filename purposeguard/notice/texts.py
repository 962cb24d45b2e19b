"""Titles and published words of a notice file, by language."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    RootModel,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from purposeguard.containers import omit_keys
from purposeguard.notice.fields import LINES, ONE_LINE, Table, Text
from purposeguard.notice.languages import is_well_formed


def _language(tag: str) -> str:
    if not is_well_formed(tag):
        raise ValueError("is no language tag: write one of BCP 47, e.g. `en`, `pt-BR`, `zh-Hant`")
    return tag


def _check_file_name(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.name or set(name) & {"\\", ":"}:
        raise ValueError("is no file beside the notice: write a path below its folder, e.g. `texts/notice.en.txt`")
    return name


V = TypeVar("V")
Language = Annotated[str, Field(max_length=100), AfterValidator(_language)]


class ByLanguage(RootModel[dict[Language, V]], Mapping[str, V], Generic[V]):
    """Something in one language or more, by their tags (BCP 47); the first where no other is asked for."""

    model_config = ConfigDict(frozen=True)

    root: Annotated[dict[Language, V], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        tags = sorted(self.root, key=str.casefold)
        for tag, other in itertools.pairwise(tags):
            if tag.casefold() == other.casefold():
                raise ValueError(f"names the language `{tag}` a second time, as `{other}`")
        return self

    def begin_with(self, tag: str) -> None:
        """Put a language first, if there is one. Equality and hash do not change."""
        if tag in self.root:
            others = omit_keys(self.root, (tag,))
            first = self.root[tag]
            self.root.clear()
            self.root.update({tag: first, **others})

    def __getitem__(self, tag: str) -> V:
        return self.root[tag]

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]  # as a mapping, not as a model
        return iter(self.root)

    def __len__(self) -> int:
        return len(self.root)

    def __hash__(self) -> int:
        return hash(frozenset(self.root.items()))


class Titles(ByLanguage[Text]):
    """A short title in the file author's own words, by language."""


class Passage(Table):
    """The published words of a row: themselves, or the place where a file beside the notice has them.

    `lines`: lines of the file, `12` or `12-18`. Or `from` and `to`: the passage from some words, which the file has
    once, to the end of some others; without `to` to the end of the paragraph. `sha256` is that of the words in a file:
    who reads the file fills it in, or holds the words to the one that the notice states.
    """

    words: Annotated[str, Field(min_length=1, pattern=LINES)] | None = None
    file: (
        Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE), AfterValidator(_check_file_name)] | None
    ) = None
    lines: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,6}(-[1-9][0-9]{0,6})?$")] | None = None
    from_: Text | None = Field(default=None, alias="from")
    to: Text | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if self.words is not None:
            if self.model_fields_set != {"words"}:
                raise ValueError("needs either `words` or a `file`")
            if not self.words.strip():
                raise ValueError("is blank")
        elif self.file is None or (self.lines is None) == (self.from_ is None) or (self.to and not self.from_):
            raise ValueError('needs words in quotes, or a `file` with `lines` ("12-18") or with `from` and `to`')
        elif self.sha256 is None:
            raise ValueError(
                f"is in the file `{self.file}`, and none is beside this notice: read it with `Notice.load(path)`, or "
                "state the `sha256` of the words"
            )
        return self

    @model_serializer(mode="wrap")
    def _plain(self, handler: SerializerFunctionWrapHandler) -> Any:
        return handler(self) if self.words is None else self.words

    @property
    def place(self) -> str:
        """Where a file has the words: `notice.en.txt, lines 12-18`."""
        if self.lines is not None:
            return f"{self.file}, line{'s' if '-' in self.lines else ''} {self.lines}"
        return f"{self.file}, from “{self.from_}”"


def _from_words(given: object) -> object:
    return {"words": given} if isinstance(given, str) else given


class _OrWords:
    """In the JSON Schema: words in quotes, or a place."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(schema)]}


class Texts(ByLanguage[Annotated[Passage, BeforeValidator(_from_words), _OrWords]]):
    """What the notice itself says in a row, word by word, by language."""


def iter_texts_by_language(table: Table) -> Iterator[ByLanguage[Any]]:
    """Yield the titles and texts of a table and of all tables in it, in the order of the file."""
    for name in type(table).model_fields:
        value = getattr(table, name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, ByLanguage):
                yield part
            elif isinstance(part, Table):
                yield from iter_texts_by_language(part)
