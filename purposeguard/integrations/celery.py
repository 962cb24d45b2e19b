"""Celery: a purpose travels with a task as a passport. The worker enters it around the body of the task, or refuses.

::

    app = Celery("shop", broker=…, task_cls=purpose_task(passports))

    @app.task(permits=[tm.ProductGuidance], subject="customer")
    def write(customer: int) -> None: ...

    with guard.purpose(tm.ProductGuidance):
        write.delay(7)

A task that beat sends has no caller, so it states its purpose itself: `@app.task` above `@guard.purpose(…)`.
"""

from __future__ import annotations

import datetime
import inspect
import sys
from typing import Any, ClassVar, Final

from purposeguard.errors import PassportRefused
from purposeguard.extras import Needs, must_be_tested
from purposeguard.guard import Guard
from purposeguard.integrations.stated_purposes import find_activity, find_block, get_site, require_permitted
from purposeguard.runtime.activity import Block
from purposeguard.runtime.entry_point import EntryPoint
from purposeguard.runtime.site import Site

with Needs(__name__, "celery"):
    from celery import Task
    from celery.utils.imports import symbol_by_name
    from celery.utils.time import maybe_make_aware

    from purposeguard.integrations.passport import (
        HEADER,
        NOT_RETRIED,
        Passports,
        make_header,
        subject_among,
        under_way,
        without_purpose,
    )
    from purposeguard.integrations.signing import Passport

    must_be_tested("celery", "5.5", "5.7")

_ENTERED: Final = "purposeguard_entered"
"""The attribute of a task's request that says that its body runs already."""
_ORIGIN: Final = "purposeguard_origin"
"""The attribute of a task's request that holds the passport of its message."""


def audience(name: str) -> str:
    """Return the audience of passports for the task of this name, for `Passports.issue`."""
    return f"celery:{name}"


def headers_for(passports: Passports, name: str, *, subject: object = None) -> dict[str, str]:
    """Return headers with a passport for `app.send_task(name, …, headers=…)`, if the code of the task is not here.

    They are empty if a missing purpose is only observed.

    Raises:
        PurposeMissing: No purpose is under way.
    """
    return make_header(passports, audience=audience(name), subject=subject)


def install(app: Any, guard: Guard) -> None:
    """Make each task of an application an entry point that runs for the purpose that `purposes.toml` states for it.

    Call it before the application has made tasks; those of `@app.task` are made when it starts. Tasks with another
    `base` stay as they are. `purpose_task` does the same, and sends purposes with messages.

    Raises:
        TypeError: `guard` is no guard.
        RuntimeError: The application has made tasks already.
    """
    if not isinstance(guard, Guard):
        raise TypeError(f"`install` is given a guard, not {type(guard).__name__}")
    if "Task" in vars(app):
        raise RuntimeError(f"{app!r} has made tasks already: call `install` where the application is made")
    base = symbol_by_name(app.task_cls)
    app.task_cls = type("StatedTask", (StatedTask, base), {"guard": guard, "abstract": True, "__module__": __name__})


def purpose_task(passports: Passports, base: type[Any] = Task) -> type[PurposeTask]:
    """Return a task class for an application, `Celery(…, task_cls=…)`, or for one task, `@app.task(base=…)`.

    `base` is the class that tasks would have otherwise.
    """
    namespace = {
        "passports": passports,
        "guard": passports.guard,
        "abstract": True,
        "__module__": __name__,
        "__doc__": PurposeTask.__doc__,
    }
    bases: tuple[type[Any], ...] = (PurposeTask, base)
    if issubclass(base, PurposeTask) or issubclass(PurposeTask, base):  # One class already has both.
        bases = (base if issubclass(base, PurposeTask) else PurposeTask,)
    return type("PurposeTask", bases, namespace)


_Task: Any = Task  # Celery comes without types.


