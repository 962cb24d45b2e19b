"""Everything that purposeguard raises.

::

    PurposeGuardError
    ├── NoticeError            the notice file is wrong: every fault at once, each with its place in the file
    ├── SeveralNotices         what one notice has was asked of a guard that holds to several
    ├── UnknownTerm            an id that means nothing; carries suggestions (also a LookupError)
    │   ├── UnknownSource
    │   │   └── UnknownOperation
    │   ├── UnknownPurpose
    │   ├── UnknownChannel
    │   ├── UnknownCondition
    │   └── UnknownRecipient
    ├── UnlabelledData         a check, or a function, with no sources
    ├── PurposeMissing         data read outside any purpose
    │   └── PassportRefused    a purpose that came from another process is not taken over
    ├── SealedValue            a sealed value was used as if it were plain
    │   ├── SealedAttribute    an attribute of the plain value was asked for (also an AttributeError)
    │   └── TooFewSubjects     a figure would tell of single people
    ├── StoreUnavailable       governance cannot be asked, or what it said last is too old
    ├── LedgerBroken           entries of a ledger were changed or removed, or cannot be read
    ├── RequestError           a request of a subject that cannot be handled like this
    ├── SweepRefused           a sweep would erase more than it may, or at a time that is not sure
    ├── UnresolvedStatement    it cannot be told what a statement, plan or frame reads (also a ValueError)
    ├── FlowViolation          data would flow where its tags do not follow (also a PermissionError)
    └── PurposeViolation       the notice does not grant this use (also a PermissionError)
        ├── ChannelViolation
        ├── ConditionViolation
        ├── RecipientViolation
        ├── SubjectViolation
        ├── RetentionViolation
        └── RevisionViolation

Exceptions carry their facts as attributes and build their message only when it is read: a denial that is caught
and handled costs no text. No message holds a personal value.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Sequence
from types import UnionType
from typing import Any, Final, NamedTuple, TypeVar, Union, get_args, get_origin

F = TypeVar("F", bound=Callable[..., Any])


def escape_controls(text: str) -> str:
    """`text` without what a terminal obeys or reorders by: control characters but line ends, and those of direction."""
    bare = text
    for space in _SPACES:
        bare = bare.replace(space, "")
    if bare.isprintable():
        return text
    return "".join(char if char.isprintable() or char in _SPACES else _REPLACED for char in text)


_REPLACED: Final = "\N{REPLACEMENT CHARACTER}"
_SPACES: Final = ("\n", "\N{IDEOGRAPHIC SPACE}", "\N{NO-BREAK SPACE}")


def on_one_line(name: str) -> str:
    """Return a name with line ends and other control characters written as escapes.

    Names of activities and functions stand in log records, where a line end would begin a record of somebody else's.
    """
    if name.isprintable():
        return name
    kept = _SPACES[1:]
    return "".join(
        char if char.isprintable() or char in kept else char.encode("unicode_escape").decode() for char in name
    )


def hide_own_frames(error: BaseException) -> None:
    """Takes the frames of this library off the front of an error's traceback, so that it ends in the caller's line.

    For an `except` that ends with a bare `raise`, which adds no frame again. Development mode (`python -X dev`) keeps
    all of them.
    """
    trace = error.__traceback__
    while trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith("purposeguard."):
        trace = trace.tb_next
    error.__traceback__ = error.__traceback__ if ALL_FRAMES else trace


ALL_FRAMES: bool = sys.flags.dev_mode
"""Whether errors keep the frames of this library; tests that look whose an error is set it."""


def hides_own_frames(fn: F) -> F:
    """`fn`, whose errors end in its caller's line; for what is not called often."""

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except Exception as error:
            hide_own_frames(error)
            raise

    return wrapper  # type: ignore[return-value]  # a wrapper is typed as what it wraps


class PurposeGuardError(Exception):
    """The root of all errors raised by this library."""

    def __str__(self) -> str:
        return escape_controls(super().__str__())


class Fault(NamedTuple):
    """One thing wrong with a notice file: where (`grant[2].purpose[0].channels`), what, and what to do.

    `file`, `line` and `column` (both from 1) say where that is written, if the notice was read from a text. Of an
    overlay's own file, `place` counts the rows of that file.
    """

    place: str
    message: str
    suggestion: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        where = [] if self.line is None else [f"{self.file}:{self.line}:{self.column}"]
        text = ": ".join([*where, *([self.place] if self.place else []), self.message])
        return f"{text} (help: {self.suggestion})" if self.suggestion else text


