"""The request desk, asked without a browser: who may do what, forged and stale forms, what is told to whom."""

from __future__ import annotations

import asyncio
import datetime
import logging
import shutil
import time
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Mount
from starlette.testclient import TestClient

import purposeguard as pg
from purposeguard.errors import SealedValue
from purposeguard.governance.disclosure_page import Disclosure, replace_unprintable
from purposeguard.governance.web import RIGHTS, Clerk, Right, desk
from purposeguard.governance.web.forms import LIFETIME, FormTokens
from purposeguard.governance.web.pages import ACTIONS
from purposeguard.governance.web.visits import TEMPLATES
from purposeguard.notices import trendmicro_jp as tm
from tests.governance.desks import PREFIX, SECRET, SUBJECT, Desk, Page, Said, clerk_of, made, tables
from tests.governance.disclosures import GERMAN, HOSTILE, NOW
from tests.governance.support import outage
from tests.support import in_threads

NOTE = "canary-note-4405"
STEPS: list[tuple[Right, dict[str, str]]] = [
    ("verify", {"how": NOTE}),
    ("fulfil", {"done": NOTE}),
    ("refuse", {"reason": NOTE}),
    ("extend", {"reason": NOTE, "days": "30"}),
    ("withdraw", {"reason": NOTE}),
]


@pytest.fixture
def office(_sqlite_template: Path, tmp_path: Path) -> Iterator[Desk]:
    shutil.copy(_sqlite_template, tmp_path / "store.db")
    opened = made(f"sqlite:///{tmp_path}/store.db", now=NOW)
    with opened.governance:
        yield opened


@pytest.fixture
def office_anywhere(store_url: str) -> Iterator[Desk]:
    """On SQLite, and on PostgreSQL."""
    opened = made(store_url, now=NOW)
    with opened.governance:
        yield opened


def number_for(office: Desk, action: str) -> int:
    """A request with which this step may be taken."""
    return office.verified() if action == "fulfil" else office.opened()


def did(office: Desk, number: int) -> list[str]:
    return [step.did for step in office.requests.steps(number)]


def test_a_clerk_takes_a_request_from_receipt_to_answer(office: Desk) -> None:
    browser = office.browser("Aiko Mori")
    form = browser.get("/new")
    page = browser.followed(
        browser.send(form, "new", kind="suspension-of-use", requester="agent", purposes=["1.2(1)①"], note="by post")
    )
    assert "The request is on record." in page.text
    assert page.buttons == {"verify", "refuse", "extend", "withdraw"}
    page = browser.followed(
        browser.send(page, "verify", how="passport\r\nand a letter", subject=SUBJECT, authority="file 2026/12")
    )
    page = browser.followed(browser.send(page, "extend", days="30", reason="the archive is being moved"))
    page = browser.followed(browser.send(page, "fulfil", done=""))
    assert "The request is closed." in page.text
    asked = office.requests.get(1)
    assert (asked.state, asked.subject, asked.authority) == ("fulfilled", SUBJECT, "file 2026/12")
    assert [(step.did, step.by, step.text) for step in office.requests.steps(1)] == [
        ("opened", "Aiko Mori", "by post"),
        ("verified", "Aiko Mori", "passport\nand a letter"),
        ("extended", "Aiko Mori", "the archive is being moved"),
        ("fulfilled", "Aiko Mori", None),
    ]
    assert office.governance.preferences(SUBJECT).stops("1.2(1)①")
    assert not office.governance.preferences(SUBJECT).stops("1.2(1)②")


def test_a_request_is_received_on_the_day_that_is_chosen_in_the_time_zone_of_the_notice(office: Desk) -> None:
    browser = office.browser()
    form = browser.get("/new")
    assert form.forms["new"].fields["received_on"] == "2026-05-03"  # in Tokyo
    browser.send(form, "new", kind="erasure", received_on="2026-04-30")
    assert office.requests.get(1).due_on == datetime.date(2026, 5, 14)
    assert office.requests.get(1).received_at <= NOW


def test_titles_in_another_language_than_the_page_are_marked(tmp_path: Path) -> None:
    office = made(f"sqlite:///{tmp_path / 'german.db'}", now=NOW, notice=GERMAN)
    number = office.opened(purposes=["1.2(1)①"], kind="suspension-of-use")
    browser = office.browser()
    title = GERMAN.purpose("1.2(1)①").title["de"]
    for page in ("/new", f"/requests/{number}", "/"):
        text = browser.get(page).answer.text
        assert '<html lang="en">' in text
        assert ' lang="de"' in text
        assert (f'lang="de">{title}' in text) is (page != "/")
    office.governance.close()


