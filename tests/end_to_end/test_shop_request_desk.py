"""The shop's request desk in a real browser: from a letter to a printed report, in both languages, by keyboard too."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx2
import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, BrowserContext, Locator, Page

from examples.shop.app import create_app
from tests.browsing import findings, printed
from tests.end_to_end.conftest import CUSTOMER, settings_in

TOKEN = "of-the-tests-alone"  # noqa: S105  # it protects nothing
LETTER = "a letter of the third of May"


class Shop(NamedTuple):
    url: str
    client: httpx2.Client


@contextmanager
def served(app: Any) -> Iterator[str]:
    """An application on a server in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + 120
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < until
            time.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def open_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    settings = settings_in(folder, desk_token=TOKEN, desk_secret="x" * 32)
    with served(create_app(settings)) as url, httpx2.Client(base_url=url, timeout=120) as client:
        assert client.post("/customers", json=CUSTOMER).status_code == 201
        yield Shop(url, client)


@contextmanager
def visiting(browser: Browser, shop: Shop, name: str = "Aiko", **options: Any) -> Iterator[Page]:
    """A page of a clerk who is logged in. Whatever the browser refuses or complains of fails the test."""
    context: BrowserContext = browser.new_context(
        base_url=shop.url, http_credentials={"username": name, "password": TOKEN}, **options
    )
    complaints: list[str] = []
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
    finally:
        context.close()
    # A status above 399 is noted as well, which some tests are about.
    assert [text for text in complaints if "the server responded with a status" not in text] == []


def follow(control: Locator) -> None:
    """Clicks a link or a button, and waits until the page that answers is there as a whole."""
    with control.page.expect_navigation():
        control.click()


def press(page: Page, button: str) -> None:
    follow(page.get_by_role("button", name=button))


def test_from_a_letter_to_the_printed_report(browser: Browser, open_shop: Shop) -> None:
    with visiting(browser, open_shop, locale="en-GB") as page:
        page.goto("/desk")
        follow(page.get_by_role("link", name="New request"))
        page.get_by_label("Request", exact=True).select_option("disclosure")
        page.get_by_label("Person (our id)").fill("customer:1")
        page.get_by_label("Note").fill(LETTER)
        press(page, "Put on record")
        assert page.get_by_role("status").inner_text() == "The request is on record."
        page.get_by_label("How it was verified").fill("called back")
        press(page, "Verify the identity")
        assert page.get_by_role("status").inner_text() == "The identity is recorded as verified."
        page.get_by_label("Show the values held").first.check()
        press(page, "Fulfil the request")
        text = printed(page)
        assert "Disclosure of personal data" in text
        assert "aiko@example.com" in text
        assert "Print or save" not in text  # the way back is not printed
        follow(page.get_by_role("link", name="Back to request"))
        assert page.get_by_text("What is closed is not changed").is_visible()
        assert page.get_by_role("listitem").filter(has_text="Fulfilled").filter(has_text="Aiko").is_visible()
        # The page of a request prints without its forms.
        text = printed(page)
        assert LETTER in text
        assert "Make the report" not in text


def test_by_the_keyboard_alone_in_japanese(browser: Browser, open_shop: Shop) -> None:
    def to(page: Page, role: str, name: str) -> None:
        """Goes on with the Tab key until the control with this role and name has the focus."""
        wanted = page.get_by_role(role, name=name).first  # type: ignore[arg-type]
        for _ in range(80):
            page.keyboard.press("Tab")
            if wanted.evaluate("node => node === document.activeElement"):
                return
        raise AssertionError(f"no way by keyboard to {name}")

    with visiting(browser, open_shop, "森", locale="ja-JP") as page:
        page.goto("/desk/")
        page.keyboard.press("Tab")
        assert page.get_by_role("link", name="本文へ移動").evaluate("node => node === document.activeElement")
        to(page, "link", "新しい請求")
        page.keyboard.press("Enter")
        page.wait_for_url("**/new")
        to(page, "combobox", "請求の種類")
        kind = page.get_by_label("請求の種類")
        while kind.input_value() != "disclosure":
            page.keyboard.press("ArrowDown")
        to(page, "textbox", "本人")
        page.keyboard.type("customer:1")
        to(page, "button", "受け付ける")
        page.keyboard.press("Enter")
        page.wait_for_url("**/requests/*")
        number = page.url.partition("?")[0].rpartition("/")[2]
        to(page, "textbox", "確認の方法")
        page.keyboard.type("運転免許証")
        to(page, "button", "本人確認を記録する")
        page.keyboard.press("Enter")
        page.wait_for_url("**done=verified")
        to(page, "radio", "日本語")
        to(page, "checkbox", "データの内容も記載する")
        page.keyboard.press("Space")
        to(page, "button", "請求に対応する")
        page.keyboard.press("Enter")
        page.wait_for_url("**/fulfil")
        text = printed(page).replace(" ", "")
        assert "保有個人データ開示書" in text
        assert "aiko@example.com" in text
        to(page, "link", f"請求 {number} の画面へ戻る")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/requests/{number}")
        assert "対応済み" in page.inner_text("main")
        assert page.title() == f"請求 {number} – 開示等の請求対応"