class NoticeError(PurposeGuardError):
    """A notice file that cannot be trusted; `faults` holds all that is wrong with it, in the file's order."""

    def __init__(self, faults: Sequence[Fault], origin: str = "notice") -> None:
        super().__init__(tuple(faults), origin)
        self.faults = tuple(faults)
        self.origin = origin

    def __str__(self) -> str:
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        return escape_controls("\n".join([f"{self.origin}: {count}", *(f"  {fault}" for fault in self.faults)]))


class SeveralNotices(PurposeGuardError):
    """What belongs to one notice, such as its revision or its file, was asked of a guard that holds to several.

    `notices` are the ids of these, `what` is what was asked for.
    """

    def __init__(self, notices: Sequence[str], what: str) -> None:
        super().__init__(tuple(notices), what)
        self.notices = tuple(notices)
        self.what = what

    def __str__(self) -> str:
        return escape_controls(
            f"this guard holds to {', '.join(self.notices)} at once, and each has {self.what} "
            "(help: ask one of `guard.notice.notices`, or use a guard over one notice here)"
        )


class UnknownTerm(PurposeGuardError, LookupError):
    """An id that means nothing in the notice. `kind` is source, purpose, …; `given` is what was asked for.

    `suggestions`, the nearest ids, are looked for only when read: a flood of nonsense costs microseconds. What was
    given in the place of an id may be personal: a text is told where it looks like an id (`looks_like_id`), and of
    other values the class.
    """

    kind = "term"

    def __init__(self, given: object, why: str = "", nearest: Callable[[], tuple[str, ...]] | None = None) -> None:
        super().__init__()
        self._given = given
        self.why = why
        self._nearest = nearest
        self._suggestions: tuple[str, ...] | None = None

    @property
    def suggestions(self) -> tuple[str, ...]:
        """Up to three ids that the notice knows and that look like what was given."""
        if self._suggestions is None:
            self._suggestions = self._nearest() if self._nearest else ()
        return self._suggestions

    @property
    def given(self) -> object:
        """What was asked for; of a text or value that may be personal, what kind of thing it is."""
        return self._given if isinstance(self._given, type) or _is_union(self._given) else self._formatted[1:-1]

    @property
    def args(self) -> tuple[Any, ...]:  # type: ignore[override]  # built when it is read
        """What was asked for, as the message shows it, and why it means nothing."""
        return ShowableText(self._formatted[1:-1]), self.why

    @property
    def _formatted(self) -> str:
        return format_id(self._given, self.suggestions)

    def __str__(self) -> str:
        text = f"unknown {self.kind} {self._formatted}"
        if self.why:
            text += f": {self.why}"
        if self.suggestions:
            text += f" (did you mean {' or '.join(f'`{name}`' for name in self.suggestions)}?)"
        return escape_controls(text)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_unknown_term, (type(self), self._formatted[1:-1], self.why, self.suggestions)


class UnknownSource(UnknownTerm):
    """No source category of the notice bears this id, or the class belongs to another notice."""

    kind = "source"


class UnknownPurpose(UnknownTerm):
    """No purpose or family of the notice bears this id; a union that is no declared family ends here too."""

    kind = "purpose"


class UnknownChannel(UnknownTerm):
    """The notice declares no such way of contacting a person."""

    kind = "channel"


class UnknownCondition(UnknownTerm):
    """The notice makes nothing depend on such a condition."""

    kind = "condition"


class UnknownRecipient(UnknownTerm):
    """No recipient of this id is on the register, so nothing may be handed to it."""

    kind = "recipient"


class UnknownOperation(UnknownSource):
    """The notice declares no derivation by this operation from these sources (rule 6)."""

    kind = "operation"


class UnlabelledData(PurposeGuardError):
    """A check with no sources: an empty label is no licence (rule 4)."""


class PurposeMissing(PurposeGuardError):
    """Data was asked for outside any purpose, after it ended, or in a task or thread that it was not carried to."""


class PassportRefused(PurposeMissing):
    """A purpose that came from another process is not taken over here, so none is under way.

    `reason` is one word: `missing`, `forged`, `unknown-key`, `expired`, `early`, `replayed`, `notice`, `revision`,
    `purpose`, `channel`, `condition`, `not-permitted`, `audience` or `subject`.
    """

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(reason, why)
        self.reason = reason
        self.why = why

    def __str__(self) -> str:
        return escape_controls(f"passport refused ({self.reason}): {self.why}")


class SealedValue(PurposeGuardError, TypeError):
    """A sealed value was used as if it were plain."""