def test_use_can_be_suspended_while_a_request_is_open(office: Desk) -> None:
    browser = office.browser()
    page = browser.followed(browser.send(browser.get("/new"), "new", kind="erasure", subject=SUBJECT, suspended="yes"))
    assert "What it would stop is stopped." in page.text
    assert office.governance.preferences(SUBJECT).stops("1.2(1)①")


def test_fulfilling_a_request_for_disclosure_answers_with_the_report(office: Desk) -> None:
    number = office.verified()
    browser = office.browser("Aiko Mori")
    page = browser.get(f"/requests/{number}")
    report = browser.send(page, "fulfil", language="ja", values="yes")
    assert report.status == 200
    assert "aiko@example.org" in report.text
    assert "保有個人データ開示書" in report.title
    assert office.requests.get(number).state == "fulfilled"
    # Sent again, by reloading, it is not made again.
    assert browser.followed(browser.send(page, "fulfil", language="ja", values="yes")).status == 200
    # It can be made again on purpose, without values.
    again = browser.send(browser.get(f"/requests/{number}"), "report")
    assert "aiko@example.org" not in again.text
    assert "held" in again.text
    file = browser.send(browser.get(f"/requests/{number}"), "report", values="yes", as_file="yes").answer
    assert file.headers["content-disposition"] == f'attachment; filename="request-{number}.json"'
    assert file.headers["cache-control"] == "no-store"
    assert Disclosure.model_validate_json(file.text).request == number
    with office.governance.store.reading() as connection:
        opened = connection.exec_driver_sql("SELECT body FROM purposeguard_ledger WHERE kind = 'exception'").all()
    assert len(opened) == 2
    assert '"Aiko Mori"' in str(opened[0].body)


def test_a_report_is_made_once_the_identity_was_verified_and_also_after_a_refusal(office: Desk) -> None:
    number = office.opened("correction")
    browser = office.browser()
    page = browser.get(f"/requests/{number}")
    assert "report" not in page.buttons
    page.forms["report"] = page.forms["verify"]
    page.forms["report"].action = page.forms["verify"].action.replace("/verify", "/report")
    assert browser.send(page, "report", language="en").status == 409
    office.requests.verify(number, how="by telephone", by="clerk 1")
    office.requests.refuse(number, reason="It is correct.", by="clerk 1")
    assert "It is correct." in browser.send(browser.get(f"/requests/{number}"), "report").text


@pytest.mark.parametrize(
    ("kind", "state"), [("correction", "amends"), ("erasure", "deletes"), ("stop-of-provision", "stops-provision")]
)
def test_requests_of_each_effect_are_fulfilled(office: Desk, kind: str, state: str) -> None:
    number = office.verified(kind)
    browser = office.browser()
    page = browser.get(f"/requests/{number}")
    if state == "amends":
        back = browser.send(page, "fulfil", done=" ")
        assert back.status == 422
        assert "Fill this in." in back.text
        assert did(office, number) == ["opened", "verified"]
    assert "is fulfilled" in browser.followed(browser.send(page, "fulfil", done="done by hand")).text


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"kind": ""}, "Choose one of the values."),
        ({"kind": "tea"}, "Choose one of the values."),
        ({"requester": "bank"}, "Choose one of the values."),
        ({"subject": "a\u0007b"}, "This cannot be an id of a person."),
        ({"subject": "x" * 201}, "This cannot be an id of a person."),
        ({"authority": "file 7"}, "Only an agent has an authority"),
        ({"purposes": ["1.2(1)①"]}, "Only a suspension of use"),
        ({"purposes": ["99"]}, "Choose one of the values."),
        ({"suspended": "yes"}, "This kind of request stops nothing."),
        ({"received_on": "2026-05-04"}, "Enter a day that is not in the future."),
        ({"received_on": "yesterday"}, "Enter a day that is not in the future."),
        ({"note": "x" * 10_001}, "This is too long."),
        ({"note": "a\0b"}, "cannot be stored"),
    ],
)
def test_a_new_request_that_is_wrong_comes_back_with_why(office: Desk, wrong: dict[str, Any], told: str) -> None:
    browser = office.browser()
    given = {"kind": "correction", "subject": "kept-7", "note": "kept", **wrong}
    page = browser.send(browser.get("/new"), "new", **given)
    assert page.status == 422
    assert told in page.text
    assert "Nothing was recorded." in page.text
    assert tables(office.governance) == []
    assert page.forms["new"].fields["subject"] == replace_unprintable(given["subject"])


