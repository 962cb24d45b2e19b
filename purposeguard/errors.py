"""The exceptions of purposeguard.

::

    PurposeGuardError
    ├── NoticeError            the notice file is wrong: every fault at once, each with its place in the file
    ├── SeveralNotices         a property of a single notice was read from a guard over several
    ├── UnknownTerm            an id that means nothing; carries suggestions (also a LookupError)
    │   ├── UnknownSource
    │   │   └── UnknownOperation
    │   ├── UnknownPurpose
    │   ├── UnknownChannel
    │   ├── UnknownCondition
    │   └── UnknownRecipient
    ├── UnlabelledData         data without a tag, or with contradictory ones
    ├── PurposeMissing         data read outside any purpose
    │   └── PassportRefused    a purpose that another process passed on is not accepted
    ├── SealedValue            a sealed value was used as if it were plain
    │   ├── SealedAttribute    an attribute of the plain value was asked for (also an AttributeError)
    │   └── TooFewSubjects     a figure would tell of single people
    ├── StoreUnavailable       governance cannot be asked, or what it said last is too old
    ├── LedgerBroken           entries of a ledger were changed or removed, or cannot be read
    ├── RequestError           a request of a subject that cannot be handled like this
    ├── SweepRefused           a sweep would erase more than it may, or at a time that is not sure
    ├── RowRefused             a row exists, and may not be used for the purpose under way
    ├── EvidenceError          evidence of an observed application cannot be read or written
    ├── UnresolvedStatement    it cannot be told what a statement, plan or frame reads (also a ValueError)
    ├── FlowViolation          data would flow where its tags do not follow (also a PermissionError)
    └── PurposeViolation       the notice does not grant this use (also a PermissionError)
        ├── ChannelViolation
        ├── ConditionViolation
        ├── RecipientViolation
        ├── SubjectViolation
        ├── RetentionViolation
        └── RevisionViolation

`FlowViolation`, `PurposeViolation` and its subclasses are defined in `purposeguard.policy.violations`, because their
messages need labels and decisions. Some adapters define further subclasses.

Exceptions carry their facts as attributes and build their message only when it is read: a denial that is caught and
handled costs no text. No message holds a personal value. The numbers of rules are those of
docs/reference/decision-rules.md.
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
    """Replace control characters and direction marks, which a terminal would obey. Line ends stay."""
    bare = text
    for space in _SPACES:
        bare = bare.replace(space, "")
    if bare.isprintable():
        return text
    for char in set(bare):
        if not char.isprintable():
            text = text.replace(char, _REPLACED)
    return text


_REPLACED: Final = "\N{REPLACEMENT CHARACTER}"
_SPACES: Final = ("\n", "\N{IDEOGRAPHIC SPACE}", "\N{NO-BREAK SPACE}")


def on_one_line(name: str) -> str:
    """Return a name with line ends and other control characters written as escapes.

    Names of activities and functions appear in log records, where a line end could forge another record.
    """
    if name.isprintable():
        return name
    parts: list[str] = []
    for char in name:
        if char.isprintable() or char in _SPACES[1:]:
            parts.append(char)
        else:
            parts.append(char.encode("unicode_escape").decode())
    return "".join(parts)


def hide_own_frames(error: BaseException) -> None:
    """Remove the frames of this library from the front of an error's traceback, so that it ends in the caller's line.

    Use it in an `except` block that ends with a bare `raise`, which adds no frame again. In development mode
    (`python -X dev`) all frames stay.
    """
    trace = error.__traceback__
    while trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith("purposeguard."):
        trace = trace.tb_next
    error.__traceback__ = error.__traceback__ if ALL_FRAMES else trace


ALL_FRAMES: bool = sys.flags.dev_mode
"""True if errors keep the frames of this library. Tests that inspect where an error was raised set it."""


def hides_own_frames(fn: F) -> F:
    """Wrap a function so that its errors end in its caller's line. The extra call makes it too slow for hot paths."""

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except Exception as error:
            hide_own_frames(error)
            raise

    return wrapper  # type: ignore[return-value]  # a wrapper is typed as what it wraps


class PurposeGuardError(Exception):
    """The base class of all errors that this library raises."""

    def __str__(self) -> str:
        return escape_controls(super().__str__())


