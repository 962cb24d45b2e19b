"""Notice files: what is read is what was written, and what is wrong is all told at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from purposeguard import Notice, NoticeError
from purposeguard.notices import trendmicro_jp as tm
from tests import support
from tests.properties.spellings import spellings
from tests.support import Tables, titled


@given(notice=st.one_of(st.just(tm.NOTICE), support.notices(rest=True)))
def test_load_dump_is_identity(notice: Notice) -> None:
    tables = notice.dump()
    for again in (Notice.parse(tables), Notice.loads(tomli_w.dumps(tables))):
        assert again == notice
        assert again.document == notice.document
        assert again.dump() == tables
        assert hash(again) == hash(notice)
        assert [one.clause for one in again.sources] == [one.clause for one in notice.sources]
        assert [one.clause for one in again.purposes] == [one.clause for one in notice.purposes]
    changed = support.copied(tables)
    changed["title"]["en"] += "."
    assert Notice.parse(changed) != notice


@given(data=st.data(), made=support.tables())
def test_references_are_read_generously_and_kept_canonical(data: st.DataObject, made: Tables) -> None:
    """A file whose references are spelled as people spell them is the same notice."""
    respelled = support.copied(made)
    names = {
        row["id"]: row["class"]
        for rows in (made["source"], made.get("overlay", ()), made.get("derivation", ()))
        for row in rows
    }
    purposes = {row["id"]: row["class"] for grant in made["grant"] for row in grant["purpose"]}

    def other(given_id: str, known: dict[str, str]) -> str:
        return data.draw(st.sampled_from([known[given_id], given_id])) if data.draw(st.booleans()) else given_id

    for grant in respelled["grant"]:
        grant["sources"] = [data.draw(spellings(one)) for one in grant["sources"]]
    for row in respelled["source"]:
        if "parent" in row:
            row["parent"] = data.draw(spellings(row["parent"]))
    for row in respelled.get("derivation", ()):
        row["from"] = [other(one, names) for one in row["from"]]
        row["serves"] = [other(one, purposes) for one in row["serves"]]
    for row in respelled.get("overlay", ()):
        row["source"] = other(row["source"], names)
        row["serves"] = [data.draw(spellings(one)) for one in row["serves"]]
    for row in respelled.get("forbid", ()):
        row["sources"] = [other(one, names) for one in row["sources"]]
    assert Notice.parse(respelled) == Notice.parse(made)


# ---- Broken files: each fault is planted in rows of its own, and says at which places it must be found -------------

Fault = Callable[[Tables], list[str]]


def _source(made: Tables, **keys: object) -> str:
    """Adds a source row; its place."""
    number = len(made["source"])
    row = {"id": f"99.{number}", "class": f"Broken{number}", "title": titled("it")} | keys
    made["source"].append({key: value for key, value in row.items() if value is not None})
    return f"source[{number}]"


def unknown_key(made: Tables) -> list[str]:
    return [_source(made, colour="red") + ".colour"]


def title_missing(made: Tables) -> list[str]:
    return [_source(made, title=None) + ".title"]


def half_a_title(made: Tables) -> list[str]:
    return [_source(made, title={"en": "only"}) + ".title.ja"]


def unreadable_id(made: Tables) -> list[str]:
    return [_source(made, id="???") + ".id"]


def lower_case_class(made: Tables) -> list[str]:
    return [_source(made, **{"class": "lowerCase"}) + ".class"]


def reserved_class(made: Tables) -> list[str]:
    return [_source(made, **{"class": "Notice"}) + ".class"]


def duplicate_id(made: Tables) -> list[str]:
    return [_source(made, id=made["source"][0]["id"]) + ".id"]


def duplicate_class(made: Tables) -> list[str]:
    return [_source(made, **{"class": made["source"][0]["class"]}) + ".class"]


def unknown_parent(made: Tables) -> list[str]:
    return [_source(made, parent="77.7(z)") + ".parent"]


def circle_of_parents(made: Tables) -> list[str]:
    first = len(made["source"])
    places = [_source(made, id="98.1", parent="98.2"), _source(made, id="98.2", parent="98.1")]
    assert places[0] == f"source[{first}]"
    return [f"{place}.parent" for place in places]


def unknown_source_in_a_grant(made: Tables) -> list[str]:
    made["grant"][0]["sources"].append("77.7(y)")
    return [f"grant[0].sources[{len(made['grant'][0]['sources']) - 1}]"]


def unknown_channel(made: Tables) -> list[str]:
    rows = made["grant"][0]["purpose"]  # not the last: another fault may have put an empty one there
    rows.append({"id": "97.1", "class": "Pigeon", "title": titled("it"), "channels": {"closed": ["pigeon"]}})
    return [f"grant[0].purpose[{len(rows) - 1}].channels.closed[0]"]


def open_and_closed(made: Tables) -> list[str]:
    rows = made["grant"][0]["purpose"]
    both = {"closed": ["email"], "open": ["email"]}
    rows.append({"id": "97.2", "class": "Both", "title": titled("it"), "channels": both})
    return [f"grant[0].purpose[{len(rows) - 1}].channels"]


def grant_of_nothing(made: Tables) -> list[str]:
    made["grant"].append({"clause": "96.1", "title": titled("it"), "sources": [made["source"][0]["id"]], "purpose": []})
    return [f"grant[{len(made['grant']) - 1}].purpose"]


def family_of_one(made: Tables) -> list[str]:
    rows = made.setdefault("family", [])
    rows.append({"class": "AnyLonely", "purposes": support.purposes_of(made)[:1], "title": titled("it")})
    return [f"family[{len(rows) - 1}].purposes"]


def family_of_an_unknown(made: Tables) -> list[str]:
    rows = made.setdefault("family", [])
    rows.append({"class": "AnyNowhere", "purposes": ["77.1①", "77.1②"], "title": titled("it")})
    return [f"family[{len(rows) - 1}].purposes[{index}]" for index in range(2)]


def unknown_prohibition(made: Tables) -> list[str]:
    rows = made.setdefault("forbid", [])
    rows.append({"sources": ["77.7(w)"], "purposes": ["AnythingAtAll"], "reason": titled("it")})
    return [f"forbid[{len(rows) - 1}].{key}[0]" for key in ("sources", "purposes")]


def overlay_that_widens(made: Tables) -> list[str]:
    rows = made.setdefault("overlay", [])
    ungranted = made["source"][int(_source(made, id="95.1")[7:-1])]["id"]
    rows.append(
        {
            "id": "P9",
            "class": "WideSheet",
            "title": titled("it"),
            "source": ungranted,
            "product": "p",
            "item": "i",
            "serves": support.purposes_of(made)[:1],
        }
    )
    return [f"overlay[{len(rows) - 1}].serves"]


def no_date(made: Tables) -> list[str]:
    made["revision"] = "the day before yesterday"
    return ["revision"]


def another_format(made: Tables) -> list[str]:
    made["format"] = 2
    return ["format"]


def unknown_table(made: Tables) -> list[str]:
    made["grants"] = []
    return ["grants"]


FAULTS: list[Fault] = [
    unknown_key,
    title_missing,
    half_a_title,
    unreadable_id,
    lower_case_class,
    reserved_class,
    duplicate_id,
    duplicate_class,
    unknown_parent,
    circle_of_parents,
    unknown_source_in_a_grant,
    unknown_channel,
    open_and_closed,
    grant_of_nothing,
    family_of_one,
    family_of_an_unknown,
    unknown_prohibition,
    overlay_that_widens,
    no_date,
    another_format,
    unknown_table,
]


def faults_of(made: Tables) -> list[str]:
    """The places of the faults of these tables, which must be the same when they are read from a file."""
    with pytest.raises(NoticeError) as refused:
        Notice.parse(made)
    with pytest.raises(NoticeError) as from_file:
        Notice.loads(tomli_w.dumps(made))
    assert from_file.value.faults == refused.value.faults
    text = str(refused.value)
    assert all(fault.place in text and fault.message for fault in refused.value.faults)
    assert all(len(line) <= 120 for line in text.splitlines())
    return [fault.place for fault in refused.value.faults]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_found_at_its_place(fault: Fault) -> None:
    made = tm.NOTICE.dump()
    expected = fault(made)
    assert sorted(faults_of(made)) == sorted(expected)


@given(data=st.data(), made=support.tables())
def test_every_fault_is_told_at_once(data: st.DataObject, made: Tables) -> None:
    chosen = data.draw(st.lists(st.sampled_from(FAULTS), min_size=1, max_size=len(FAULTS), unique=True))
    expected = [place for plant in chosen for place in plant(made)]
    found = faults_of(made)
    assert sorted(found) == sorted(expected)
    # In the order of the file's tables, and of the rows within each.
    tables = ["grants", "format", "revision", "source", "grant", "family", "forbid", "overlay"]
    heads = [place.partition("[")[0].partition(".")[0] for place in found]
    assert heads == sorted(heads, key=tables.index)
    for table in ("source", "grant", "family"):
        rows = [int(place.split("[")[1].split("]")[0]) for place in found if place.startswith(f"{table}[")]
        assert rows == sorted(rows)
