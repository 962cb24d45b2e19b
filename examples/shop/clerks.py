"""The people who work at the request desk.

A real shop has log-ins. This one asks the browser for a name and the token of the desk.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request

from examples.shop.privacy import governance
from purposeguard.governance.web import RIGHTS, Clerk, desk

TRAINEE = RIGHTS - {"refuse", "disclose"}
"""The rights of clerks whose names begin with `trainee`."""


def desk_with(token: str, secret: str) -> Starlette:
    """Return the request desk for people who know the token. The secret signs its forms."""
    return desk(governance, clerk=make_clerk_finder(token), secret=secret)


def make_clerk_finder(token: str) -> Callable[[Request], Clerk]:
    """Return a function that identifies the clerk of a request by HTTP basic authentication.

    The user name is the clerk's name, and the password is the token.
    """

    def clerk(request: Request) -> Clerk:
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        try:
            name, _, password = base64.b64decode(credentials).decode().partition(":")
            if scheme.lower() == "basic" and secrets.compare_digest(password.encode(), token.encode()):
                return Clerk(name, TRAINEE if name.startswith("trainee") else RIGHTS)
        except ValueError:  # The credentials are not base64, or not a name.
            pass
        raise HTTPException(401, headers={"www-authenticate": 'Basic realm="request desk", charset="UTF-8"'})

    return clerk