@pytest.mark.parametrize(
    ("action", "wrong"),
    [("verify", {"how": " "}), ("refuse", {"reason": ""}), ("extend", {"days": "0"}), ("extend", {"days": "²"})],
)
def test_a_step_that_is_wrong_comes_back_and_changes_nothing(office: Desk, action: str, wrong: dict[str, str]) -> None:
    number = office.opened()
    before = tables(office.governance)
    browser = office.browser()
    page = browser.send(browser.get(f"/requests/{number}"), action, **{"days": "3", "reason": "kept", **wrong})
    assert page.status == 422
    assert page.forms[action].fields.get("reason", "kept") in ("kept", wrong.get("reason"))
    assert tables(office.governance) == before


def test_verifying_needs_the_person_and_the_authority_of_an_agent(office: Desk) -> None:
    number = office.opened(subject=None, requester="agent")
    browser = office.browser()
    page = browser.send(browser.get(f"/requests/{number}"), "verify", how="passport")
    assert page.status == 422
    assert page.text.count("Fill this in.") == 2
    assert did(office, number) == ["opened"]


def test_what_a_browser_would_not_send_is_refused(office: Desk) -> None:
    browser = office.browser()
    page = browser.get("/new")
    assert browser.send(page, "new", kind="erasure", moment="noon").status == 400
    client = browser.client
    fields = page.forms["new"].fields
    assert client.post(page.forms["new"].action, data=fields, files={"kind": b"x"}).status_code == 400
    assert client.put(page.forms["new"].action, data=fields).status_code == 405
    assert client.post(f"{PREFIX}/requests/1/verify").status_code == 403
    assert tables(office.governance) == []


def test_a_form_is_refused_without_a_token_of_its_session_and_clerk(office: Desk) -> None:
    number = office.opened()
    before = tables(office.governance)
    mine, theirs, another = office.browser("Aiko"), office.browser("Aiko"), office.browser("Ben")
    page = mine.get(f"/requests/{number}")
    token = page.forms["refuse"].fields["token"]
    their_token = theirs.get(f"/requests/{number}").forms["refuse"].fields["token"]
    by_another_secret = FormTokens("another secret of the same length").sign("", "Aiko")
    for wrong in (None, "", "x", token[:-1], token + "x", their_token, by_another_secret):
        refused = mine.send(page, "refuse", reason="forged", token=wrong)
        assert refused.status == 403
        assert "This form cannot be accepted" in refused.text
    # The token of a clerk, with the cookie of the session, sent by another clerk.
    another.client.cookies = mine.client.cookies
    assert another.send(page, "refuse", reason="forged").status == 403
    # A token without the cookie, and with one that somebody planted.
    mine.client.cookies.clear()
    assert mine.send(page, "refuse", reason="forged").status == 403
    mine.client.cookies.set("purposeguard_desk", "planted", path=f"{PREFIX}/")
    assert mine.send(page, "refuse", reason="forged").status == 403
    assert tables(office.governance) == before


def test_each_form_needs_its_token(office: Desk) -> None:
    number = office.verified()
    before = tables(office.governance)
    browser = office.browser()
    browser.get()
    paths = ["/new", *(f"/requests/{number}/{name}" for name in (*ACTIONS, "report"))]
    for path in paths:
        assert browser.client.post(PREFIX + path, data={"seen": "2", "how": "x", "reason": "x"}).status_code == 403
    assert tables(office.governance) == before


def test_a_form_is_refused_after_a_day_and_accepted_after_the_secret_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = FormTokens(SECRET).sign("session", "Aiko")
    assert FormTokens([SECRET, "a newer secret than the other one"]).is_genuine(token, "session", "Aiko")
    assert not FormTokens("a newer secret than the other one").is_genuine(token, "session", "Aiko")
    later = time.time() + LIFETIME.total_seconds() + 5
    monkeypatch.setattr(time, "time", lambda: later)
    assert not FormTokens(SECRET).is_genuine(token, "session", "Aiko")


