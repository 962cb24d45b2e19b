"""A small service for tests of servers: by WSGI (Flask) and by ASGI (Starlette), with the same routes.

`/renewal`, `/product` and `/provision` have a purpose each, and `/none` has none. A request looks several times at what
is under way, and waits in between, so that others run; it also tries what others have under way at that moment. Its
answer is what it saw, one look a line, and the header `Peak` is how many requests were under way at once. After its
first look it waits until that has been `SERVING_AT_ONCE`.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

import anyio
from flask import Flask
from flask import Response as FlaskResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import purposeguard as pg
from purposeguard.integrations.asgi import PurposeRoutes
from purposeguard.integrations.flask import Purposes
from purposeguard.notices import trendmicro_jp as tm

PURPOSES = {"/renewal": tm.RenewalGuidance, "/product": tm.ProductGuidance, "/provision": tm.ProductProvision}
PATHS = (*PURPOSES, "/none")
LOOKS = 4
NONE = "none"
AT_ONCE = int(os.environ.get("SERVING_AT_ONCE", "1"))

guard = pg.Guard(tm.NOTICE)
sealed: pg.Personal[str, tm.Registration] = pg.Personal("Aiko", tm.Registration)


@guard.access(tm.Registration)
def read() -> str:
    return "Aiko"


class UnderWay:
    """The requests of this process, and what they have under way."""

    def __init__(self) -> None:
        self.uses: dict[int, pg.Use[tm.RenewalGuidance]] = {}
        self.number = self.running = self.peak = 0

    def begin(self) -> int:
        self.number += 1
        self.running += 1
        self.peak = max(self.peak, self.running)
        return self.number

    def end(self, number: int) -> None:
        self.running -= 1
        self.uses.pop(number, None)

    def gathering(self) -> Iterator[None]:
        """Goes on until there have been enough requests at once, for a minute at most."""
        until = time.monotonic() + 60
        while self.peak < AT_ONCE and time.monotonic() < until:
            yield

    def look(self, number: int) -> str:
        """The purpose under way here, or what is wrong."""
        others = [use for other, use in tuple(self.uses.items()) if other != number]
        for use in random.sample(others, min(len(others), 5)):
            if use.active and opens(use):
                return "opened by the use of another request"
        try:
            use = guard.current
        except pg.PurposeMissing:
            return NONE if not reads() else "read without a purpose"
        self.uses[number] = use
        return use.activity.purpose_id if reads() and opens(use) else "refused to its own purpose"


def opens(use: pg.Use[tm.RenewalGuidance]) -> bool:
    try:
        return use.open(sealed) == "Aiko"
    except pg.PurposeMissing:
        return False


def reads() -> bool:
    try:
        return read() == "Aiko"
    except pg.PurposeMissing:
        return False


under_way = UnderWay()

if os.environ.get("SERVING_FORKED"):  # a purpose that is under way where the server forks its workers
    forked = guard.purpose(tm.ResearchNotice, activity="forked")
    forked.__enter__()


# --- WSGI

wsgi = Flask(__name__)


def view() -> FlaskResponse:
    number = under_way.begin()

    def steps() -> Iterator[str]:
        try:
            yield from before
            for _ in range(LOOKS // 2):
                yield under_way.look(number) + "\n"
                time.sleep(0.002)
        finally:
            under_way.end(number)

    before = [under_way.look(number) + "\n"]
    for _ in under_way.gathering():
        time.sleep(0.01)
    for _ in range(LOOKS // 2 - 1):
        before.append(under_way.look(number) + "\n")
        time.sleep(0.002)
    return FlaskResponse(steps(), mimetype="text/plain", headers={"Peak": str(under_way.peak)})


for path in PATHS:
    wsgi.add_url_rule(path, path[1:], view)
Purposes(wsgi, guard, {path[1:]: guard.purpose(purpose) for path, purpose in PURPOSES.items()})


# --- ASGI


async def endpoint(_request: Request) -> PlainTextResponse:
    number = under_way.begin()
    try:
        looks = [under_way.look(number) + "\n"]
        for _ in under_way.gathering():
            await anyio.sleep(0.01)
        for _ in range(LOOKS - 1):
            looks.append(under_way.look(number) + "\n")
            await anyio.sleep(0.002)
    finally:
        under_way.end(number)
    return PlainTextResponse("".join(looks), headers={"Peak": str(under_way.peak)})


asgi = PurposeRoutes(
    Starlette(routes=[Route(path, endpoint) for path in PATHS]),
    {f"GET {path}": guard.purpose(purpose) for path, purpose in PURPOSES.items()},
)
