"""Who works at the request desk. A shop has log-ins; this one asks the browser for a name and the desk's token."""

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
"""What clerks may do whose names begin with `trainee`."""


def desk_with(token: str, secret: str) -> Starlette:
    """The request desk, for who knows the token; the secret signs its forms."""
    return desk(governance, clerk=known_by(token), secret=secret)


def known_by(token: str) -> Callable[[Request], Clerk]:
    """Says who sent a request, by HTTP's basic authentication: the name, and the token as the password."""

    def clerk(request: Request) -> Clerk:
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        try:
            name, _, password = base64.b64decode(credentials).decode().partition(":")
            if scheme.lower() == "basic" and secrets.compare_digest(password.encode(), token.encode()):
                return Clerk(name, TRAINEE if name.startswith("trainee") else RIGHTS)
        except ValueError:  # it is not base64, or not a name
            pass
        raise HTTPException(401, headers={"www-authenticate": 'Basic realm="request desk", charset="UTF-8"'})

    return clerk
