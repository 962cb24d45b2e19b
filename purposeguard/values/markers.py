"""Marks on the fields of a model that hold the subject of a row, its day of collection, and the end of its use.

`Annotated[int, Subject]`, `Annotated[datetime, Collected]`, `Annotated[date | None, Ended]`. Data that is
read through a guard is then checked row by row. Columns of tables have two marks more, `RowSource` and `ByRow`.
"""

from __future__ import annotations

import re
from typing import Any, Final

from purposeguard.notice.immutable import Immutable
from purposeguard.policy.row_context import REALM


class Mark(Immutable):
    """A mark on a field: `Subject`, `Collected` or `Ended`; on a column of a table also `RowSource` or `ByRow`."""

    __slots__ = ("name",)

    name: str

    def __init__(self, name: str) -> None:
        self._fill(name=name)

    def __reduce__(self) -> str | tuple[Any, ...]:
        return self.name

    def __repr__(self) -> str:
        return self.name


class SubjectMark(Mark):
    """A mark on the field that holds a subject's id. `Subject("customer")`: the id counts among customers.

    Where customers and leads are both numbered from 1, customer 1 and lead 1 are two people. With a realm before it an
    id is `customer:1`, which is what the subject is called wherever one is named.
    """

    __slots__ = ("realm",)

    realm: str | None

    def __init__(self, realm: str | None = None) -> None:
        super().__init__("Subject")
        self._fill(realm=realm)

    def __call__(self, realm: str) -> SubjectMark:
        """Make the mark of ids that count within a realm.

        Raises:
            ValueError: a realm is a word of lower-case letters, digits, `_` and `-`.
        """
        if not re.fullmatch(REALM, str(realm)):
            raise ValueError('a realm is a word of lower-case letters, digits, `_` and `-`: `Subject("customer")`')
        return SubjectMark(realm)

    def __eq__(self, other: object) -> bool:
        return self.realm == other.realm if isinstance(other, SubjectMark) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.name, self.realm))

    def __reduce__(self) -> str | tuple[Any, ...]:
        return self.name if self.realm is None else (SubjectMark, (self.realm,))

    def __repr__(self) -> str:
        return self.name if self.realm is None else f'{self.name}("{self.realm}")'


Subject: Final = SubjectMark()
"""The field holds the id of the person whom the row is about: an int, a text or a UUID (clause 7)."""

Collected: Final = Mark("Collected")
"""The field holds the day, or the moment, on which the row was collected (clauses 8 and 11)."""

Ended: Final = Mark("Ended")
"""The field holds the day, or the moment, on which the subject's use ended; None while it goes on (clause 8)."""

RowSource: Final = Mark("RowSource")
"""The column holds the id of the source that its row was collected under, as `1.1(a)`: in tables of several sources."""

ByRow: Final = Mark("ByRow")
"""The column holds data collected under the source that its row names, in the column marked `RowSource`."""

TABLES_ALONE: Final = frozenset({RowSource, ByRow})
"""Marks for columns of tables alone. The sources of a model's field are known before there is a row."""
