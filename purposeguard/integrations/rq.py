"""RQ: a purpose travels with a job as a passport. The worker enters it around the function of the job, or refuses.

::

    queue = PurposeQueue("mail", connection=redis, passports=passports)

    @purpose_job(passports, permits=[tm.ProductGuidance], subject="customer")
    def write(customer: int) -> None: ...

    with guard.purpose(tm.ProductGuidance):
        queue.enqueue(write, 7)

Workers are started as always. A job that repeats, or that a scheduler makes, has no caller, so its function states its
purpose itself: `@guard.purpose(…)`.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import inspect
from collections.abc import Callable, Generator
from typing import Any, Final, NamedTuple, TypeVar, cast

from purposeguard.errors import PassportRefused
from purposeguard.extras import Needs, must_be_tested
from purposeguard.guard import Guard
from purposeguard.integrations.stated_purposes import find_activity, find_block, get_site, require_permitted
from purposeguard.runtime.entry_point import EntryPoint
from purposeguard.runtime.site import Site
from purposeguard.runtime.wrapping import require_function

with Needs(__name__, "rq"):
    from rq import Queue, Retry, get_current_job
    from rq.job import Job

    from purposeguard.integrations.passport import (
        HEADER,
        NOT_RETRIED,
        Passports,
        subject_among,
        under_way,
        without_purpose,
    )
    from purposeguard.integrations.signing import Passport

    must_be_tested("rq", "2.6", "3.0")

F = TypeVar("F", bound=Callable[..., Any])

_DECLARED: Final = "__purpose_job__"
"""The attribute of a function that says for which purposes it may run."""
_ENTERED: Final = "_purposeguard_entered"
"""The attribute of a job that runs for the purpose of its passport already."""
_SUBJECT: Final = "_purposeguard_subject"
"""The attribute of a job that is being sent, which says whose data it is for."""


def audience(name: str) -> str:
    """Return the audience of passports for jobs of the function of this name, such as `shop.mail.write`."""
    return f"rq:{name}"


class _JobDeclaration(NamedTuple):
    passports: Passports
    permits: tuple[Any, ...]
    subject: str | None
    fn: Callable[..., Any]
    site: Site

    def subject_of(self, args: Any, kwargs: Any) -> object:
        """Return the subject among the arguments of a job, or None if its function names no parameter for it."""
        return subject_among(self.fn, self.subject, self.site.dotted, args, kwargs)

    @contextlib.contextmanager
    def enter(self, job: Any, args: Any, kwargs: Any) -> Generator[Passport | None]:
        """Enter the purpose of a job's passport around its function, and yield the passport.

        A refusal ends all retries. If the function fails and the job is to run again, the job gets a new passport.
        """
        setattr(job, _ENTERED, True)
        passports, text = self.passports, job.meta.get(HEADER)
        terms: dict[str, Any] = {"audience": audience(job.func_name), "subject": self.subject_of(args, kwargs)}
        passport: Passport | None = None
        with contextlib.suppress(PassportRefused):  # `accept` below raises it again.
            passport = passports.read(text, **terms)
        try:
            with (
                EntryPoint.task(job.func_name),
                passports.accept(
                    passport or text,
                    permits=self.permits,
                    activity=self.site.dotted,
                    holder=job.id,
                    site=self.site,
                    **terms,
                ),
            ):
                yield passport
        except NOT_RETRIED:
            job.retries_left = 0
            raise
        except Exception:
            if passport is not None and job.should_retry:
                self.renew(job, passport, job.get_retry_interval(), terms["subject"])
            raise

    def renew(self, job: Any, passport: Passport, seconds: float, subject: object) -> None:
        """Give a job a passport that is valid when it runs again."""
        due = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
        job.meta[HEADER] = self.passports.renew(passport, audience=audience(job.func_name), subject=subject, due=due)
        job.save_meta()

    def finish(self, job: Any, passport: Passport | None, result: Any, args: Any, kwargs: Any) -> None:
        """Renew the passport if the function asked for a retry by returning `Retry`."""
        if passport is not None and isinstance(result, Retry):
            interval = Retry.get_interval(job.number_of_retries or 0, result.intervals)
            self.renew(job, passport, interval, self.subject_of(args, kwargs))


def purpose_job(passports: Passports, *, permits: Any, subject: str | None = None) -> Callable[[F], F]:
    """Return a decorator for a job's function, which then runs only for the purpose of the passport in the job.

    A direct call of the function runs for the purpose of its caller, like that of any other function.

    Args:
        passports: The passports of the application.
        permits: The purposes that the function may run for.
        subject: The parameter that takes the id of the person whose data the job is for, if it is for one person. Its
            passport is then valid for that person alone.

    Raises:
        UnknownPurpose, TypeError: `permits` is no list of purposes of the notice.
        TypeError: No function is decorated, or it has no parameter that `subject` names.
        ValueError: `purposes.toml` states a purpose that is not in `permits`.
    """

    def decorate(fn: F) -> F:
        require_function(fn)
        site = Site.of(fn)
        purposes = passports.declare(permits, site.dotted, site)
        declared = _JobDeclaration(passports, purposes, subject, fn, site)
        require_permitted(passports.guard, EntryPoint.task(site.dotted).name, purposes)
        if subject is not None and subject not in inspect.signature(fn).parameters:
            raise TypeError(f"{site.dotted} has no parameter `{subject}`")
        wrapper: Any = _run_async(fn, declared) if inspect.iscoroutinefunction(fn) else _run(fn, declared)
        setattr(fn, _DECLARED, declared)  # RQ's `@job` below enqueues this function.
        setattr(wrapper, _DECLARED, declared)
        return cast("F", wrapper)

    return decorate


def job_class(guard: Guard, base: type[Any] = Job) -> type[Any]:
    """Return a class of jobs for workers, `rq worker --job-class shop.jobs.GuardedJob`.

    Each job is an entry point, and runs for the purpose that `purposes.toml` states for it. Functions that
    `purpose_job` decorates need no such class.

    Raises, when the job runs:
        ValueError: The code of its function and the file state different purposes.
    """

    class GuardedJob(base):  # type: ignore[misc]  # The base class is a parameter.
        @property
        def func(self) -> Any:
            """The function of the job, which runs at the entry point and for the purpose."""
            fn, entry_point = super().func, EntryPoint.task(self.func_name)
            if hasattr(fn, _DECLARED):
                return fn
            block = find_block(guard, entry_point.name, [find_activity(fn)])
            return entry_point.wrap(fn if block is None else block.wrap_function(fn, get_site(block)))

    return GuardedJob


def _find_arriving_job() -> Any:
    """Return the job that begins here, or None if the function is called directly."""
    job = get_current_job()
    return None if job is None or hasattr(job, _ENTERED) else job


def _run(fn: Callable[..., Any], declared: _JobDeclaration) -> Callable[..., Any]:
    @functools.wraps(fn)
    def run(*args: Any, **kwargs: Any) -> Any:
        job = _find_arriving_job()
        if job is None:
            return fn(*args, **kwargs)
        with declared.enter(job, args, kwargs) as passport:
            result = fn(*args, **kwargs)
        declared.finish(job, passport, result, args, kwargs)
        return result

    return run


def _run_async(fn: Callable[..., Any], declared: _JobDeclaration) -> Callable[..., Any]:
    @functools.wraps(fn)
    async def run(*args: Any, **kwargs: Any) -> Any:
        job = _find_arriving_job()
        if job is None:
            return await fn(*args, **kwargs)
        with declared.enter(job, args, kwargs) as passport:
            result = await fn(*args, **kwargs)
        declared.finish(job, passport, result, args, kwargs)
        return result

    return run


_Queue: Any = Queue  # Its methods get more parameters with each version.


class PurposeQueue(_Queue):  # type: ignore[misc]  # The base class is Any for this reason.
    """A queue whose jobs get a passport for the purpose under way when they are enqueued.

    A job that runs at once (`is_async=False`) has the purpose of its passport, not that of its caller.

    Raises, when a function that `purpose_job` decorates is enqueued:
        PurposeMissing: No purpose is under way.
    """

    def __init__(self, name: str = "default", *args: Any, passports: Passports, **kwargs: Any) -> None:
        super().__init__(name, *args, **kwargs)
        self.passports = passports

    def create_job(self, func: Any, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        """Create a job as a `Queue` does, with a passport in its `meta`.

        Raises:
            PurposeMissing: `purpose_job` decorates the function, and no purpose is under way.
        """
        job = super().create_job(func, args, kwargs, *more, **options)
        declared: _JobDeclaration | None = getattr(func, _DECLARED, None)
        setattr(job, _SUBJECT, None if declared is None else declared.subject_of(job.args, job.kwargs))
        if under_way(self.passports.guard) is not None:
            self._give(job)
        elif declared is not None and HEADER not in job.meta:
            engine = self.passports.guard.engine
            engine.report_missing_purpose(f"{job.func_name} was enqueued", "enqueue it inside `with guard.purpose(…)`")
        return job

    def schedule_job(self, job: Any, datetime: Any, *more: Any, **options: Any) -> Any:
        """Schedule a job as a `Queue` does. Its passport is valid at the time for which it is scheduled."""
        if hasattr(job, _SUBJECT) and under_way(self.passports.guard) is not None:
            self._give(job, datetime)
        return super().schedule_job(job, datetime, *more, **options)

    def run_sync(self, job: Any) -> Any:
        """Run a job as a `Queue` does, without the purpose of the caller."""
        with without_purpose(self.passports.guard):
            return super().run_sync(job)

    def _give(self, job: Any, due: Any = None) -> None:
        if due is not None and due.tzinfo is None:
            due = due.astimezone()  # RQ also reads it as local time.
        issued = self.passports.issue(audience=audience(job.func_name), subject=getattr(job, _SUBJECT), due=due)
        job.meta = {**job.meta, HEADER: issued}
