"""Published notices, encoded: each file is valid, comes back from its classes, and decides as its readers would."""

from __future__ import annotations

import datetime
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notice.codegen import generate
from purposeguard.notice.warning import find_warnings
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.diff import compare
from purposeguard.policy.spec import is_allowed
from purposeguard.policy.transfers import Recipient, Safeguard
from tests.unit.command_line import run
from tests.unit.oversights import Office

HERE = Path(__file__).parent
FILES = sorted(path.stem for path in HERE.glob("*.toml"))
TODAY = datetime.datetime.now(datetime.UTC).date()

WARNED = {
    "california-homes": ["grant[0].purpose[0].open_end: `business` leaves open"],
    "chat-service": [
        "grant: every source may serve every purpose",
        "grant[0].purpose[5].open_end: `第3条第6号` leaves open",
    ],
    "code-hosting": ["grant[4].purpose[0].open_end: `as-authorised` leaves open"],
    "flour-shop": ["grant[3].purpose[0].id: no source may serve `5(1)③`"],
    "german-workshop": ["grant[2].purpose[0].id: `Art. 6(1)(a)/Rundbrief`, `Nachweis`, `laenger` rest on consent"],
    "kids-tablet": ["grant[1].purpose[0].open_end: `general` leaves open"],
}
"""What `validate` warns of, file by file; nothing elsewhere."""


@cache
def notice(name: str) -> pg.Notice:
    return pg.Notice.load(HERE / f"{name}.toml")


