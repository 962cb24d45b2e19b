"""Generated notices that are held to at once: each with its revisions, and families over them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from purposeguard import History, Label, Notice, Notices, Source
from purposeguard.notice.vocabulary import Family, Purpose
from purposeguard.policy.joint import JointTable, NoticesInForce
from purposeguard.testing.strategies import Asked as Part
from purposeguard.testing.strategies import list_purposes, name_of
from tests import histories
from tests.generated import notice_revisions


@dataclasses.dataclass(frozen=True)
class Together:
    """Notices by id: `known` the revisions of each, `inforce` the one that decides. `asked`: purpose by notice."""

    known: Mapping[str, tuple[Notice, ...]]
    inforce: Mapping[str, Notice]
    families: Mapping[str, Mapping[str, Part]]

    @property
    def notices(self) -> Notices:
        """As code declares them."""
        return Notices(*(History(*known) for known in self.known.values()), families=self.unions)

    @property
    def unions(self) -> dict[str, object]:
        """The families over several notices, as code declares them."""
        return {name: union_of(parts) for name, parts in self.families.items()}

    @property
    def table(self) -> JointTable:
        """The table of the revisions in force."""
        members = tuple((self.inforce[id_], History(*known)) for id_, known in self.known.items())
        return JointTable.compile_from(NoticesInForce(members, self.unions))

    def documents(self) -> dict[str, list[Any]]:
        """As the specification takes them."""
        return {id_: [one.document for one in (*known, self.inforce[id_])] for id_, known in self.known.items()}

    def asked(self) -> list[tuple[object, dict[str, str]]]:
        """Everything that can be asked for, each with what it means to each notice."""
        own: list[tuple[object, dict[str, str]]] = [
            (part, {id_: name_of(part)}) for id_, one in self.inforce.items() for part in list_purposes(one)
        ]
        joint = [(name, {id_: name_of(part) for id_, part in of.items()}) for name, of in self.families.items()]
        return [*own, *joint]


def union_of(parts: Mapping[str, Part]) -> object:
    """`jp.Renewal | eu.Renewal`."""
    first, *others = parts.values()
    union: Any = first.union if isinstance(first, Family) else first
    for part in others:
        union = union | (part.union if isinstance(part, Family) else part)
    return union


@st.composite
def several(draw: st.DrawFn, *, latest: bool = False) -> Together:
    """Two or three notices; their ids of clauses, classes, channels and conditions are mostly the same.

    `latest`: no earlier revision is in force.
    """
    known: dict[str, tuple[Notice, ...]] = {}
    for id_ in ("first", "second", "third")[: draw(st.sampled_from([2, 2, 3]))]:
        made = draw(notice_revisions.revisions(least=1, conditions=draw(st.booleans())))
        known[id_] = tuple(Notice.parse(one.dump() | {"id": id_}) for one in made)
    inforce = {id_: draw(st.sampled_from([of[-1], of[-1], of[-1 if latest else 0]])) for id_, of in known.items()}
    families: dict[str, dict[str, Part]] = {}
    for name in ("AnyJointGoal", "OtherJointGoal")[: draw(st.integers(1, 2))]:
        ids = draw(st.lists(st.sampled_from(list(known)), min_size=2, unique=True))
        parts = {id_: draw(st.sampled_from(list_purposes(inforce[id_]))) for id_ in ids}
        families[name] = {id_: parts[id_] for id_ in known if id_ in parts}
    return Together(known, inforce, families)


@st.composite
def facts(draw: st.DrawFn, situation: Together, *, named: bool | None = None) -> dict[str, histories.Context]:
    """What may be known of a datum and its subject, by notice; what is asked of a person is asked for all.

    `named`: whether it is said whose the data is; of nobody's, no wish is known.
    """
    found = {id_: draw(histories.context(of, situation.inforce[id_])) for id_, of in situation.known.items()}
    named = draw(st.sampled_from([True, True, False])) if named is None else named
    said = {"named": named, "stopped": next(iter(found.values()))["stopped"]}
    said |= {} if named else {"stopped": False, "suspended": (), "consents": ()}
    every = draw(st.sampled_from([True, True, False]))
    return {
        id_: known | said | ({"conditions": frozenset(situation.inforce[id_].conditions)} if every else {})
        for id_, known in found.items()
    }


@st.composite
def labels(draw: st.DrawFn, situation: Together) -> list[tuple[str, type[Source]]]:
    """A few sources of the notices in force, each with its notice: any, or such as a family over several may use."""
    every = [(id_, source) for id_, one in situation.inforce.items() for source in one.sources]
    parts = draw(st.sampled_from(list(situation.families.values())))
    fitting = [
        [
            (id_, source)
            for source, granted in situation.inforce[id_].grants.items()
            if not members(part).isdisjoint(granted)
        ]
        for id_, part in parts.items()
    ]
    if all(fitting) and draw(st.booleans()):
        return [draw(st.sampled_from(of)) for of in fitting]
    return draw(st.lists(st.sampled_from(every), min_size=1, max_size=3, unique=True))


def members(part: Part) -> frozenset[type[Purpose]]:
    """The purposes of a family; a purpose itself."""
    return frozenset(part.members if isinstance(part, Family) else (part,))


def label_of(sources: list[tuple[str, type[Source]]]) -> Label:
    """The one label of these."""
    return Label(*(source for _, source in sources))
