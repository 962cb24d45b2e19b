"""Tags in a module whose annotations are all texts."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar, TypedDict

from pydantic import BaseModel

from purposeguard.notices import trendmicro_jp as tm


@dataclasses.dataclass
class Data:
    email: Annotated[str, tm.Registration]
    wrong: ClassVar[int] = 0


class Model(BaseModel):
    email: Annotated[str, tm.Registration]


class Row(TypedDict):
    email: Annotated[str, tm.Registration]


@dataclasses.dataclass
class Wrong:
    email: Annotated[str, "1.1(a)"]


class Plain:
    email: Annotated[str, tm.Registration]