class StatedTask(_Task):  # type: ignore[misc]  # The base class has no types.
    """A task that is an entry point, and runs for the purpose that `purposes.toml` states for it. `install` makes it.

    Raises, when the task is bound to its application:
        ValueError: The code of the task and the file state different purposes.
    """

    abstract = True
    name: str
    guard: ClassVar[Guard]

    @classmethod
    def on_bound(cls, app: Any) -> None:
        """List the activity of the task."""
        super().on_bound(app)
        block = cls._find_block(cls.run) if getattr(cls, "name", None) else None  # A base class has no name.
        if block is not None:
            block.stated.get_handle_at(get_site(block))

    @classmethod
    def _find_block(cls, run: Any) -> Block[Any] | None:
        return find_block(cls.guard, EntryPoint.task(cls.name).name, [find_activity(run)])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the body: of a message, for the purpose of its task; in a direct call, for that of the caller."""
        request = self.request_stack.top
        if request is None or request.called_directly or hasattr(request, _ENTERED):
            return super().__call__(*args, **kwargs)
        setattr(request, _ENTERED, True)
        with EntryPoint.task(self.name):
            return self._run_message(request, args, kwargs)

    def _run_message(self, request: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG002  # A subclass uses it.
        block = self._find_block(self.run)
        run = self.run if block is None else block.wrap_function(self.run, get_site(block))
        return run(*args, **kwargs)


class PurposeTask(StatedTask):
    """A task that runs for the purpose of the passport in its message. `purpose_task` makes it.

    `permits` are the purposes that the task may run for. Without `permits`, it runs without a purpose, or for one that
    its function or `purposes.toml` states. If a task is for the data of one person, `subject` names the parameter that
    takes their id. Its passport is then valid for that person alone.

    Raises:
        UnknownPurpose, TypeError: `permits` is no list of purposes of the notice.
        TypeError: The function has no parameter that `subject` names.
        ValueError: `purposes.toml` states another purpose than the code, when the task is bound to its application.
    """

    abstract = True
    passports: ClassVar[Passports]
    permits: Any = None
    subject: str | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.permits is not None:
            if not hasattr(cls, "passports"):
                raise TypeError("give `base=purpose_task(passports)`, whose passports are those of the application")
            cls.permits = cls.passports.declare(cls.permits, cls.name or cls.__name__, cls._site())
        if "run" in vars(cls) and cls.subject is not None and cls.subject not in inspect.signature(cls.run).parameters:
            raise TypeError(f"{getattr(cls, 'name', cls.__name__)} has no parameter `{cls.subject}`")

    @classmethod
    def _find_block(cls, run: Any) -> Block[Any] | None:
        if cls.permits is None:
            return super()._find_block(run)
        require_permitted(cls.guard, EntryPoint.task(cls.name).name, cls.permits)
        return None

    def _run_message(self, request: Any, args: Any, kwargs: Any) -> Any:
        passports = self.passports
        text = (request.headers or {}).get(HEADER)
        origin = self._origin(text, args, kwargs)
        setattr(request, _ORIGIN, origin)
        if self.permits is None:
            return super()._run_message(request, args, kwargs)
        with passports.accept(
            origin or text,
            permits=self.permits,
            audience=audience(self.name),
            subject=self._subject(args, kwargs),
            activity=self.name,
            holder=request.id if self._is_redelivered(request) else None,
            site=self._site(),
        ):
            return self.run(*args, **kwargs)

    def apply_async(self, args: Any = None, kwargs: Any = None, task_id: Any = None, *more: Any, **options: Any) -> Any:
        """Send the task with a passport for the purpose under way.

        Raises:
            PurposeMissing: The task runs for a purpose, and none is under way.
        """
        options["headers"] = self._headers(args, kwargs, task_id, options)
        return super().apply_async(args, kwargs, task_id, *more, **options)

    def apply(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Run the task here as a worker would: for the purpose of a passport, not for that of the caller.

        Raises:
            PurposeMissing: As in `apply_async`.
        """
        options["headers"] = self._headers(args, kwargs, options.get("task_id"), options)
        with without_purpose(self.passports.guard):
            return super().apply(args, kwargs, **options)

    def retry(self, args: Any = None, kwargs: Any = None, exc: Any = None, **options: Any) -> Any:
        """Send the task again for its original purpose. A refusal is raised instead: a retry would be refused, too."""
        errors: tuple[BaseException | None, ...] = (exc, sys.exc_info()[1])
        for error in errors:
            if isinstance(error, NOT_RETRIED):
                raise error
        return super().retry(args, kwargs, exc, **options)

    def _headers(self, args: Any, kwargs: Any, task_id: str | None, options: dict[str, Any]) -> dict[str, Any]:
        """Return the headers of a message with its passport."""
        headers = dict(options.get("headers") or {})
        terms: dict[str, Any] = {
            "audience": audience(self.name),
            "subject": self._subject(args or (), kwargs or {}),
            "due": self._due(options),
        }
        origin, is_same_task = self._find_continued_passport(task_id)
        if origin is not None and is_same_task:
            headers[HEADER] = self.passports.renew(origin, **terms)
        elif HEADER in headers:
            pass  # The sender set it: by `headers_for`, or for a retry after the task has ended.
        elif under_way(self.passports.guard) is not None:
            headers[HEADER] = self.passports.issue(**terms)
        elif origin is not None:
            headers[HEADER] = self.passports.renew(origin, **terms)
        elif self.permits is not None and self.app.current_task is None:
            engine = self.passports.guard.engine
            engine.report_missing_purpose(f"{self.name} was sent", "send it inside `with guard.purpose(…)`")
        return headers

    def _find_continued_passport(self, task_id: str | None) -> tuple[Passport | None, bool]:
        """Return the passport of the task that is running here, and whether that task sends itself again.

        Work that a running task sends follows from it, so it continues with the same passport.
        """
        task = self.app.current_task
        request = None if task is None else task.request
        is_same_task = request is not None and task_id is not None and request.id == task_id
        return getattr(request, _ORIGIN, None), is_same_task

    @classmethod
    def _site(cls) -> Site:
        return Site.of(inspect.unwrap(cls.run))

    def _origin(self, text: str | None, args: Any, kwargs: Any) -> Passport | None:
        """Return the passport of the message if it is genuine. Work that follows from the task continues with it."""
        try:
            return self.passports.read(text, audience=audience(self.name), subject=self._subject(args, kwargs))
        except PassportRefused:
            return None

    def _subject(self, args: Any, kwargs: Any) -> object:
        """Return the subject among the arguments of a message, or None if the task names no parameter for it."""
        return subject_among(self.run, self.subject, self.name, args, kwargs)

    def _due(self, options: dict[str, Any]) -> datetime.datetime | None:
        """Return the time from which the message is to be handled, or None for now."""
        countdown, eta = options.get("countdown"), options.get("eta")
        if countdown:
            return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=countdown)
        if isinstance(eta, str):
            eta = datetime.datetime.fromisoformat(eta)
        return None if eta is None else maybe_make_aware(eta, self.app.timezone)

    def _is_redelivered(self, request: Any) -> bool:
        """Return True if the message may be handled again: after its worker was killed, or by an eager task."""
        return bool(self.acks_late or self.app.conf.task_acks_late or request.is_eager)