def test_axe_finds_nothing_on_any_page_in_light_and_dark(browser: Browser, open_shop: Shop) -> None:
    late = {"kind": "erasure", "subject": "customer:1", "requester": "agent"}
    assert open_shop.client.post("/privacy/requests", json=late).status_code == 201
    with visiting(browser, open_shop, locale="en") as page:

        def accessible() -> None:
            page.emulate_media(color_scheme="light")
            assert findings(page) == []
            page.emulate_media(color_scheme="dark")  # in which colours alone differ
            assert Axe().run(page, options={"runOnly": ["color-contrast"]}).response["violations"] == []

        page.goto("/desk/?state=all")
        accessible()
        page.goto("/desk/new")
        page.get_by_text("Purposes", exact=True).click()
        page.get_by_label("Request", exact=True).select_option("correction")
        page.get_by_label("Stop at once").check()
        press(page, "Put on record")
        assert page.get_by_role("alert").evaluate("node => node === document.activeElement")
        accessible()
        page.goto("/desk/?state=all")
        follow(page.get_by_role("row").filter(has_text="Erasure").get_by_role("link").first)
        for summary in page.locator("summary").all()[1:]:
            summary.click()
        accessible()
        page.get_by_label("Authority").fill("file 7")
        page.get_by_label("How it was verified").fill("passport")
        press(page, "Verify the identity")
        accessible()
        page.goto("/desk/requests/99")
        accessible()
        page.goto("/desk/?state=pending")
        follow(page.get_by_role("row").filter(has_text="verified").get_by_role("link").first)
        page.get_by_text("Make the report").first.click()
        press(page, "Make the report")
        assert page.get_by_text("Disclosure of personal data").first.is_visible()
        accessible()


def test_a_stale_page_and_a_double_click_are_harmless(browser: Browser, open_shop: Shop) -> None:
    new = {"kind": "correction", "subject": "customer:1"}
    number = open_shop.client.post("/privacy/requests", json=new).json()["id"]
    with visiting(browser, open_shop, locale="en") as mine, visiting(browser, open_shop, "Ben", locale="en") as theirs:
        for page in (mine, theirs):
            page.goto(f"/desk/requests/{number}")
            page.get_by_text("Refuse the request").first.click()
            page.locator("#refuse-reason").fill("It is correct.")
        mine.get_by_role("button", name="Refuse the request").dblclick()
        mine.wait_for_load_state("networkidle")
        assert mine.get_by_role("status").inner_text() == "The request is refused."
        assert mine.get_by_text("It is correct.").count() == 1
        press(theirs, "Refuse the request")
        assert "The request has moved on" in theirs.inner_text("main")
        follow(theirs.get_by_role("link", name="Back to request"))
        assert "Refused" in theirs.inner_text("main")


def test_no_other_site_frames_it_or_sends_its_forms(browser: Browser, open_shop: Shop) -> None:
    number = open_shop.client.post("/privacy/requests", json={"kind": "erasure", "subject": "customer:1"}).json()["id"]
    elsewhere = open_shop.url.replace("127.0.0.1", "localhost")  # another site, with the clerk logged in here
    context = browser.new_context(http_credentials={"username": "Aiko", "password": TOKEN})
    page = context.new_page()
    page.goto(f"{open_shop.url}/desk/requests/{number}")
    token = page.locator('input[name="token"]').first.get_attribute("value")
    page.route(
        f"{elsewhere}/trap",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f"""<iframe src="{open_shop.url}/desk/"></iframe>
            <form action="{open_shop.url}/desk/requests/{number}/refuse" method="post">
            <input name="token" value="{token}"><input name="seen" value="1"><input name="reason" value="x"></form>""",
        ),
    )
    page.goto(f"{elsewhere}/trap")
    assert page.frames[1].url.startswith("chrome-error:")
    page.evaluate("document.forms[0].submit()")
    page.wait_for_url("**/refuse")
    assert "This form cannot be accepted" in page.inner_text("main")
    page.goto(f"{open_shop.url}/desk/requests/{number}")
    assert "Received" in page.inner_text("dl")
    context.close()