class Fault(NamedTuple):
    """One error in a notice file.

    Attributes:
        place: The path of the key, such as `grant[2].purpose[0].channels`. For an overlay it counts the rows of the
            overlay's own file.
        message: The error.
        suggestion: The remedy, if one is known.
        file: The file that contains the error, if the notice was read from a text.
        line: The line in the file, counted from 1.
        column: The column in the line, counted from 1.
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
    """A notice file is wrong. `faults` holds every error in it, in the file's order."""

    def __init__(self, faults: Sequence[Fault], origin: str = "notice") -> None:
        super().__init__(tuple(faults), origin)
        self.faults = tuple(faults)
        self.origin = origin

    def __str__(self) -> str:
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        return escape_controls("\n".join([f"{self.origin}: {count}", *(f"  {fault}" for fault in self.faults)]))


class SeveralNotices(PurposeGuardError):
    """A property of a single notice, such as its revision or its file, was read from a guard over several notices.

    Attributes:
        notices: The ids of the guard's notices.
        what: The property that was read.
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
    """The notice does not define this id.

    The id that was passed may be personal data by mistake. A text is shown only if it looks like an id
    (`looks_like_id`); of any other value only its class is shown.
    """

    kind = "term"
    """The kind of term that was looked up: `source`, `purpose`, and so on."""

    def __init__(self, given: object, why: str = "", nearest: Callable[[], tuple[str, ...]] | None = None) -> None:
        super().__init__()
        self._given = given
        self.why = why
        self._nearest = nearest
        self._suggestions: tuple[str, ...] | None = None

    @property
    def suggestions(self) -> tuple[str, ...]:
        """Up to three similar ids of the notice. They are computed on first access, so unread errors stay cheap."""
        if self._suggestions is None:
            self._suggestions = self._nearest() if self._nearest else ()
        return self._suggestions

    @property
    def given(self) -> object:
        """The id that was looked up, or a description of its kind if it may be personal data."""
        return self._given if isinstance(self._given, type) or _is_union(self._given) else self._shown_id

    @property
    def args(self) -> tuple[Any, ...]:  # type: ignore[override]  # built when it is read
        """The id, in the form that the message shows, and the reason why it is unknown."""
        return ShowableText(self._shown_id), self.why

    @property
    def _formatted(self) -> str:
        return format_id(self._given, self.suggestions)

    @property
    def _shown_id(self) -> str:
        return self._formatted[1:-1]  # without the backticks

    def __str__(self) -> str:
        text = f"unknown {self.kind} {self._formatted}"
        if self.why:
            text += f": {self.why}"
        if self.suggestions:
            text += f" (did you mean {' or '.join(f'`{name}`' for name in self.suggestions)}?)"
        return escape_controls(text)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_unknown_term, (type(self), self._shown_id, self.why, self.suggestions)


class UnknownSource(UnknownTerm):
    """The notice has no source category with this id, or the class belongs to another notice."""

    kind = "source"


class UnknownPurpose(UnknownTerm):
    """The notice has no purpose or family with this id. Also raised for a union that is not a declared family."""

    kind = "purpose"


class UnknownChannel(UnknownTerm):
    """The notice declares no such channel for contacting a person."""

    kind = "channel"


class UnknownCondition(UnknownTerm):
    """No grant of the notice depends on such a condition."""

    kind = "condition"


class UnknownRecipient(UnknownTerm):
    """The register has no recipient with this id, so nothing may be handed to it."""

    kind = "recipient"


class UnknownOperation(UnknownSource):
    """The notice declares no derivation with this operation from these sources (rule 6)."""

    kind = "operation"


class UnlabelledData(PurposeGuardError):
    """Data carries no tag, or contradictory ones, so nothing says what it may be used for (rule 4)."""


class PurposeMissing(PurposeGuardError):
    """Data was read outside any purpose, after it ended, or in a task or thread to which it was not carried.

    Attributes:
        entry_point: The route, task or command at which that happened, if it is known.
    """

    entry_point: str | None = None


class PassportRefused(PurposeMissing):
    """A purpose that another process passed on is not accepted, so no purpose is active here.

    Attributes:
        reason: One of `missing`, `forged`, `unknown-key`, `expired`, `early`, `replayed`, `notice`, `revision`,
            `purpose`, `channel`, `condition`, `not-permitted`, `audience` and `subject`.
        why: The explanation.
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
    """An attribute of the plain value was read. It is also an AttributeError, so that `hasattr` works."""


