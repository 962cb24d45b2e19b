"""Scenes about the records of the guard."""

from __future__ import annotations

from collections import Counter
from typing import Any

from examples.screen import Said
from examples.shop.narration import Story
from examples.shop.scenes.common import ledger_page, scene
from examples.shop.scenes.people import opt_out
from examples.shop.scenes.uses import collect, marketing, remind, withhold

MOST = 3
"""How many sorts of uses are listed."""


@scene(
    Said("The inventory: what the code does with data", "一覧：コードがデータをどう扱うか"),
    Said(
        """The activities, the functions that read, and the declared ways out are listed at GET /privacy/inventory,
        as the code has them. It is the first page to read for whoever answers for this shop. The ways out, and who
        approved them:""",
        """処理（アクティビティ）、データを読む関数、宣言した出口は、コードにあるとおりに GET /privacy/inventory で
        一覧できます。店の責任者が最初に読むページです。出口と、その承認者は次のとおりです。""",
    ),
    sources="1.1(b)",
)
def inventory(story: Story) -> None:
    listed = story.ask("GET", "/privacy/inventory", quiet=True)
    activities, accesses = len(listed["activities"]), len(listed["accesses"])
    story.show_request("GET /privacy/inventory")
    story.show(f"{activities} activities, {accesses} accesses")
    ways: list[tuple[str, str, bool]] = []
    for item in listed["reclassifications"]:
        ways.append((item["sources"], item["to"], bool(item["approver"])))
        story.show(f"{_short(item['name'])}: {item['sources']} → {item['to']}\n  {item['why']}\n  {item['approver']}")
    story.check(
        ways == [("1.1(b)", "not-personal", True)] * 3,
        "three ways out, all of telemetry, all approved",
        "出口は三つ。すべて動作記録からで、すべて承認済み",
    )


@scene(
    Said("The ledger: evidence of all this", "台帳：ここまでの証拠"),
    Said(
        """Every denial is on record, every request of a person, and how often which code used what for what. Each
        entry holds the hash of the one before, so that a changed or missing one is found.""",
        """拒否と本人の求めはすべて、利用はコードと目的ごとの回数が記録されます。各項目は直前の項目のハッシュを含む
        ので、書き換えや欠落は見つかります。""",
    ),
    sources="1.1(a) 1.1(b) 1.1(c)",
    purposes="1.2(1)① 1.2(1)② 1.2(2)①",
    needs=(collect, remind, withhold, marketing, opt_out),
)
def ledger(story: Story) -> None:
    page = ledger_page(story)
    for item in page["denials"]:
        story.show(f"{_verdict(story, item)}  {_what(story, item)}")
    uses = sorted(page["uses"], key=lambda item: -item["count"])
    for item in uses[:MOST]:
        story.show(f"{item['count']:6} ×  {_what(story, item)}")
    if len(uses) > MOST:
        story.show("       …")
    errors = Counter(item["error"] for item in page["denials"])
    noted = Counter(item["kind"] for item in page["noted"])
    on_record = errors + Counter({kind: noted[kind] for kind in ("restriction", "provision")})
    story.check(
        on_record == story.on_record,
        f"all {errors.total()} denials and {noted['restriction']} requests of people are in it",
        f"{errors.total()}件の拒否と{noted['restriction']}件の本人の求めが、すべて残っている",
    )
    whole = str(page).lower()
    people = ("aiko", "ben ", "chie", "daichi", "example.com")
    verdict = story.ask("GET", "/privacy/ledger/verdict", quiet=True)
    story.check(
        not any(item in whole for item in people) and verdict["entries"] >= noted.total() + errors.total(),
        "it names nobody, and every entry is as it was written",
        "人の名前はどこにもなく、すべての項目が書かれたときのままである",
    )


def _verdict(story: Story, entry: dict[str, Any]) -> str:
    if story.language == "ja":
        return "記録のみ" if entry["observed"] else "    拒否"
    return "observed" if entry["observed"] else " refused"


def _what(story: Story, entry: dict[str, Any]) -> str:
    """Return the event and the purpose of a denial as text."""
    if entry["purpose"] is None:
        return f"{_short(entry['reason'].split()[0])}: {'目的なし' if story.language == 'ja' else 'no purpose'}"
    return f"{_short(entry['activity'])}: {entry['sources']} → {entry['purpose']}"


def _short(name: str) -> str:
    return name.removeprefix("examples.shop.").removeprefix("activities.").removeprefix("routes.")