def test_the_cookie_is_kept_from_scripts_and_other_sites(office: Desk) -> None:
    cookie = office.browser().get().answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert f"path={PREFIX}/" in cookie
    assert "secure" not in cookie
    secure = office.browser(base_url="https://desk.example")
    assert "secure" in secure.get().answer.headers["set-cookie"].lower()
    assert "set-cookie" not in secure.get().answer.headers


@pytest.mark.parametrize(("right", "fields"), STEPS)
def test_who_lacks_a_right_sees_no_button_and_is_refused(office: Desk, right: Right, fields: dict[str, str]) -> None:
    number = number_for(office, right)
    whole, lacking = office.browser("Aiko"), office.browser("Aiko", RIGHTS - {right})
    page = whole.get(f"/requests/{number}")
    assert right in page.buttons
    assert lacking.get(f"/requests/{number}").buttons == page.buttons - {right}
    lacking.client.cookies = whole.client.cookies  # the very session in which the form was shown
    before = tables(office.governance)
    refused = lacking.send(page, right, **fields)
    assert refused.status == 403
    assert "You may not do this" in refused.text
    assert tables(office.governance) == before
    assert whole.send(page, right, **fields).status in (200, 303)


def test_a_clerk_who_may_not_receive_or_see_is_refused(office: Desk) -> None:
    number = office.verified()
    whole = office.browser("Aiko")
    lacking = office.browser("Aiko", RIGHTS - {"receive"})
    assert f"{PREFIX}/new" in whole.get().links
    assert f"{PREFIX}/new" not in lacking.get().links
    assert lacking.get("/new").status == 403
    lacking.client.cookies = whole.client.cookies
    assert lacking.send(whole.get("/new"), "new", kind="erasure").status == 403
    blind = office.browser("Aiko", RIGHTS - {"see"})
    for path in ("/", "/new", f"/requests/{number}", "/requests/99"):
        page = blind.get(path)
        assert (page.status, page.buttons) == (403, set())
        assert SUBJECT not in page.text
    assert len(tables(office.governance)) == 3


def test_who_may_not_disclose_makes_no_report_in_either_way(office: Desk) -> None:
    number = office.verified()
    whole, lacking = office.browser("Aiko"), office.browser("Aiko", RIGHTS - {"disclose"})
    page = whole.get(f"/requests/{number}")
    assert {"fulfil", "report"} <= page.buttons
    assert not {"fulfil", "report"} & lacking.get(f"/requests/{number}").buttons
    lacking.client.cookies = whole.client.cookies
    for form in ("fulfil", "report"):
        refused = lacking.send(page, form)
        assert refused.status == 403
        assert "aiko@example.org" not in refused.text
    assert office.requests.get(number).state == "verified"


def test_nobody_is_let_in_whom_the_application_does_not_know(office: Desk) -> None:
    client = TestClient(office.app, follow_redirects=False)
    for path in ("/", "/new", "/requests/1"):
        answer = client.get(PREFIX + path)
        assert answer.status_code == 403
        assert "does not know you" in answer.text
    assert client.post(f"{PREFIX}/new").status_code == 403


def test_the_application_may_answer_asynchronously_send_to_a_log_in_or_be_wrong(office: Desk) -> None:
    async def awaited(request: Request) -> Clerk | None:
        return clerk_of(request)

    def log_in(_: Request) -> Clerk:
        raise HTTPException(303, headers={"location": "/log-in"})

    def challenge(_: Request) -> Clerk:
        raise HTTPException(401, headers={"www-authenticate": "Basic"})

    def ask(clerk: Any) -> Any:
        return TestClient(desk(office.governance, clerk=clerk, secret=SECRET), follow_redirects=False)

    headers = {"x-clerk": "Aiko", "x-may": "see"}
    assert ask(awaited).get("/", headers=headers).status_code == 200
    assert ask(awaited).get("/").status_code == 403
    assert ask(log_in).get("/").headers["location"] == "/log-in"
    challenged = ask(challenge).get("/")
    assert (challenged.status_code, challenged.headers["www-authenticate"]) == (401, "Basic")
    with pytest.raises(TypeError, match="Clerk or None, not str"):
        ask(lambda _: "Aiko").get("/")


