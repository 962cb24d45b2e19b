"""The request desk: pages on which clerks answer requests (clause 7), mounted into the user's own application.

::

    def clerk_of(request: Request) -> Clerk | None:
        user = request.session.get("user")
        return None if user is None else Clerk(user["name"], may=RIGHTS)

    app.mount("/desk", desk(governance, clerk=clerk_of, secret=os.environ["DESK_SECRET"]))

Who a clerk is and what they may do is for the application to say. Requests are named by their numbers: no URL, title
or log record holds anything of a person.
"""

try:
    from purposeguard.governance.web.application import desk
except ModuleNotFoundError as _error:
    _name = (_error.name or "").partition(".")[0]
    if _name not in ("starlette", "itsdangerous", "multipart", "python_multipart", "jinja2"):
        raise
    _message = f"purposeguard.governance.web needs {_name}, which is not installed: pip install 'purposeguard[web]'"
    raise ModuleNotFoundError(_message, name=_name) from _error

from purposeguard.governance.web.clerks import RIGHTS, Clerk, Right

__all__ = ["RIGHTS", "Clerk", "Right", "desk"]
