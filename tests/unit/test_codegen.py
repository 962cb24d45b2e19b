from __future__ import annotations

import ast
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notice.codegen import WIDTH, generate
from tests.unit.conditions import tables
from tests.unit.samples import SMALL, changed

small = pg.Notice.loads(SMALL)


def test_lines_are_of_ordinary_length_but_for_docstrings_and_the_document() -> None:
    code = generate(small).partition("_DOCUMENT")[0]
    assert max(map(len, code.splitlines())) <= WIDTH
    assert generate(small).endswith("one, other)\n")


def test_long_class_names_are_broken_over_lines() -> None:
    def lengthen(t: dict[str, Any]) -> None:
        for number, grant in enumerate(t["grant"]):
            for index, row in enumerate(grant["purpose"]):
                row["class"] = f"Purpose{'Long' * 15}N{number}X{index}"
        t["family"][0]["class"] = "Family" + "Long" * 15

    notice = pg.Notice.parse(changed(lengthen))
    code = generate(notice).partition("_DOCUMENT")[0]
    ast.parse(code)
    assert max(len(line) for line in code.splitlines() if not line.startswith('"""')) <= WIDTH
    middling = pg.Notice.parse(changed(lambda t: [
        row.update({"class": f"Middling{'Long' * 5}N{n}X{i}"})
        for n, grant in enumerate(t["grant"]) for i, row in enumerate(grant["purpose"])
    ]))  # fmt: skip
    assert max(map(len, generate(middling).partition("_DOCUMENT")[0].splitlines())) <= WIDTH


def test_the_members_of_a_family_share_a_line_where_they_fit_on_one() -> None:
    name = "Family" + "Long" * 23

    def lengthen(t: dict[str, Any]) -> None:
        t["family"][0]["class"] = name
        t["grant"][0]["purpose"][0]["class"] = "RenewalOfContracts"

    notice = pg.Notice.parse(changed(lengthen))
    lines = generate(notice).splitlines()
    members = lines[lines.index(f"{name} = (") + 1]
    assert members.count(" | ") == len(notice.families[0].members) - 1


def test_a_purpose_names_its_conditions() -> None:
    assert "Only where adult." in generate(pg.Notice.parse(tables()))


@pytest.mark.parametrize(
    "title",
    ['He said "no"', "It's", 'Both " and \'', "back\\slash", 'ends with "', '"""', "{braces}", "'''", "trailing \\"],
    ids=ascii,
)  # fmt: skip
def test_any_title_makes_a_sound_module(title: str) -> None:
    def retitle(t: dict[str, Any]) -> None:
        t["title"]["en"] = t["controller"]["en"] = t["source"][0]["title"]["en"] = t["family"][0]["title"]["en"] = title
        t["grant"][0]["purpose"][0]["title"]["ja"] = title

    notice = pg.Notice.parse(changed(retitle))
    space: dict[str, Any] = {"__name__": "generated_titles"}
    exec(compile(generate(notice), "generated_titles.py", "exec"), space)  # noqa: S102
    assert space["NOTICE"] == notice
    assert space["Person"].title["en"] == title
    assert space["Renewal"].title["ja"] == title


def test_items_are_final_and_parents_and_purposes_are_not() -> None:
    tree = ast.parse(generate(small))
    final = {node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.decorator_list}
    assert final == {"Account", "Usage", "Visit", "RouterUsage", "LinkedVisit"}


def test_a_stale_module_does_not_load() -> None:
    stale = generate(small).replace("class Usage(Person)", "class Usage(Person, Renewal)")
    assert stale != generate(small)
    with pytest.raises(pg.NoticeError, match="codegen"):
        exec(compile(stale, "stale.py", "exec"), {"__name__": "stale"})  # noqa: S102