class SealedAttribute(SealedValue, AttributeError):
    """An attribute of the plain value was asked for; also an AttributeError, so that `hasattr` answers."""


class TooFewSubjects(SealedValue):
    """A figure over fewer than `at_least` subjects was asked for: it would tell of single people.

    How many there are is not said.
    """

    def __init__(self, what: str, at_least: int) -> None:
        super().__init__(what, at_least)
        self.what = what
        self.at_least = at_least

    def __str__(self) -> str:
        return escape_controls(
            f"{self.what}: there are fewer than {self.at_least} subjects, and it would tell of single people"
        )


class StoreUnavailable(PurposeGuardError):
    """The store of governance cannot be reached, or what it said last is too old to rely on: so it is refused.

    Nothing is wrong with the request itself; it may be made again.
    """


class LedgerBroken(PurposeGuardError):
    """A ledger is not as it was written. `place` says where, `entry 17` or `line 18, byte 3`."""

    def __init__(self, place: str, what: str) -> None:
        super().__init__(place, what)
        self.place = place
        self.what = what

    def __str__(self) -> str:
        return escape_controls(f"{self.place}: {self.what}")


class RequestError(PurposeGuardError):
    """A request of a subject cannot be handled like this: it is unknown, not verified, or closed already (clause 7)."""


class SweepRefused(PurposeGuardError):
    """A sweep has erased nothing: more is due than it may erase, or it is not sure what time it is (clause 8)."""


class UnresolvedStatement(PurposeGuardError, ValueError):
    """It cannot be told what a statement, a plan or a frame reads or writes: so it is refused, never guessed.

    `why` says what could not be told.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def _is_union(given: object) -> bool:
    return isinstance(given, UnionType) or get_origin(given) is Union


def format_name(given: object) -> str:
    """`given`, which names something in code, for a message: short, one line, printable."""
    if isinstance(given, str):
        text = given
    elif _is_union(given):
        text = " | ".join(sorted(getattr(member, "__name__", "?") for member in get_args(given)))
    elif isinstance(given, type):
        text = f"{given.__module__}.{given.__qualname__}"
    else:
        # Never the value's own text: what lands here by mistake may be personal.
        text = f"<{type(given).__name__}>"
    if len(text) > 60:
        text = f"{text[:57]}… ({len(text):,} characters)"
    return "`" + escape_controls(text).replace("\n", _REPLACED) + "`"


_NUMBERS: Final = r"\u2460-\u249b\u24f5-\u24fe\u2776-\u2793"  # ① and its like
_LETTERS: Final = r"A-Za-z\u0370-\u04ff"  # Greek and Cyrillic ones look alike, and it helps to see that they are
_CLAUSE: Final = re.compile(
    rf"(?=.*[0-9{_NUMBERS}])(?!.*[0-9]{{3}})(?!.*[{_LETTERS}]{{3}})[0-9{_LETTERS}()\[\]./_:§\u2010\u2013{_NUMBERS}-]{{1,24}}"
)
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,59}")
_ALIKE: Final = 0.7


def looks_like_id(text: str, suggestions: Sequence[str] = ()) -> bool:
    """Whether a text may be shown, since it looks like an id of a notice, and not like what a person is known by.

    Either it is numbered as clauses are (`1.2(1)①`: without blanks, of 24 characters at most, with no more than two
    digits or letters in a row), so that it is no address, telephone number, date or name; or it is one word, of three
    letters at most or much like an id of the notice.
    """
    if _CLAUSE.fullmatch(text) is not None:
        return True
    if _WORD.fullmatch(text) is None:
        return False
    import difflib  # noqa: PLC0415  # most applications never need it

    return len(text) <= 3 or any(
        difflib.SequenceMatcher(None, text.casefold(), suggestion.casefold()).ratio() >= _ALIKE
        for suggestion in suggestions
    )


def format_id(given: object, suggestions: Sequence[str] = ()) -> str:
    """What was given where an id belongs, for a message: a text that is like no id is not told."""
    if isinstance(given, str) and not isinstance(given, ShowableText) and not looks_like_id(given, suggestions):
        return f"`<a text of {len(given):,} character{'' if len(given) == 1 else 's'}>`"
    return format_name(given)


class ShowableText(str):
    """A text that may be shown: an id of the notice itself, or what an error has shown already."""

    __slots__ = ()


def _restore_unknown_term(kind: type[UnknownTerm], given: str, why: str, suggestions: tuple[str, ...]) -> UnknownTerm:
    return kind(ShowableText(given), why, lambda: suggestions)
