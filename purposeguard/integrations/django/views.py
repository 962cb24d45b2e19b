"""Views with purposes: functions, coroutine functions and classes, and the responses that they render or stream."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final, TypeVar, cast

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import StreamingHttpResponse
from django.template.response import SimpleTemplateResponse

from purposeguard.guard import Guard, Mode, load_guard
from purposeguard.integrations.threads import hopping, off_loop, settled
from purposeguard.policy.table import Conditions
from purposeguard.runtime.activity import Block
from purposeguard.runtime.site import Site

F = TypeVar("F", bound=Callable[..., Any])
Call = Callable[..., Any]

_END: Final = object()

BLOCK: Final = "purposeguard_block"
"""The attribute of a decorated view that holds the block of its purpose."""


def purpose(
    purpose: Any,
    *,
    channel: str | None = None,
    activity: str | None = None,
    mode: Mode | None = None,
    conditions: Conditions = (),
) -> Callable[[F], F]:
    """Return a decorator that states the purpose of a view.

    It takes functions, coroutine functions and methods of class-based views.

    The arguments are those of `guard.purpose`; the guard is that of `PURPOSEGUARD_GUARD`. The purpose holds while the
    view runs, and again while its `TemplateResponse` is rendered or its `StreamingHttpResponse` is iterated, wherever
    the server does so. Queries of an `async` view run for its purpose, too, in whichever thread the ORM runs them.

    Raises:
        UnknownTerm, ChannelViolation: As in `guard.purpose`, when the view is decorated.
        TypeError: There is no guard, or a class is decorated.
    """
    guard = load_guard_from_settings()
    block = guard.purpose(purpose, channel=channel, activity=activity, mode=mode, conditions=conditions)
    return make_decorator(guard, block)


def make_decorator(guard: Guard, block: Block[Any], place: Site | None = None) -> Callable[[F], F]:
    """Return a decorator for views that enters the purpose of a block.

    A `TemplateResponse` is rendered, and a `StreamingHttpResponse` is iterated, for the purpose too.

    Args:
        guard: The guard of the block.
        block: The block.
        place: Where the activity is declared. By default it is where the view is defined.

    Raises:
        TypeError: The decorated object is a class. It is raised when the decorator is applied.
    """
    runners_by_site: dict[Site, tuple[Call, Call]] = {}

    def decorate(view: F) -> F:
        if isinstance(view, type):
            raise TypeError(
                f"{view.__qualname__} is a class: derive it from PurposeMixin, or decorate its methods, "
                '`@method_decorator(purpose(…), name="dispatch")`'
            )
        site = place or Site.of(view)
        if site not in runners_by_site:  # `method_decorator` decorates anew at each request.
            runners_by_site[site] = (
                block.wrap_function(_call, site),
                block.wrap_function(functools.partial(_await, guard), site),
            )
        runner, async_runner = runners_by_site[site]

        @functools.wraps(view)
        def answer(*args: Any, **kwargs: Any) -> Any:
            return _wrap_deferred_response(runner(view, *args, **kwargs), runner, async_runner)

        @functools.wraps(view)
        async def answer_async(*args: Any, **kwargs: Any) -> Any:
            return _wrap_deferred_response(await async_runner(view, *args, **kwargs), runner, async_runner)

        wrapper: Any = answer_async if iscoroutinefunction(view) else answer  # pyright: ignore[reportDeprecated]  # It also sees marked functions.
        setattr(wrapper, BLOCK, block)
        return cast("F", wrapper)

    return decorate


class PurposeMixin:
    """A mixin before `View`, or a view or viewset of the REST framework. It states one purpose for all methods.

    ::

        class Customers(PurposeMixin, ListView):
            purpose = tm.ProductProvision
    """

    purpose: Any = None
    """The purpose: a class, an id or a family's name, as `guard.purpose` takes it."""

    channel: str | None = None
    """The channel, where the purpose asks for one."""

    conditions: Conditions = ()
    """The conditions that hold for all its requests."""

    @classmethod
    def as_view(cls, *args: Any, **kwargs: Any) -> Any:
        """Return the view with its purpose.

        Raises:
            ImproperlyConfigured: The class states no purpose.
            TypeError: There is no guard.
            UnknownPurpose, UnknownChannel, UnknownCondition, ChannelViolation: As in `guard.purpose`.
        """
        where = f"{cls.__module__}.{cls.__qualname__}"
        stated, channel = kwargs.get("purpose", cls.purpose), kwargs.get("channel", cls.channel)
        if stated is None:
            raise ImproperlyConfigured(f"{where} states no purpose: give it `purpose = …`")
        inherited: Any = super()
        view: Any = inherited.as_view(*args, **kwargs)
        conditions = kwargs.get("conditions", cls.conditions)
        return purpose(stated, channel=channel, activity=where, conditions=conditions)(view)


def load_guard_from_settings() -> Guard:
    """Return the guard that the setting `PURPOSEGUARD_GUARD` names. Raises as `load_guard` does."""
    return load_guard(getattr(settings, "PURPOSEGUARD_GUARD", None), "PURPOSEGUARD_GUARD")


def _call(fn: Call, /, *args: Any, **kwargs: Any) -> Any:
    # This function is wrapped instead of the view, because the same purpose also renders or iterates its responses.
    return fn(*args, **kwargs)


async def _await(guard: Guard, fn: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
    """Await the result of a coroutine function, without blocking the event loop by questions to governance.

    What Django runs in threads meanwhile, such as queries, has the current purpose too.
    """
    await settled(guard.engine)
    with hopping(guard):
        async with off_loop(guard.engine):
            return await fn(*args, **kwargs)


def _wrap_deferred_response(response: Any, runner: Call, async_runner: Call) -> Any:
    """Make a response that is rendered or streamed after the view has returned run for the same purpose."""
    streamed: Any = response  # Type checkers know no attributes of a response that `holds_stream` approves.
    if isinstance(response, SimpleTemplateResponse) and not response.is_rendered:
        render = response.render

        def render_for_purpose() -> Any:
            vars(response).pop("render", None)  # A cache pickles the response once it is rendered.
            return runner(render)

        response.render = render_for_purpose
    elif holds_stream(response):
        content = streamed.streaming_content
        streamed.streaming_content = (
            _iter_parts_async(content, async_runner) if streamed.is_async else _iter_parts(content, runner)
        )
    return response


def holds_stream(response: object) -> bool:
    """Return True if a response is streamed by its own code. A server reads a file by itself."""
    return isinstance(response, StreamingHttpResponse) and getattr(response, "file_to_stream", None) is None


def _iter_parts(content: Any, runner: Call) -> Iterator[Any]:
    parts = runner(iter, content)
    while (part := runner(next, parts, _END)) is not _END:
        yield part


async def _iter_parts_async(content: Any, async_runner: Call) -> AsyncIterator[Any]:
    parts = aiter(content)
    while (part := await async_runner(anext, parts, _END)) is not _END:
        yield part
