"""What notebooks show of a notice, a guard and a decision."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from typing_extensions import override

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.samples import revised


class Page(HTMLParser):
    """The tags and texts of a fragment; every tag is closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.append(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_notice_is_a_table_of_what_each_source_may_serve() -> None:
    def given(tables: dict[str, Any]) -> None:
        tables["grant"][0]["purpose"][1]["basis"] = "consent"
        reason = {"en": "promised", "ja": "約束"}
        tables["forbid"] = [{"sources": ["1.1(b)"], "purposes": ["1.2(1)①"], "reason": reason}]

    notice = revised(tm.NOTICE, given)
    page = Page(notice._repr_html_())
    assert page.tags.count("th") == 1 + len(notice.sources) + len(notice.purposes)
    assert page.tags.count("td") == len(notice.sources) * len(notice.purposes)
    marks = [text for text in page.texts if text in "✓c✗·"]
    granted = sum(len(purposes) for purposes in notice.grants.values())
    assert marks.count("✓") + marks.count("c") == granted
    assert marks.count("c") == sum(notice.purpose("1.2(1)②") in purposes for purposes in notice.grants.values()) > 0
    assert marks.count("✗") > 0


def test_a_guard_shows_its_activities() -> None:
    guard = pg.Guard(tm.NOTICE, strict=True)

    def invite() -> None: ...

    def remind() -> None: ...

    invite.__qualname__, remind.__qualname__ = "<script>invite</script>", "remind"
    guard.purpose(tm.EventInvitation, channel="email")(invite)
    guard.purpose(tm.RenewalGuidance)(remind)
    html = guard._repr_html_()
    assert "<script>" not in html
    page = Page(html)
    assert page.texts[0] == "Guard (enforce, strict) of trendmicro-jp, revision of 2024-04-01"
    assert page.texts[4:] == [
        *(f"{__name__}.<script>invite</script>", "event-invitation (1.2(1)⑤)", "email"),
        *(f"{__name__}.remind", "renewal-guidance (1.2(1)①)"),
    ]
    assert Page(pg.Guard(tm.NOTICE)._repr_html_()).tags.count("td") == 0


def test_a_decision_says_why() -> None:
    guard = pg.Guard(tm.NOTICE)
    for source, mark in ((tm.Contract, "✓"), (tm.ProductData, "✗")):
        decision = guard.explain(source, tm.RenewalGuidance)
        page = Page(decision._repr_html_())
        assert page.texts == [f"{mark} {decision.headline}", *decision.details]
        assert page.tags.count("li") == len(decision.details)