@pytest.mark.parametrize("name", FILES)
def test_it_is_valid_and_warned_of_as_listed(name: str) -> None:
    found = [f"{fault.place}: {fault.message}" for fault in find_warnings(notice(name).document)]
    expected = WARNED.get(name, [])
    assert len(found) == len(expected)
    assert all(told.startswith(begin) for told, begin in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", FILES)
def test_it_comes_back_from_its_dump_and_its_module(name: str) -> None:
    original = notice(name)
    assert pg.Notice.parse(original.dump()) == original
    space: dict[str, Any] = {"__name__": f"generated_{name.replace('-', '_')}"}
    exec(compile(generate(original), name, "exec"), space)  # noqa: S102
    assert space["NOTICE"] == original
    assert space["NOTICE"].dump() == original.dump()


@pytest.mark.parametrize("name", FILES)
def test_the_published_page_is_named_and_no_sentence_of_it_kept(name: str) -> None:
    text = (HERE / f"{name}.toml").read_text("utf-8")
    assert "# Published at https://" in text

    def texts(value: Any) -> list[Any]:
        below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        own = [value["text"]] if isinstance(value, dict) and "text" in value else []
        return own + [found for one in below for found in texts(one)]

    assert texts(tomllib.loads(text)) == []


Facts = dict[str, Any]
CASES: list[tuple[str, bool, str, str, Facts]] = [
    # A browser: what is for the device alone, what is opted into, where the law asks for consent.
    ("firefox", True, "technical", "core", {"conditions": {"latest-release"}}),
    ("firefox", False, "technical", "core", {}),
    ("firefox", True, "browsing", "adapt", {"conditions": {"on-device"}}),
    ("firefox", False, "precise-location", "adapt", {"conditions": {"on-device"}}),
    ("firefox", True, "precise-location", "adapt", {"conditions": {"on-device"}, "agreed": True}),
    ("firefox", False, "browsing", "new-tab-ads", {"named": True}),
    ("firefox", True, "interaction", "new-tab-ads", {"named": True}),
    ("firefox", False, "interaction", "new-tab-ads", {}),
    ("firefox", False, "interaction", "understand", {"named": True}),
    ("firefox", True, "interaction", "understand", {"named": True, "conditions": {"consent-not-required"}}),
    ("firefox", False, "content", "understand", {"named": True, "conditions": {"consent-not-required"}}),
    ("firefox", True, "content", "understand", {"agreed": True}),
    ("firefox", False, "browsing", "crash-reports", {"conditions": {"ios"}}),
    ("firefox", True, "technical", "crash-reports", {"conditions": {"ios"}}),
    ("firefox", False, "browsing", "secure", {}),
    ("firefox", True, "browsing", "secure", {"conditions": {"dns-over-https"}}),
    ("firefox", False, "interaction", "improve", {"named": True, "stopped": True}),
    # A platform on which nearly everything serves everything.
    ("publisher-2018", True, "content", "improve", {}),
    ("publisher-2018", False, "cookies", "personalise", {}),
    ("publisher-2018", True, "cookies", "personalise", {"agreed": True}),
    ("publisher-2018", False, "stored", "provide", {}),
    ("publisher-2018", True, "stored", "provide", {"conditions": {"device-permission"}}),
    ("publisher-2018", False, "account", "offers", {}),
    ("publisher-2018", True, "account", "offers", {"named": True, "channel": "email"}),
    ("publisher-2018", False, "account", "offers", {"named": True, "stopped": True}),
    ("publisher-2020", True, "account", "offers", {"named": True, "channel": "phone"}),
    ("publisher-2020", True, "billing", "verify", {"channel": "text_message"}),
    # Software for projects: each kind of data for its own purpose.
    ("project-software", True, "logins", "unauthorised", {}),
    ("project-software", False, "logins", "statistics", {}),
    ("project-software", False, "sign-ups", "unauthorised", {}),
    ("project-software", False, "projects", "support", {"agreed": True}),
    ("project-software", True, "projects", "support", {"agreed": True, "conditions": {"support-permission"}}),
    ("project-software", True, "projects", "court-orders", {}),
    ("project-software", False, "letters", "account", {}),
    # Hosting of code.
    ("code-hosting", True, "account", "service", {"conditions": {"thirteen-or-older"}}),
    ("code-hosting", False, "account", "service", {}),
    ("code-hosting", False, "profile", "service", {"conditions": {"thirteen-or-older"}}),
    ("code-hosting", True, "profile", "service", {"conditions": {"thirteen-or-older"}, "agreed": True}),
    ("code-hosting", False, "account", "news", {"conditions": {"thirteen-or-older"}, "channel": "email"}),
    ("code-hosting", True, "technical", "site-security", {}),
    ("code-hosting", False, "private-repositories", "training", {}),
    # A pharmacy: up to five bases in one row, without saying which holds for what: consent restricts nothing.
    ("pharmacy-platform", True, "clinical", "care", {}),
    ("pharmacy-platform", True, "review", "second-opinion", {}),
    ("pharmacy-platform", False, "nhs", "second-opinion", {}),
    ("pharmacy-platform", False, "clinical", "registration", {}),
    ("pharmacy-platform", True, "consents", "consents-kept", {}),
    # Children.
    ("kids-tablet", False, "child-name", "kids-services", {}),
    ("kids-tablet", True, "child-name", "kids-services", {"conditions": {"parent-set-up-the-account"}}),
    ("kids-tablet", False, "identifiers", "advertise", {"conditions": {"parent-set-up-the-account"}}),
    ("kids-tablet", True, "parental-account", "advertise", {"conditions": {"parent-set-up-the-account"}}),
    ("kids-tablet", True, "identifiers", "profile", {"conditions": {"parent-set-up-the-account", "thirteen-or-older"}}),
    # California.
    ("california-homes", True, "C", "business", {"conditions": {"california"}}),
    ("california-homes", False, "C", "business", {}),
    ("california-homes", True, "A", "sell", {"conditions": {"california", "adult"}, "named": True}),
    ("california-homes", False, "A", "sell", {"conditions": {"california", "adult"}, "named": True, "stopped": True}),
    ("california-homes", False, "A", "sell", {"conditions": {"california"}, "named": True}),
    ("california-homes", True, "A", "sell", {"conditions": {"california", "minor-opted-in"}, "agreed": True}),
    # A table of Article 6(1).
    ("german-workshop", True, "Zugriffe", "Art. 6(1)(f)/Auslieferung", {}),
    ("german-workshop", False, "Newsletter", "Art. 6(1)(a)/Rundbrief", {"named": True, "channel": "email"}),
    ("german-workshop", True, "Newsletter", "Art. 6(1)(a)/Rundbrief", {"agreed": True, "channel": "email"}),
    ("german-workshop", False, "Bewerbung", "Art. 6(1)(b,f)/Anfragen", {}),
    ("german-workshop", True, "Einwilligung", "Art. 6(1)(c,f)/Dienste", {}),
    ("german-workshop", False, "Bewerbung", "laenger", {}),
    # 条文の形をしたもの
    ("chat-service", True, "第2条第1項", "第3条第1号", {}),
    ("chat-service", True, "第2条", "第3条第6号", {}),
    ("chat-service", False, "第2条第2項", "第3条第4号", {"named": True, "stopped": True}),
    # 仮名加工情報
    ("flour-shop", True, "仮名加工情報", "5(3)/マーケティング", {}),
    ("flour-shop", False, "利用者情報", "5(3)/マーケティング", {}),
    ("flour-shop", False, "仮名加工情報", "5(1)③", {}),
    ("flour-shop", False, "照合した情報", "5(1)③", {}),
    ("flour-shop", True, "利用者情報", "5(1)①", {}),
    # 会員と取引
    ("toy-shop", True, "補足1", "補足2-1", {}),
    ("toy-shop", False, "補足2", "補足1-4", {"channel": "phone"}),
    ("toy-shop", True, "補足1", "補足1-4", {"channel": "phone"}),
    ("toy-shop", False, "補足3", "補足2-1", {}),
]


@pytest.mark.parametrize(
    ("name", "expected", "source", "purpose", "facts"),
    CASES,
    ids=[f"{number}-{name}" for number, (name, *_) in enumerate(CASES)],
)
def test_it_decides_as_a_reader_would(name: str, expected: bool, source: str, purpose: str, facts: Facts) -> None:
    of = notice(name)
    agreed, stopped = facts.get("agreed", False), facts.get("stopped", False)
    named = agreed or facts.get("named", False)
    consents = frozenset({(purpose, of.revision)}) if agreed else frozenset()
    preferences = SubjectPreferences(all_suspended=stopped, consents=consents)
    guard = pg.Guard(of, governance=Office({"7": preferences}))
    channel, conditions = facts.get("channel"), frozenset(facts.get("conditions", ()))
    decided = guard.explain(source, purpose, channel, 7 if named else None, conditions)
    assert decided.allowed is expected, str(decided)
    assert (
        is_allowed(
            [of.document],
            [source],
            purpose,
            channel,
            stopped=stopped,
            consents=consents,
            conditions=conditions,
            named=named,
        )
        is expected
    )


def test_every_notice_is_asked_of() -> None:
    asked = {name: [expected for other, expected, *_ in CASES if other == name] for name in FILES}
    assert {name for name in FILES if len(asked[name]) < 2} == set()
    assert {name for name in FILES if all(asked[name])} == {"publisher-2020"}


HAND_OVERS: list[tuple[str, str | None, str, str, str, str]] = [
    # (notice, what is said against it or None, source, purpose, kind of recipient, country)
    ("firefox", "provides no personal data", "interaction", "new-tab-ads", "advertiser", "DE"),
    ("firefox", None, "interaction", "campaigns", "marketing-partner", "DE"),
    ("firefox", "provides technical, interaction, not browsing", "browsing", "campaigns", "marketing-partner", "DE"),
    ("publisher-2018", None, "logs", "provide", "site-owner", "BR"),
    ("publisher-2018", "provides account, logs, not billing", "billing", "provide", "site-owner", "BR"),
    ("publisher-2018", "provides no personal data", "usage", "provide", "the-public", "BR"),
    ("publisher-2020", None, "billing", "provide", "domain-register", "US"),
    ("publisher-2018", "entrusts data to contractor or vendor", "billing", "provide", "domain-register", "US"),
    ("california-homes", None, "A", "sell", "data-buyer", "US"),
    ("california-homes", "provides data for sell, not for business", "A", "business", "data-buyer", "US"),
    ("flour-shop", "provides no personal data", "仮名加工情報", "5(3)/マーケティング", "data-user", "JP"),
    ("toy-shop", "no [transfer]", "補足1", "補足1-4", "joint-user", "JP"),
]


@pytest.mark.parametrize("case", HAND_OVERS, ids=[f"{number}-{name}" for number, (name, *_) in enumerate(HAND_OVERS)])
def test_it_hands_over_as_a_reader_would(case: tuple[str, str | None, str, str, str, str]) -> None:
    name, objection, source, purpose, kind, country = case
    of = notice(name)
    measures = of.document.safeguards
    on_record = (Safeguard(measures.measures[0].id, "1", TODAY),) if measures is not None else ()
    recipient = Recipient("somebody", kind, country, safeguards=on_record, supervised_on=TODAY)
    consents = frozenset({(purpose, of.revision)})

    class Consenting(Office):
        def provided(self, provision: Any, /) -> None: ...

    guard = pg.Guard(of, governance=Consenting({"7": SubjectPreferences(consents=consents)}))

    def hand_over() -> None:
        guard.check_recipient(
            source, purpose, recipient, subject=7, conditions={row.id for row in of.document.condition}
        )

    if objection is None:
        hand_over()
    else:
        with pytest.raises((pg.RecipientViolation, pg.UnknownTerm)) as refused:
            hand_over()
        assert objection in str(refused.value)


def test_the_platform_changed_as_a_reader_would_say() -> None:
    before, after = notice("publisher-2018"), notice("publisher-2020")
    wider = [change for change in compare(before, after).changes if change.direction == "widened"]
    assert {change.needs for change in wider} == {"notice"}
    assert len(wider) == 4
    files = (HERE / "publisher-2018.toml", HERE / "publisher-2020.toml")
    assert (
        "site-owners: `sources` is account, logs and public-profile, before account and logs"
        in run("diff", *files, columns=1000).stdout
    )
    japanese = run("--language", "ja", "diff", *files, columns=1000).stdout
    assert "「News and offers」" in japanese
    assert "only where" not in japanese
    revisions = [before.document, after.document]
    # A payment is verified with data of earlier customers, since the later revision says so.
    assert is_allowed(revisions, ["billing"], "verify", "text_message", collected_under=before.revision)
    guard = pg.Guard(pg.History(before, after))
    earlier = pg.RowContext(collected=before.revision)
    assert guard.allows("billing", "verify", "text_message", earlier)
    assert not guard.allows("billing", "offers", "phone", earlier)
