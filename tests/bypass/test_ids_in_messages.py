"""What is given where an id belongs may be anything: no message quotes it unless it looks like an id of the notice."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.errors import Fault, escape_controls, format_id, looks_like_id
from purposeguard.governance import Governance
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient
from tests.unit.oversights import Counting

PERSONAL = {
    "address": "aiko@example.com", "name": "佐藤愛子", "two names": "Aiko Tanaka", "one name": "Tanaka",
    "telephone": "+81-90-1234-5678", "mobile": "090-1234-5678", "day": "1990-04-01", "network": "192.168.10.201",
    "card": "4111111111111111", "postcode": "100-0001", "long": "x" * 500, "control": "\x1b[31maiko\x07",
    "direction": "\u202eaiko\u2066",
}  # fmt: skip
UNTOLD = ("aiko", "佐藤", "Tanaka", "1234", "1990", "192.168", "4111", "100-0001", "xxx", "\x1b", "\u202e", "\u2066")


@pytest.fixture(scope="module")
def governance(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path: Path = tmp_path_factory.mktemp("ids") / "store.db"
    with Governance(f"sqlite:///{path}", notice=tm.NOTICE) as found:
        found.provisions.recipients.register(Recipient("mail-house", "domestic-contractor", "JP"), by="officer")
        yield found


@pytest.fixture(scope="module")
def guard(governance: Any) -> pg.Guard:
    return pg.Guard(tm.NOTICE, governance=governance)


R, P = tm.Registration, tm.RenewalGuidance
SOON = datetime.datetime(2126, 1, 1, tzinfo=datetime.UTC)

ASKED: dict[str, Callable[[Any, Any], Any]] = {
    "guard.allows source": lambda guard, text: guard.allows(text, P),
    "guard.allows sources": lambda guard, text: guard.allows({R, text}, P),
    "guard.allows mapping": lambda guard, text: guard.allows({text: R}, P),
    "guard.allows purpose": lambda guard, text: guard.allows(R, text),
    "guard.allows channel": lambda guard, text: guard.allows(R, P, text),
    "guard.check": lambda guard, text: guard.check(text, P, channel=text),
    "guard.check channel": lambda guard, text: guard.check(R, P, channel=text),
    "guard.check purpose": lambda guard, text: guard.check(R, {text: 1}),
    "guard.explain": lambda guard, text: guard.explain([text], P),
    "guard.derive": lambda guard, text: guard.derive(text, R, tm.Cookie),
    "guard.derive sources": lambda guard, text: guard.derive("link", text, tm.Cookie),
    "guard.purpose": lambda guard, text: guard.purpose(text),
    "guard.purpose channel": lambda guard, text: guard.purpose(P, channel=text),
    "guard.purpose mode": lambda guard, text: guard.purpose(P, mode=text),
    "guard.use": lambda guard, text: guard.use(text),
    "guard.access": lambda guard, text: guard.access(text),
    "guard.entrust": lambda guard, text: guard.entrust("mail-house", text, means="post"),
    "guard.reclassify": lambda guard, text: guard.reclassify(text, to=pg.NotPersonal, why="w"),
    "guard.reclassify to": lambda guard, text: guard.reclassify(R, to=text, why="w"),
    "guard.exception": lambda guard, text: guard.exception(
        basis=text, reason="r", approver="a", subjects=[7], until=SOON
    ),
    "guard.check_recipient": lambda guard, text: guard.check_recipient(R, P, text),
    "guard.check_recipient kind": lambda guard, text: guard.check_recipient(R, P, Recipient("it", text[:50], "JP")),
    "guard.check_recipient means": lambda guard, text: guard.check_recipient(
        R, P, Recipient("it", "domestic-contractor", "US"), means=text[:50], product=text[:50], task=text[:50]
    ),
    "Recipient country": lambda _, text: Recipient("it", "domestic-contractor", text),
    "notice.source": lambda guard, text: guard.notice.source(text),
    "notice.purpose": lambda guard, text: guard.notice.purpose(text),
    "notice.family": lambda guard, text: guard.notice.family(text),
    "notice.channel": lambda guard, text: guard.notice.channel(text),
    "Notice.bundled": lambda _, text: pg.Notice.bundled(text),
    "History.label": lambda guard, text: guard.history.label(text, collected=SOON),
    "Label": lambda _, text: pg.Label(text),
    "Personal": lambda _, text: pg.Personal(1, text),
    "Guard mode": lambda _, text: pg.Guard(tm.NOTICE, mode=text),
    "restrict": lambda guard, text: guard.governance.restrict(7, purposes=text),
    "restrict kind": lambda guard, text: guard.governance.restrict(7, kind=text),
    "consent": lambda guard, text: guard.governance.consent(7, [text]),
    "withdraw": lambda guard, text: guard.governance.withdraw(7, text),
    "recipient": lambda guard, text: guard.governance.recipient(text),
    "strike": lambda guard, text: guard.governance.provisions.recipients.strike(text, by="officer"),
    "desk kind": lambda guard, text: guard.governance.requests.open(text, subject=7, by="clerk"),
    "desk requester": lambda guard, text: guard.governance.requests.open(
        "disclosure", subject=7, requester=text, by="clerk"
    ),
}


@pytest.mark.parametrize("kind", PERSONAL)
@pytest.mark.parametrize("asked", ASKED)
def test_no_message_quotes_what_is_like_no_id(guard: pg.Guard, asked: str, kind: str) -> None:
    with pytest.raises((pg.PurposeGuardError, TypeError, ValueError, LookupError)) as caught:
        ASKED[asked](guard, PERSONAL[kind])
    error: BaseException | None = caught.value
    while error is not None:
        for text in (str(error), repr(error), repr(error.args)):
            assert [part for part in UNTOLD if part in text] == []
        error = error.__cause__ or error.__context__


USED: dict[str, Callable[[Any, Any], Any]] = {
    "use.allows": lambda use, text: use.allows(text),
    "use.check": lambda use, text: use.check([text]),
    "use.explain": lambda use, text: use.explain({text: 1}),
}


@pytest.mark.parametrize("kind", PERSONAL)
@pytest.mark.parametrize("asked", USED)
def test_neither_does_a_use(asked: str, kind: str) -> None:
    guard = pg.Guard(tm.NOTICE, ledger=Counting())
    with guard.purpose(P) as use, pytest.raises(pg.UnknownSource) as caught:
        USED[asked](use, PERSONAL[kind])
    assert [part for part in UNTOLD if part in f"{caught.value} {caught.value!r} {caught.value.given}"] == []


@pytest.mark.parametrize("text", ["1.1z", "1.2(1)⑩", "2.9", "3-2(1)-1", "Registraton", "x", "JP"])
def test_what_is_meant_for_an_id_is_shown(text: str) -> None:
    guard = pg.Guard(tm.NOTICE)
    with pytest.raises(pg.UnknownSource) as caught:
        guard.allows(text, P)
    assert f"unknown source `{text}`" in str(caught.value)
    assert caught.value.given == text


def test_the_nearest_ids_are_told_all_the_same() -> None:
    with pytest.raises(pg.UnknownPurpose) as caught:
        tm.NOTICE.purpose("renewal guidence")
    assert "<a text of 16 characters>" in str(caught.value)
    assert "renewal-guidance" in " ".join(caught.value.suggestions)


@pytest.mark.parametrize("text", [*PERSONAL.values(), "", " ", "1" * 25, "a.b", "1.a@b"])
def test_what_no_id_looks_like(text: str) -> None:
    assert not looks_like_id(text, ("renewal-guidance", "1.1(a)"))
    assert format_id(text).startswith(f"`<a text of {len(text):,} character")


def test_messages_hold_nothing_that_a_terminal_obeys() -> None:
    assert escape_controls("a\x1b[31m\u202eb\u3000\nc\u00a0") == "a\ufffd[31m\ufffdb\u3000\nc\u00a0"
    fault = Fault("id\x1b", "is \u202ewrong", "mend\x07 it")
    for error in (pg.NoticeError([fault], "my\x1b.toml"), pg.UnlabelledData("a\x1b"), pg.PurposeMissing("\u2066a")):
        assert not {"\x1b", "\u202e", "\u2066", "\x07"} & set(str(error))