class TooFewSubjects(SealedValue):
    """A figure was requested over fewer than `at_least` subjects, so it could reveal data of single people.

    The error does not contain the actual number of subjects.
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
    """The governance store cannot be reached, or its last answer is too old to rely on, so the use is refused.

    The request itself is valid and may be repeated, unless `refuses_value`.
    """

    refuses_value: bool = False
    """True if the database answered, and does not take a value that was to be written: a text that is too long."""


class LedgerBroken(PurposeGuardError):
    """A ledger was altered after it was written. `place` is `entry 17` or `line 18, byte 3`, for example."""

    def __init__(self, place: str, what: str) -> None:
        super().__init__(place, what)
        self.place = place
        self.what = what

    def __str__(self) -> str:
        return escape_controls(f"{self.place}: {self.what}")


class RequestError(PurposeGuardError):
    """A subject's request cannot be handled: it is unknown, not verified, or already closed (clause 7)."""


class SweepRefused(PurposeGuardError):
    """A sweep erased nothing, because more is due than it may erase or because the time is uncertain (clause 8)."""


class RowRefused(PurposeGuardError):
    """A row exists, and may not be used for the purpose under way."""


class EvidenceError(PurposeGuardError):
    """The evidence of an observed application cannot be read or written, or belongs to something else."""


class UnresolvedStatement(PurposeGuardError, ValueError):
    """The columns that a statement, plan or frame reads or writes cannot be determined, so it is refused.

    `why` names the part that could not be resolved.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def _is_union(given: object) -> bool:
    return isinstance(given, UnionType) or get_origin(given) is Union


def format_name(given: object) -> str:
    """Format the name of something in code for a message: short, on one line, printable."""
    if isinstance(given, str):
        text = given
    elif _is_union(given):
        text = " | ".join(sorted(getattr(member, "__name__", "?") for member in get_args(given)))
    elif isinstance(given, type):
        text = f"{given.__module__}.{given.__qualname__}"
    else:
        # The value's own text never appears: a value passed by mistake may be personal.
        text = f"<{type(given).__name__}>"
    if len(text) > 60:
        text = f"{text[:57]}… ({len(text):,} characters)"
    return "`" + escape_controls(text).replace("\n", _REPLACED) + "`"


_NUMBERS: Final = r"\u2460-\u249b\u24f5-\u24fe\u2776-\u2793"  # ① and its like
_LETTERS: Final = (
    r"A-Za-z\u0370-\u04ff"  # Greek and Cyrillic letters resemble Latin ones, and showing them reveals the mistake.
)
_CLAUSE: Final = re.compile(
    rf"(?=.*[0-9{_NUMBERS}])(?!.*[0-9]{{3}})(?!.*[{_LETTERS}]{{3}})[0-9{_LETTERS}()\[\]./_:§\u2010\u2013{_NUMBERS}-]{{1,24}}"
)
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,59}")
_ALIKE: Final = 0.7


def looks_like_id(text: str, suggestions: Sequence[str] = ()) -> bool:
    """Return True if a text looks like an id of a notice and not like personal data, so that it may be shown.

    A text looks like an id in one of two cases. Either it is a clause number such as `1.2(1)①`: up to 24 characters
    without blanks, and at most two digits or letters in a row, which excludes addresses, telephone numbers, dates and
    names. Or it is one word that has at most three letters or resembles one of the `suggestions`.
    """
    if _CLAUSE.fullmatch(text) is not None:
        return True
    if _WORD.fullmatch(text) is None:
        return False
    if len(text) <= 3:
        return True
    import difflib  # noqa: PLC0415  # most applications never need it

    for suggestion in suggestions:
        if difflib.SequenceMatcher(None, text.casefold(), suggestion.casefold()).ratio() >= _ALIKE:
            return True
    return False


def format_id(given: object, suggestions: Sequence[str] = ()) -> str:
    """Format a value that was passed as an id for a message. A text that does not look like an id is not shown."""
    if isinstance(given, str) and not isinstance(given, ShowableText) and not looks_like_id(given, suggestions):
        return f"`<a text of {len(given):,} character{'' if len(given) == 1 else 's'}>`"
    return format_name(given)


class ShowableText(str):
    """A text that may be shown: an id of the notice, or a text that an error has already shown."""

    __slots__ = ()


def _restore_unknown_term(kind: type[UnknownTerm], given: str, why: str, suggestions: tuple[str, ...]) -> UnknownTerm:
    return kind(ShowableText(given), why, lambda: suggestions)