def test_a_desk_is_refused_without_clerks_a_secret_or_a_governance(office: Desk) -> None:
    whole: dict[str, Any] = {"clerk": clerk_of, "secret": SECRET}
    incomplete: Any = desk
    with pytest.raises(TypeError, match="clerk"):
        incomplete(office.governance, secret=SECRET)
    with pytest.raises(TypeError, match="secret"):
        incomplete(office.governance, clerk=clerk_of)
    for error, wrong in (
        (TypeError, {"clerk": "Aiko"}),
        (TypeError, {"secret": [7]}),
        (ValueError, {"secret": "short"}),
        (ValueError, {"secret": []}),
        (ValueError, {"secret": [SECRET, b"short"]}),
    ):
        with pytest.raises(error):
            incomplete(office.governance, **{**whole, **wrong})
    with pytest.raises(TypeError, match="not Store"):
        incomplete(office.governance.store, **whole)


@pytest.mark.parametrize(
    ("name", "may"),
    [("", ["see"]), ("a\nb", ["see"]), ("x" * 201, ["see"]), ("Aiko", ["sea"]), (7, []), ("Aiko", "see")],
)
def test_a_clerk_has_a_name_and_known_rights(name: Any, may: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        Clerk(name, may)


@pytest.mark.parametrize(("action", "fields"), STEPS)
def test_a_form_that_is_sent_twice_does_its_work_once(office: Desk, action: str, fields: dict[str, str]) -> None:
    number = number_for(office, action)
    browser = office.browser()
    page = browser.get(f"/requests/{number}")
    first = browser.send(page, action, **fields)
    once = tables(office.governance)
    second = browser.send(page, action, **fields)
    assert second.status == 303
    assert first.status == (200 if action == "fulfil" else 303)
    assert tables(office.governance) == once


@pytest.mark.parametrize(("action", "fields"), STEPS)
def test_whose_page_is_stale_is_told_and_changes_nothing(office: Desk, action: str, fields: dict[str, str]) -> None:
    number = number_for(office, action)
    browser = office.browser("Aiko")
    page = browser.get(f"/requests/{number}")
    # Somebody else takes a step that would still permit this one.
    office.requests.extend(number, days=30, reason=NOTE, by="Ben")
    before = tables(office.governance)
    told = browser.send(page, action, **fields)
    assert told.status == 409
    assert "The request has moved on" in told.text
    assert tables(office.governance) == before


def test_a_step_that_came_between_look_and_lock_is_seen(office: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    number = office.opened()
    browser = office.browser("Aiko")
    page = browser.get(f"/requests/{number}")
    refuse = office.requests.refuse

    def late(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        office.requests.extend(number, days=30, reason="more time", by="Ben")
        return refuse(*args, **kwargs)

    monkeypatch.setattr(office.requests, "refuse", late)
    assert browser.send(page, "refuse", reason="no").status == 409
    assert did(office, number) == ["opened", "extended"]


def test_of_two_clerks_at_once_one_succeeds_and_the_other_is_told(office_anywhere: Desk) -> None:
    office = office_anywhere
    number = office.verified("erasure")
    browsers = [office.browser(name) for name in ("Aiko", "Ben")]
    pages = [browser.get(f"/requests/{number}") for browser in browsers]
    answers: list[Page] = []

    def send(which: int) -> None:
        step = ("fulfil", "refuse")[which]
        answers.append(browsers[which].send(pages[which], step, done="gone", reason="no"))

    in_threads(partial(send, which) for which in range(2))
    assert sorted(answer.status for answer in answers) == [303, 409]
    assert len(did(office, number)) == 3


def test_a_new_request_that_is_sent_several_times_at_once_is_one(office_anywhere: Desk) -> None:
    office = office_anywhere
    browser = office.browser()
    page = browser.get("/new")
    cookies = browser.client.cookies

    answers: list[Page] = []

    def send() -> None:
        other = office.browser()
        other.client.cookies = cookies
        answers.append(other.send(page, "new", kind="erasure", subject=SUBJECT, note="by post"))

    in_threads([send] * 3)
    assert {answer.answer.headers["location"] for answer in answers} == {f"{PREFIX}/requests/1?done=opened"}
    assert office.requests.listing().total == 1
    # Another form is another request.
    assert browser.send(browser.get("/new"), "new", kind="erasure", subject=SUBJECT).status == 303
    assert office.requests.listing().total == 2


def test_the_list_has_the_most_urgent_first_in_pages_and_can_be_narrowed(office_anywhere: Desk) -> None:
    office = office_anywhere
    early = NOW - datetime.timedelta(days=20)
    for number in range(60):
        office.opened("erasure" if number % 2 else "disclosure", received_at=early + datetime.timedelta(hours=number))
    office.requests.refuse(1, reason="no", by="Ben")
    office.requests.withdraw(2, by="Ben")
    browser = office.browser()
    page = browser.get()
    shown = [int(link.rpartition("/")[2]) for link in page.links if "/requests/" in link]
    assert shown == list(range(3, 53))
    assert "Found: 58" in page.text
    assert "1 / 2" in page.text
    following = next(link for link in page.links if "page=2" in link and "language" not in link)
    last = browser.get(following)
    assert [int(link.rpartition("/")[2]) for link in last.links if "/requests/" in link] == list(range(53, 61))
    assert "1 / 1" not in browser.get("/?state=all&page=999").text  # the last page
    closed = browser.get("/?state=refused")
    assert [link for link in closed.links if "/requests/" in link] == [f"{PREFIX}/requests/1"]
    assert "Found: 29" in browser.get("/?kind=erasure&state=pending").text
    in_order = [request.id for request in office.requests.listing(size=100).requests]
    assert in_order == [*range(3, 61), 2, 1] or in_order == [*range(3, 61), 1, 2]


def test_overdue_requests_are_marked_in_words(office: Desk) -> None:
    office.opened(received_at=NOW - datetime.timedelta(days=20))
    office.opened()
    page = office.browser().get()
    assert page.text.count("Overdue") == 2  # one request, and the count
    assert "days left: 14" in page.text
    # What is overdue cannot be extended any more.
    assert "extend" not in office.browser().get("/requests/1").buttons


@pytest.mark.parametrize("query", ["state=late", "kind=tea", "page=0", "page=x", f"page={'9' * 30}", "kind=erasure'"])
def test_a_list_that_does_not_exist_is_refused(office: Desk, query: str) -> None:
    assert office.browser().get(f"/?{query}").status == 400


@pytest.mark.parametrize("number", ["99", "0", "x", "9" * 30, "9" * 5000, "1%00"])
def test_a_request_that_does_not_exist_is_not_found(office: Desk, number: str) -> None:
    page = office.browser().get(f"/requests/{number}")
    assert page.status == 404
    assert "There is no such" in page.text


def test_nothing_of_a_person_is_in_a_url_title_header_or_log(office: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    browser = office.browser()
    pages = [browser.get(), browser.get("/new")]
    pages.append(browser.send(pages[-1], "new", kind="erasure", subject=SUBJECT, note=NOTE, received_on="2030-01-01"))
    pages.append(browser.send(pages[-1], "new", received_on="2026-05-01"))
    pages.append(browser.followed(pages[-1]))
    pages.append(browser.send(pages[-1], "verify", how=NOTE))
    pages.append(browser.send(pages[-2], "refuse", reason=NOTE))  # stale
    number = office.verified()
    pages.append(browser.get(f"/requests/{number}"))
    office.failing.append(Said(f"no customer {SUBJECT}"))
    pages.append(browser.send(pages[-1], "fulfil", values="yes", done=NOTE))
    pages.append(browser.send(pages[-2], "report", values="yes"))
    assert [page.status for page in pages[-2:]] == [500, 500]
    office.failing.clear()
    pages.append(browser.send(browser.get(f"/requests/{number}"), "fulfil", values="yes", done=NOTE))
    assert "aiko@example.org" in pages[-1].text
    exposed = [*browser.seen, *(page.title for page in pages)]
    exposed += [f"{name}: {value}" for page in pages for name, value in page.answer.headers.items()]
    exposed += [logging.Formatter().format(record) + repr(record.__dict__) for record in caplog.records]
    for text in exposed:
        for canary in (SUBJECT, NOTE, "aiko@example.org"):
            assert canary not in text
    assert all(page.answer.headers["referrer-policy"] == "same-origin" for page in pages)
    logged = [record.getMessage() for record in caplog.records if record.name == "purposeguard.desk"]
    assert [text.partition(": ")[0] for text in logged] == [f"request {number}"] * 2
    assert "Said in line" in logged[0]
    assert "tests.governance.desks" in logged[0]


def test_a_report_that_cannot_be_made_leaves_the_request_as_it_was(office: Desk) -> None:
    number = office.verified()
    browser = office.browser()
    page = browser.get(f"/requests/{number}")
    for error in (Said("aiko@example.org"), SealedValue("sealed"), pg.PurposeGuardError("refused")):
        office.failing[:] = [error]
        for form in ("fulfil", "report"):
            answer = browser.send(page, form)
            assert answer.status == 500
            assert "The report could not be made" in answer.text
            assert "aiko@example.org" not in answer.text
    assert did(office, number) == ["opened", "verified"]


def test_hostile_texts_are_shown_as_they_are(office: Desk) -> None:
    hostile = replace_unprintable(HOSTILE)
    number = office.opened(subject="<b>7</b>", note=HOSTILE, requester="agent", authority=HOSTILE)
    browser = office.browser(hostile)
    page = browser.send(browser.get(f"/requests/{number}"), "verify", how="x" * 10_001)
    page = browser.followed(browser.send(page, "verify", how=HOSTILE))
    for shown in (page, browser.get("/?state=all"), browser.get("/?state=%3Cscript%3E")):
        assert not {"script", "img", "b"} & set(shown.tags)
    assert page.text.count(hostile) == 5  # notes, authority, and the clerk twice
    assert "<b>7</b>" in page.text
    report = browser.send(page, "report", values="yes")
    assert not {"script", "img"} & set(report.tags)


@pytest.mark.parametrize("path", ["/", "/new", "/requests/1", "/requests/99", "/nowhere", "/?state=x"])
def test_each_answer_forbids_caching_framing_scripts_and_strangers(office: Desk, path: str) -> None:
    office.verified()
    for client in (office.browser().client, TestClient(office.app)):
        for answer in (client.get(PREFIX + path), client.delete(PREFIX + path)):
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["x-content-type-options"] == "nosniff"
            policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
            assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
            assert policy["form-action"] in ("'self'", "'none'")
            assert policy.keys() <= {"default-src", "base-uri", "frame-ancestors", "form-action", "style-src"}
            assert policy.get("style-src", "'sha256-").startswith("'sha256-")
            assert "<script" not in answer.text
            assert "style=" not in answer.text


def test_the_report_forbids_the_same(office: Desk) -> None:
    number = office.verified()
    browser = office.browser()
    headers = browser.send(browser.get(f"/requests/{number}"), "report").answer.headers
    assert headers["cache-control"] == "no-store"
    assert {"frame-ancestors 'none'", "form-action 'none'"} <= set(headers["content-security-policy"].split("; "))


@pytest.mark.parametrize("prefix", ["", "/desk", "/a/b"])
@pytest.mark.parametrize("root_path", ["", "/behind/proxy"])
def test_it_works_under_any_prefix(office: Desk, prefix: str, root_path: str) -> None:
    mounted: Any = desk(office.governance, clerk=clerk_of, secret=SECRET)
    app = Starlette(routes=[Mount(prefix, mounted)]) if prefix else mounted
    headers = {"x-clerk": "Aiko", "x-may": " ".join(RIGHTS)}
    client = TestClient(app, headers=headers, follow_redirects=False, root_path=root_path)
    whole = root_path + prefix  # servers put the root before the path
    page = Page(client.get(f"{whole}/new"))
    answer = client.post(f"{whole}/new", data=page.forms["new"].fields | {"kind": "erasure"})
    assert answer.headers["location"] == f"{whole}/requests/1?done=opened"
    page = Page(client.get(f"{whole}/requests/1"))
    targets = [*page.links, *(form.action for form in page.forms.values())]
    assert all(target.startswith((f"{whole}/", "#main")) for target in targets)


def test_a_prefix_out_of_a_url_leads_to_no_other_host(office: Desk) -> None:
    mounted: Any = desk(office.governance, clerk=clerk_of, secret=SECRET)
    app = Starlette(routes=[Mount("/{tenant:path}/desk", mounted)])
    client = TestClient(app, headers={"x-clerk": "Aiko", "x-may": " ".join(RIGHTS)}, follow_redirects=False)
    page = Page(client.get("http://testserver//evil.example/a%20b/desk/new"))
    assert page.status == 200
    assert {form.action for form in page.forms.values()} == {"/evil.example/a%20b/desk/new"}
    assert all(link.startswith(("/evil.example/a%20b/desk/", "#")) for link in page.links)


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        *((accepted, "ja") for accepted in ("ja", "JA-jp", "fr,ja;q=0.5,en;q=0.4")),
        *((accepted, "en") for accepted in (None, "", "fr", "en,ja", "ja;q=0", "ja;q=x", "*", "ja;q=nan")),
    ],
)
def test_the_language_is_the_browsers(office: Desk, accepted: str | None, language: str) -> None:
    headers = {} if accepted is None else {"accept-language": accepted}
    page = office.browser().get(headers=headers)
    assert f'<html lang="{language}">' in page.answer.text


def test_the_language_can_be_switched_and_stays(office: Desk) -> None:
    number = office.verified()
    browser = office.browser()
    page = browser.get("/?kind=disclosure&state=all", headers={"accept-language": "en"})
    switch = next(link for link in page.links if "language=ja" in link)
    assert switch == f"{PREFIX}/?kind=disclosure&state=all&page=1&language=ja"
    assert "請求の一覧" in browser.get(switch).text
    page = browser.get(f"/requests/{number}", headers={"accept-language": "en"})
    assert "本人確認済み" in page.text
    # What comes back from a form is switched at the page of its request.
    back = browser.send(page, "refuse", reason="")
    assert f"{PREFIX}/requests/{number}?language=en" in back.links
    assert "Identity verified" in browser.get(f"/requests/{number}?language=en").text
    assert "Identity verified" in browser.get(f"/requests/{number}?language=xx").text


def test_no_word_is_missing_in_a_language_and_none_is_left_over() -> None:
    table = tomllib.loads((TEMPLATES / "desk.toml").read_text("utf-8"))
    text = "".join(path.read_text("utf-8") for path in (*TEMPLATES.glob("*.html"), *TEMPLATES.parent.glob("*.py")))
    beginnings = ("state_", "by_", "did_", "done_", "do_", "about_", "note_", "fault_", "turned_", "language_")
    for name, texts in table.items():
        assert set(texts) == {"en", "ja"}
        assert all(texts.values())
        # Of a family of words each has a value of its own, which stands in the code or in the notice's model.
        whole = f"words.{name}" in text or f"desk.{name}" in text
        value = next((name.removeprefix(begin) for begin in beginnings if name.startswith(begin)), None)
        assert whole or (value is not None and (f'"{value.removesuffix("_help")}"' in text or value in KNOWN)), name


KNOWN = {*(f"fulfil_{effect}" for effect in ("discloses", "amends", "stops-use", "stops-provision", "deletes"))}
KNOWN |= {"open", "verified", "fulfilled", "refused", "withdrawn", "subject", "agent", "en", "ja"}


def test_a_store_that_cannot_be_reached_is_told_and_nothing_is_done(
    office: Desk, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    number = office.opened()
    before = tables(office.governance)
    browser = office.browser()
    page, new = browser.get(f"/requests/{number}"), browser.get("/new")
    with outage(office.governance.store, request):
        for answer in (
            browser.get(),
            browser.get(f"/requests/{number}"),
            browser.send(page, "verify", how=NOTE),
            browser.send(new, "new", kind="erasure", subject=SUBJECT, note=NOTE),
        ):
            assert answer.status == 503
            assert "The records cannot be reached" in answer.text
            assert "Nothing was changed." in answer.text
        assert "記録を利用できません" in browser.get(headers={"accept-language": "ja"}).text
    assert tables(office.governance) == before
    assert NOTE not in caplog.text
    assert SUBJECT not in caplog.text
    assert browser.send(page, "verify", how=NOTE).status == 303
    office.governance.close()
    assert browser.get().status == 503


def test_nothing_that_blocks_runs_in_the_event_loop(office: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    loops: list[bool] = []
    reading = office.governance.store.reading

    def asked(**options: Any) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            loops.append(False)
        else:
            loops.append(True)
        return reading(**options)

    monkeypatch.setattr(office.governance.store, "reading", asked)
    number = office.verified()
    browser = office.browser()
    browser.get()
    browser.send(browser.get(f"/requests/{number}"), "fulfil")
    assert len(loops) > 5
    assert not any(loops)


def test_a_report_is_made_whatever_purpose_the_application_runs_for(office: Desk) -> None:
    guard = office.governance._guard
    assert guard is not None
    number = office.verified()
    inner = office.app

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        with guard.purpose(tm.RenewalGuidance):
            await inner(scope, receive, send)
            assert guard.current.purpose is tm.RenewalGuidance

    office.app = outer  # type: ignore[assignment]
    browser = office.browser()
    report = browser.send(browser.get(f"/requests/{number}"), "fulfil", values="yes")
    assert "aiko@example.org" in report.text
