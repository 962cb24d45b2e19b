"""Faults planted in valid notices, each in rows of its own, with the places at which a reader must find them.

What is expected is said here, by whoever plants, and not asked of the library: it holds for any reader of the format.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from tests.generated.notice_tables import Tables, copied, purposes_of, tables, titled


class PlantedFault(NamedTuple):
    """One thing that is wrong with a notice: its `kind`, and every place where it must be found.

    A place is a path in the file, `grant[2].purpose[0].channels`; the empty one is the file as a whole.
    """

    kind: str
    places: tuple[str, ...]


class FaultyNotice(NamedTuple):
    """A notice that must be refused. `tables` is None where the file cannot be read as TOML at all."""

    content: bytes
    tables: Mapping[str, Any] | None
    faults: tuple[PlantedFault, ...]

    @property
    def text(self) -> str:
        """The file as text; what is not UTF-8 is replaced."""
        return self.content.decode("utf-8", "replace")

    @property
    def places(self) -> tuple[str, ...]:
        """Every place at which a fault must be found, and no other, sorted."""
        return tuple(sorted(place for fault in self.faults for place in fault.places))


Plant = Callable[[Tables], list[str]]
"""Puts a fault into the tables of a notice; gives its places."""

PLANTS: Final[dict[str, Plant]] = {}
"""Kind → what plants it. Any two may be planted in one notice."""


def _plants(kind: str) -> Callable[[Plant], Plant]:
    def add(plant: Plant) -> Plant:
        PLANTS[kind] = plant
        return plant

    return add


def _row(made: Tables, table: str, **row: object) -> str:
    """Adds a row without what is None; its place. `class_` stands for `class`, `from_` for `from`."""
    rows = made.setdefault(table, [])
    rows.append({key.rstrip("_"): value for key, value in row.items() if value is not None})
    return f"{table}[{len(rows) - 1}]"


def _source(made: Tables, **keys: object) -> str:
    number = len(made["source"])
    row: dict[str, object] = {"id": f"99.{number}", "class_": f"Broken{number}", "title": titled("it")}
    return _row(made, "source", **(row | keys))


def _purpose(made: Tables, **keys: object) -> str:
    """Adds a purpose to the first grant: not to the last, into which another fault may have been put."""
    rows = made["grant"][0]["purpose"]
    number = len(rows)
    rows.append({"id": f"97.{number}", "class": f"BrokenGoal{number}", "title": titled("it")} | keys)
    return f"grant[0].purpose[{number}]"


def _overlay(made: Tables, **keys: object) -> str:
    number = len(made.get("overlay", ()))
    row: dict[str, object] = {
        "id": f"94.{number}",
        "class_": f"BrokenSheet{number}",
        "title": titled("it"),
        "source": made["source"][0]["id"],
        "product": "product",
        "item": "item",
        "serves": [],
    }
    return _row(made, "overlay", **(row | keys))


def _derivation(made: Tables, **keys: object) -> str:
    number = len(made.get("derivation", ()))
    row: dict[str, object] = {
        "id": f"93.{number}",
        "class_": f"BrokenLink{number}",
        "title": titled("it"),
        "operation": f"break-{number}",  # An operation of its own, because two rows about the same are another fault.
        "function": f"broken_{number}",
        "from_": [made["source"][0]["id"]],
        "with_": [made["source"][0]["id"]],
        "serves": purposes_of(made)[:1],
    }
    return _row(made, "derivation", **(row | keys))


def _grant(made: Tables, **keys: object) -> str:
    number = len(made["grant"])
    row: dict[str, object] = {
        "clause": f"96.{number}",
        "title": titled("it"),
        "sources": [made["source"][0]["id"]],
        "purpose": [{"id": f"96.{number}.1", "class": f"OtherGoal{number}", "title": titled("it")}],
    }
    return _row(made, "grant", **(row | keys))


# ---- What a single row tells --------------------------------------------------------------------------------------


@_plants("unknown-key")
def _(made: Tables) -> list[str]:
    return [_source(made, colour="red") + ".colour"]


@_plants("missing-title")
def _(made: Tables) -> list[str]:
    return [_source(made, title=None) + ".title"]


@_plants("no-language")
def _(made: Tables) -> list[str]:
    return [_source(made, title={}) + ".title"]


@_plants("language-that-is-no-tag")
def _(made: Tables) -> list[str]:
    return [_source(made, title={"en_US": "in words", "ja": "語"}) + ".title.en_US"]


@_plants("text-without-a-file")
def _(made: Tables) -> list[str]:
    return [_source(made, text={"en": {"file": "notice.txt", "lines": "3"}}) + ".text.en"]


@_plants("empty-text")
def _(made: Tables) -> list[str]:
    return [_source(made, title={"en": "", "ja": "空"}) + ".title.en"]


@_plants("line-break-in-a-text")
def _(made: Tables) -> list[str]:
    return [_source(made, title={"en": "two\nlines", "ja": "二行"}) + ".title.en"]


@_plants("unreadable-id")
def _(made: Tables) -> list[str]:
    return [_source(made, id="???") + ".id"]


@_plants("id-too-long")
def _(made: Tables) -> list[str]:
    return [_source(made, id="9" * 101) + ".id"]


@_plants("id-of-another-type")
def _(made: Tables) -> list[str]:
    return [_source(made, id=91) + ".id"]


@_plants("not-a-class-name")
def _(made: Tables) -> list[str]:
    return [_source(made, class_="lowerCase") + ".class"]


@_plants("flag-of-another-type")
def _(made: Tables) -> list[str]:
    return [_source(made, automatic="perhaps") + ".automatic"]


@_plants("channels-open-and-closed")
def _(made: Tables) -> list[str]:
    return [_purpose(made, channels={"closed": ["email"], "open": ["email"]}) + ".channels"]


@_plants("channels-neither-open-nor-closed")
def _(made: Tables) -> list[str]:
    return [_purpose(made, channels={}) + ".channels"]


@_plants("no-channels-named")
def _(made: Tables) -> list[str]:
    return [_purpose(made, channels={"closed": []}) + ".channels.closed"]


@_plants("unknown-basis")
def _(made: Tables) -> list[str]:
    return [_purpose(made, basis="curiosity") + ".basis"]


@_plants("grant-without-purposes")
def _(made: Tables) -> list[str]:
    return [_grant(made, purpose=[]) + ".purpose"]


@_plants("grant-without-sources")
def _(made: Tables) -> list[str]:
    return [_grant(made, sources=[]) + ".sources"]


@_plants("family-of-one")
def _(made: Tables) -> list[str]:
    return [_row(made, "family", class_="AnyLonely", purposes=purposes_of(made)[:1], title=titled("it")) + ".purposes"]


@_plants("not-a-function-name")
def _(made: Tables) -> list[str]:
    return [_derivation(made, function="Not A Name") + ".function"]


# ---- What rows tell of each other ---------------------------------------------------------------------------------


@_plants("duplicate-id")
def _(made: Tables) -> list[str]:
    return [_source(made, id=made["source"][0]["id"]) + ".id"]


@_plants("duplicate-class")
def _(made: Tables) -> list[str]:
    return [_source(made, class_=made["source"][0]["class"]) + ".class"]


@_plants("duplicate-clause")
def _(made: Tables) -> list[str]:
    return [_grant(made, clause=made["grant"][0]["clause"]) + ".clause"]


@_plants("class-of-another-kind")
def _(made: Tables) -> list[str]:
    return [_purpose(made, **{"class": made["source"][0]["class"]}) + ".class"]


@_plants("reserved-class")
def _(made: Tables) -> list[str]:
    return [_source(made, class_="Notice") + ".class"]


@_plants("reserved-function")
def _(made: Tables) -> list[str]:
    return [_derivation(made, function="print") + ".function"]


@_plants("unknown-parent")
def _(made: Tables) -> list[str]:
    return [_source(made, parent="77.7(z)") + ".parent"]


@_plants("circle-of-parents")
def _(made: Tables) -> list[str]:
    return [_source(made, id=f"98.{one}", parent=f"98.{other}") + ".parent" for one, other in ((1, 2), (2, 1))]


@_plants("unknown-source-granted")
def _(made: Tables) -> list[str]:
    made["grant"][0]["sources"].append("77.7(y)")
    return [f"grant[0].sources[{len(made['grant'][0]['sources']) - 1}]"]


@_plants("source-granted-twice")
def _(made: Tables) -> list[str]:
    place = _grant(made, sources=[made["source"][0]["id"]] * 2)
    return [f"{place}.sources[1]"]


@_plants("unknown-channel")
def _(made: Tables) -> list[str]:
    return [_purpose(made, channels={"closed": ["pigeon"]}) + ".channels.closed[0]"]


@_plants("family-of-unknown-purposes")
def _(made: Tables) -> list[str]:
    place = _row(made, "family", class_="AnyNowhere", purposes=["77.1①", "77.1②"], title=titled("it"))
    return [f"{place}.purposes[{index}]" for index in range(2)]


@_plants("unknown-sources-and-purposes-forbidden")
def _(made: Tables) -> list[str]:
    place = _row(made, "forbid", sources=["77.7(w)"], purposes=["AnythingAtAll"], reason=titled("it"))
    return [f"{place}.{key}[0]" for key in ("sources", "purposes")]


@_plants("overlay-that-widens")
def _(made: Tables) -> list[str]:
    number = len(made["source"])
    _source(made, id="95.1")
    ungranted = made["source"][number]["id"]
    return [_overlay(made, source=ungranted, serves=purposes_of(made)[:1]) + ".serves"]


@_plants("overlay-of-nothing")
def _(made: Tables) -> list[str]:
    return [_overlay(made, source="77.7(v)") + ".source"]


@_plants("derivation-from-itself")
def _(made: Tables) -> list[str]:
    number = len(made.get("derivation", ()))
    return [_derivation(made, id=f"92.{number}", from_=[f"92.{number}"]) + ".from"]


@_plants("derivation-from-nothing")
def _(made: Tables) -> list[str]:
    return [_derivation(made, with_=["77.7(u)"]) + ".with[0]"]


@_plants("extension-of-an-unknown-purpose")
def _(made: Tables) -> list[str]:
    return [_row(made, "extension", purposes=["77.1③"], basis="consent") + ".purposes[0]"]


@_plants("renaming-to-nothing")
def _(made: Tables) -> list[str]:
    return [_row(made, "renamed", kind="source", old="0.8", new="77.7(t)") + ".new"]


# ---- What the file as a whole tells -------------------------------------------------------------------------------


@_plants("no-date")
def _(made: Tables) -> list[str]:
    made["revision"] = "the day before yesterday"
    return ["revision"]


@_plants("another-format")
def _(made: Tables) -> list[str]:
    made["format"] = 2
    return ["format"]


@_plants("unknown-time-zone")
def _(made: Tables) -> list[str]:
    made["timezone"] = "Atlantis/Poseidonis"
    return ["timezone"]


@_plants("unknown-table")
def _(made: Tables) -> list[str]:
    made["grants"] = []
    return ["grants"]


@_plants("missing-controller")
def _(made: Tables) -> list[str]:
    made.pop("controller", None)
    return ["controller"]


UNREADABLE: Final[dict[str, Callable[[bytes], bytes]]] = {
    "empty-file": lambda _: b"",
    "only-comments": lambda _: b"# a notice is to come\n",
    "not-toml": lambda content: content + b"\n[[source\n",
    "cut-short": lambda content: content.rstrip()[:-1],
    "json": lambda _: b'{"format": 1}',
    "key-written-twice": lambda content: content + b"\nformat = 1\n",
    "not-utf-8": lambda content: content.replace("の".encode(), "の".encode("shift_jis")) + b"# \x82\xcc\n",
}
"""Kind → what makes a file unreadable."""


@st.composite
def faulty_notices(draw: st.DrawFn, most: int = 3) -> FaultyNotice:
    """Notices with up to so many faults at once; now and then one that cannot be read at all."""
    # Kinds first: what is drawn after much else is mostly the simplest.
    if draw(st.integers(0, 7)) == 7:
        kind = draw(st.sampled_from(list(UNREADABLE)))
        return FaultyNotice(UNREADABLE[kind](as_toml(draw(tables())).encode()), None, (PlantedFault(kind, ("",)),))
    # With `unique=True` each is drawn from those that are left, so that without the first the others would differ.
    kinds = dict.fromkeys(draw(st.lists(st.sampled_from(list(PLANTS)), min_size=1, max_size=most)))
    made = copied(draw(tables()))
    faults = tuple(PlantedFault(kind, tuple(PLANTS[kind](made))) for kind in kinds)
    return FaultyNotice(as_toml(made).encode(), made, faults)


def as_toml(made: Mapping[str, Any]) -> str:
    """The tables as a file, each key on a line of its own."""
    return "".join(f"{key} = {_valued(value)}\n" for key, value in made.items())


def _valued(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_valued(one)}' for key, one in value.items())} }}" if value else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_valued, value))}]"
    # The escapes of JSON are those of TOML, but for one character that JSON writes as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
