"""Requests to FlaskBB, whose own tests send none: each page is opened by a guest, a member and an administrator.

The responses are recorded and compared. A test fails only if a response is a server error.
"""

from collections.abc import Iterator
from contextvars import Context
from typing import Any

import pytest
from flaskbb.extensions import celery

GUEST_PAGES = ("/", "/memberlist", "/who-is-online", "/search", "/auth/login", "/auth/register", "/auth/reset-password")
MEMBER_PAGES = (
    *("/topictracker", "/user/settings/general", "/user/settings/email", "/user/settings/password"),
    *("/user/settings/user-details", "/conversations/inbox", "/conversations/new", "/conversations/sent"),
    *("/conversations/drafts", "/conversations/trash"),
)
ADMIN_PAGES = (
    *("/admin/", "/admin/users", "/admin/users/add", "/admin/users/banned", "/admin/groups", "/admin/groups/add"),
    *("/admin/forums", "/admin/forums/add", "/admin/category/add", "/admin/reports", "/admin/reports/unread"),
    *("/admin/plugins", "/admin/settings"),
)


class Browser:
    """A client whose requests inherit nothing from the test: neither its database session nor its purpose."""

    def __init__(self, application: Any) -> None:
        self._client = application.test_client()

    def log_in(self, user: Any) -> None:
        """Continue as a user who has logged in."""
        with self._client.session_transaction() as session:
            session["_user_id"], session["_fresh"] = str(user.id), True

    def open(self, path: str, **form: str) -> None:
        """Open a page, or send a form to it."""
        method = "POST" if form else "GET"
        response = Context().run(self._client.open, path, method=method, data=form or None)
        assert response.status_code < 500, f"{method} {path}: {response.get_data(as_text=True)}"


@pytest.fixture
def browser(application: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setitem(application.config, "WTF_CSRF_ENABLED", False)
    celery.conf.update(task_always_eager=True)  # There is no broker.
    yield Browser(application)
    celery.conf.update(task_always_eager=False)


@pytest.fixture
def pages_of_objects(application: Any, topic: Any, user: Any, category: Any) -> list[str]:
    """The pages of the objects that the fixtures made."""
    return [
        f"/category/{category.id}",
        f"/forum/{topic.forum_id}",
        f"/topic/{topic.id}",
        f"/post/{topic.first_post_id}/raw",
        f"/user/{user.username}",
        f"/user/{user.username}/posts",
        f"/user/{user.username}/topics",
    ]


def test_guest(browser: Browser, pages_of_objects: list[str]):
    for page in (*GUEST_PAGES, *pages_of_objects, *MEMBER_PAGES, *ADMIN_PAGES):
        browser.open(page)


def test_registration(browser: Browser, default_groups: Any):
    form = {"username": "rosa", "email": "rosa@example.org", "password": "spartacus", "confirm_password": "spartacus"}
    browser.open("/auth/register", **form, language="en", accept_tos="y", submit="y")
    for password in (form["password"], "wrong"):
        browser.open("/auth/login", login="rosa", password=password, submit="y")
    browser.open("/auth/reset-password", email="rosa@example.org", submit="y")


def test_member(browser: Browser, user: Any, pages_of_objects: list[str], topic: Any):
    topic_id, post_id, forum_id = topic.id, topic.first_post_id, topic.forum_id
    browser.log_in(user)
    for page in (*GUEST_PAGES, *MEMBER_PAGES, *pages_of_objects):
        browser.open(page)
    for page in (f"/{forum_id}/topic/new", f"/topic/{topic_id}/post/new", f"/post/{post_id}/edit"):
        browser.open(page)
    browser.open(f"/post/{post_id}/report", reason="a test", submit="y")
    browser.open(f"/topic/{topic_id}/post/new", content="a reply", submit="y")
    browser.open(f"/{forum_id}/topic/new", title="a title", content="a topic", submit="y")
    browser.open(f"/topictracker/{topic_id}/add", submit="y")
    browser.open(f"/post/{post_id}/edit", content="another content", submit="y")
    browser.open(
        "/user/settings/user-details",
        birthday="1871-03-05",
        gender="Female",
        location="Zamość",
        website="https://example.org/rosa",
        avatar="",
        signature="Spartacus",
        notes="",
        submit="y",
    )
    browser.open(
        "/user/settings/email", old_email=user.email, new_email="r@example.org", confirm_new_email="r@example.org"
    )
    browser.open("/auth/logout")


def test_administrator(browser: Browser, admin_user: Any, user: Any, pages_of_objects: list[str], topic: Any):
    user_id, forum_id, category_id, topic_id = user.id, topic.forum_id, topic.forum.category_id, topic.id
    browser.log_in(admin_user)
    for page in (*ADMIN_PAGES, *pages_of_objects):
        browser.open(page)
    for page in (f"users/{user_id}", f"forums/{forum_id}", f"category/{category_id}", "groups/1"):
        browser.open(f"/admin/{page}/edit")
    browser.open("/admin/users", search_query="test", submit="y")
    browser.open(f"/admin/users/{user_id}/ban", submit="y")
    browser.open(f"/admin/users/{user_id}/unban", submit="y")
    browser.open(f"/topic/{topic_id}/lock", submit="y")
    browser.open(f"/topic/{topic_id}/highlight", submit="y")
    browser.open("/admin/settings/general")
