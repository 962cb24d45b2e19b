"""The request desk: pages on which clerks answer requests (clause 7), mounted into the user's own application.

::

    def clerk_of(request: Request) -> Clerk | None:
        user = request.session.get("user")
        return None if user is None else Clerk(user["name"], may=RIGHTS)

    app.mount("/desk", desk(governance, clerk=clerk_of, secret=os.environ["DESK_SECRET"]))

The application decides who is a clerk and what they may do. Requests are named by their numbers: no URL, title or log
record contains personal data.
"""

from purposeguard.extras import Needs

with Needs(__name__, "web"):
    from purposeguard.governance.web.application import desk

from purposeguard.governance.web.clerks import RIGHTS, Clerk, Right

__all__ = ["RIGHTS", "Clerk", "Right", "desk"]
