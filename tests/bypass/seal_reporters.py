"""What reports of values: loggers, printers, debuggers, and services that collect errors with their frames."""

from __future__ import annotations

import io
import json
import logging
import pdb  # noqa: T100  # what is looked at is what it shows
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any
from unittest import TestCase, mock

import rich
import structlog
from rich.console import Console

from tests.bypass.seal_looking import quiet, slots_of


def raised_with(one: Any) -> ValueError:
    """An error whose frames hold the value, as an application raises it."""

    def hold(held: Any) -> None:
        kept = [held, {"held": held}]
        raise ValueError(held, kept)

    try:
        hold(one)
    except ValueError as error:
        return error
    raise AssertionError


def logged(one: Any, *, message: str = "%s %r", formatter: logging.Formatter | None = None, **options: Any) -> str:
    stream = io.StringIO()
    logger = logging.Logger("bypass")  # its own, so that nothing else hears of it  # noqa: LOG001  # its own, so that nothing else hears of it
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    logger.warning(message, *[one] * message.count("%"), **options)
    return stream.getvalue()


def logged_as_number(one: Any) -> str:
    """`%d` fails in the handler, which prints the record and its arguments instead."""
    with mock.patch("sys.stderr", io.StringIO()) as stream:
        return logged(one, message="%d") + stream.getvalue()


class JsonFormatter(logging.Formatter):
    """Every attribute of a record, as formatters for log services write them."""

    def format(self, record: logging.LogRecord) -> str:
        record.getMessage()
        return json.dumps({**vars(record), "text": super().format(record)}, default=repr)


def traced(one: Any) -> str:
    error = raised_with(one)
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def by_rich(write: Callable[[Console, Any], None]) -> Callable[[Any], str]:
    def written(one: Any) -> str:
        stream = io.StringIO()
        write(Console(file=stream, width=500), one)
        return stream.getvalue()

    return written


def rich_traceback(console: Console, one: Any) -> None:
    try:
        raise raised_with(one)
    except ValueError:
        console.print_exception(show_locals=True)


def rich_inspect(console: Console, one: Any) -> None:
    rich.inspect(one, console=console, all=True, help=True, value=True)


def by_structlog(*processors: Any) -> Callable[[Any], str]:
    def written(one: Any) -> str:
        stream = io.StringIO()
        logger = structlog.wrap_logger(structlog.PrintLogger(stream), processors=list(processors), one=one)
        logger.info("event", held=[one], exc_info=raised_with(one))
        return stream.getvalue()

    return written


STRUCTLOG: dict[str, Callable[[Any], str]] = {
    "structlog, console": by_structlog(structlog.dev.ConsoleRenderer(colors=False)),
    "structlog, console with plain tracebacks": by_structlog(
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    ),
    "structlog, JSON": by_structlog(structlog.processors.format_exc_info, structlog.processors.JSONRenderer()),
    "structlog, JSON with frames": by_structlog(
        structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=True)),
        structlog.processors.JSONRenderer(),
    ),
    "structlog, key=value": by_structlog(
        structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer(sort_keys=True)
    ),
    "structlog, logfmt": by_structlog(structlog.processors.format_exc_info, structlog.processors.LogfmtRenderer()),
}


def debugged(*commands: str) -> Callable[[Any], str]:
    """A session of pdb over the frames of an error."""

    return lambda one: shown_by_pdb(raised_with(one).__traceback__, *commands)


def shown_by_pdb(trace: TracebackType | None, *commands: str) -> str:
    """What pdb prints that is given these commands at the end of a traceback."""
    stream = io.StringIO()
    script = io.StringIO("\n".join([*commands, "quit", ""]))
    debugger = pdb.Pdb(stdin=script, stdout=stream, nosigint=True, readrc=False)
    debugger.reset()
    before = sys.gettrace()
    try:
        debugger.interaction(None, trace)
    finally:
        sys.settrace(before)  # quitting takes away whatever traces here, the measuring of coverage too
    return stream.getvalue()


def frames_as_html(one: Any) -> str:
    """As `cgitb`, which Python 3.13 no longer has, showed the variables of each frame."""
    rows: list[str] = []
    for frame, line in traceback.walk_tb(raised_with(one).__traceback__):
        rows.append(f"<h2>{frame.f_code.co_qualname}:{line}</h2>")
        rows += [f"<li>{name} = {quiet(lambda value=value: repr(value))}" for name, value in frame.f_locals.items()]  # type: ignore[misc]  # a lambda with a default
    return "\n".join(rows)


def sent_to_a_service(one: Any) -> str:
    """As the clients of error services serialise frames: their locals by `repr`, and what objects hold, so deep."""
    frames = [
        {"function": frame.f_code.co_qualname, "lineno": line, "vars": dict(_serialised(frame.f_locals, 5))}
        for frame, line in traceback.walk_tb(raised_with(one).__traceback__)
    ]
    return json.dumps(frames)


def _serialised(variables: dict[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    for name, value in variables.items():
        yield str(name), _walked(value, depth)


def _walked(value: Any, depth: int) -> Any:
    text = quiet(lambda: repr(value))
    if depth == 0 or isinstance(value, (str, bytes, int, float, type(None), type)):
        return text
    if isinstance(value, dict):
        return dict(_serialised(value, depth - 1))
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_walked(item, depth - 1) for item in value]
    attributes = {name: getattr(value, name, None) for name in dir(value) if not name.startswith("__")}
    inner = getattr(value, "__dict__", None)
    if isinstance(inner, dict):
        attributes |= inner
    return {"repr": text, **dict(_serialised(attributes | dict(slots_of(value)), depth - 1 if depth < 3 else 1))}


def warned(one: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn(f"cannot send to {one}", stacklevel=1)
        warnings.warn(UserWarning(one), stacklevel=1)
    return [str(one.message) for one in caught]


def displayed(one: Any) -> str:
    """As the interactive interpreter shows the result of a line."""
    # The hook keeps what it shows as `builtins._`, where later tests would find it.
    with mock.patch("sys.stdout", io.StringIO()) as stream, mock.patch("builtins._", None, create=True):
        sys.displayhook(one)
    return stream.getvalue()


def unhandled(one: Any) -> str:
    with mock.patch("sys.stderr", io.StringIO()) as stream:
        error = raised_with(one)
        sys.excepthook(type(error), error, error.__traceback__)
    return stream.getvalue()


def asserted(one: Any) -> list[str]:
    """What unittest and mock say of an expectation that is not met."""
    case = TestCase()
    case.maxDiff = None
    checks = {name: getattr(case, name) for name in ("assertEqual", "assertIn", "assertCountEqual", "assertIs")}
    said = [quiet(lambda check=check: check(one, ["guess"])) for check in checks.values()]  # type: ignore[misc]  # a lambda with a default
    return [*said, quiet(lambda: mock.Mock()(one).assert_called_with(one))]


def called(one: Any) -> list[str]:
    double = mock.Mock()
    double(one, held=one)
    return [repr(double.mock_calls), str(double.call_args), quiet(lambda: double.assert_called_with("guess"))]
