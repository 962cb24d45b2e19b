"""Canaries: marked values, and a check that those that a purpose may not use do not come out.

```python
with canaries(guard, tm.RenewalGuidance) as marked:
    customer = marked.instance(Customer)
    marked.result(remind(customer))
```

Needs hypothesis: `pip install 'purposeguard[hypothesis]'`.
"""

from __future__ import annotations

import collections
import inspect
import itertools
import os
import re
import sys
from collections.abc import Collection, Generator, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from purposeguard.containers import exclude
from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.policy.explanation import Decision
from purposeguard.runtime.activity import Block
from purposeguard.runtime.use import Use
from purposeguard.testing._blocks import judging
from purposeguard.testing._runs import Waiting, make_opening_use
from purposeguard.testing._shown import error_parts, lines_of
from purposeguard.testing.effects import COMPARED, KINDS, Effect, Effects, captured
from purposeguard.testing.failures import (
    Escape,
    Leaked,
    NothingToProve,
    Unrecognisable,
    describe_nothing_marked,
    describe_unrecognizable,
)
from purposeguard.testing.interference import check_known
from purposeguard.testing.traces import Haystack
from purposeguard.testing.values import CanaryMark, Markers

T = TypeVar("T")


def canaries(
    guard: Guard,
    purpose: Any,
    /,
    *,
    channel: str | None = None,
    effects: Collection[str] = COMPARED,
    proven: Collection[str] = (),
) -> AbstractContextManager[Canaries, None]:
    """Return a block under a purpose, in which code works with marked values.

    At its end, no mark of a field that the purpose may not use may have come out, plain or transformed: in a value
    passed to `result`, in an error that leaves the block, or in an effect of the kinds in `effects`.

    Args:
        guard: The guard that decides.
        purpose: The purpose of the block, as in `guard.purpose`.
        channel: The channel of the block.
        effects: The kinds of effects that are searched.
        proven: Fields whose values cannot be recognised, such as a bool, and that another test proves by
            noninterference.

    Raises, when the block ends:
        Leaked: a mark came out; says which, where and how.
        Unrecognisable: a field that the purpose may not use has no recognisable values, and is not in `proven`.
        NothingToProve: no field was marked that the purpose may not use.

    Raises:
        UnknownPurpose, UnknownChannel, ChannelViolation: as `guard.purpose`.
        ValueError: unknown name in `effects`.
        TypeError: `proven` is a single text.
    """
    if isinstance(proven, str):
        raise TypeError(f'`proven` takes several fields: `proven=["{proven}"]`')
    check_known("effects", effects, KINDS)
    caller = sys._getframe(1)
    function = caller.f_code.co_qualname
    block = guard.purpose(purpose, channel=channel, activity=f"canaries in {function}")
    salt = _BLOCKS.make_salt(f"{caller.f_globals.get('__name__')}.{function}")
    entered = _block((guard, purpose, channel), block, salt, frozenset(effects), frozenset(proven))
    return cast("AbstractContextManager[Canaries, None]", entered)  # it lets every error on


@judging
def _block(
    asked: tuple[Guard, Any, str | None], block: Block[Any], salt: str, kinds: frozenset[str], proven: frozenset[str]
) -> Generator[Canaries]:
    """Enter the capture of effects and the purpose, and judge at the end what came out."""
    __tracebackhide__ = True
    error: BaseException | None = None
    with captured() as effects, block as use:
        marked = Canaries(*asked, use, effects, kinds, salt)
        try:
            with Waiting().threads():
                yield marked
        except (Exception, SystemExit) as raised:  # noqa: BLE001  # it is raised again, or is why something leaked
            error = raised
        effects.end()
        leaked = marked.make_leak_error(error)  # sealed values are opened under the purpose
    if leaked is not None:
        raise leaked from error
    if error is not None:
        raise error
    marked.must_have_proven(proven)


@dataclass
class Canaries:
    """The marked values of a block of `canaries`. It makes them, and takes the results of the code under test.

    `effects` are the effects so far, `marks` the values that were marked.
    """

    _guard: Guard
    _purpose: Any
    _channel: str | None
    use: Use[Any]
    effects: Effects
    _kinds: frozenset[str]
    _salt: str

    def __post_init__(self) -> None:
        self._markers = Markers(f"canaries {self._salt}")
        self._others = Markers(f"beside canaries {self._salt}")
        self._results: list[Effect] = []
        self._usual = set(_USUAL)

    def instance(self, model: type[T], /, **fields: Any) -> T:
        """Return a new instance of a tagged model with marked personal fields; `fields` are used unchanged.

        Raises:
            TypeError: no strategy is known for a field: pass it.
        """
        already_made = len(self._others)
        made = self._markers.instance(model, **fields)
        self._others.instance(model, **fields)
        self._learn(already_made)
        return made

    def _learn(self, already_made: int) -> None:
        """Learn the words that every value of a field contains, such as a pattern's prefix."""
        self._usual |= _fold_words(self._others.marks[already_made:]) & _fold_words(self.marks)

    def mark(self, instance: T, model: Any = None, /) -> T:
        """Return a copy of an instance with marked personal fields, the others unchanged.

        `model`: its annotation, if its class does not say it (a TypedDict).

        Raises:
            TypeError: as `instance`.
        """
        already_made = len(self._others)
        made = self._markers.mark(instance, model)
        self._others.mark(instance, model)
        self._learn(already_made)
        return made

    def result(self, value: T, /) -> T:
        """Treat a value as output of the code under test, and return it."""
        if inspect.isgenerator(value) or inspect.isawaitable(value):
            raise TypeError(f"a {type(value).__name__} has not run yet: give what comes of it")
        lines = lines_of(value, make_opening_use(self.use))
        parts: list[tuple[str, str]] = []
        for path, text in lines:
            part_name = f"result{path}" if _SHOWN.fullmatch(path) else "result"
            parts.append((part_name, f"{path} {text}"))
        self._results.append(Effect("result", "", tuple(parts)))
        return value

    @property
    def marks(self) -> tuple[CanaryMark, ...]:
        """All marks, in order of creation."""
        return self._markers.marks

    @property
    def forbidden(self) -> tuple[CanaryMark, ...]:
        """The marks of fields that the purpose may not use."""
        return tuple(mark for mark in self.marks if not self._decision(mark.label))

    def _decision(self, label: Label) -> Decision:
        return self._guard.explain(label, self._purpose, self._channel)

    def make_leak_error(self, error: BaseException | None = None) -> Leaked | None:
        """Return the error that lists the forbidden marks that came out so far; None if none did."""
        effects = [*self._results, *(effect for effect in self.effects if effect.kind in self._kinds)]
        if error is not None:
            effects.append(Effect("error", type(error).__name__, tuple(error_parts(error))))
        sought = [(mark, _sought(mark, self._usual)) for mark in self.forbidden if mark.recognisable]
        escapes: list[Escape] = []
        for effect in effects:
            escapes += _escapes(effect, sought)
        if not escapes:
            return None
        labels = dict.fromkeys(escape.mark.label for escape in escapes)
        return Leaked(escapes, list(map(self._decision, labels)))

    def must_have_proven(self, proven: Collection[str]) -> None:
        """Check that the marks could have come out, except those of fields that are `proven` elsewhere.

        Raises:
            Unrecognisable: a forbidden mark cannot be recognised.
            NothingToProve: there is no forbidden mark, or all are proven elsewhere.
        """
        forbidden = self.forbidden
        unseen = dict.fromkeys(mark.field for mark in forbidden if not mark.recognisable)
        unproven = exclude(unseen, proven)
        if unproven:
            raise Unrecognisable(describe_unrecognizable(unproven))
        if len(unseen) == len({mark.field for mark in forbidden}):
            raise NothingToProve(describe_nothing_marked(self._decision, forbidden, self.marks))


class _Blocks:
    """Numbers the blocks of a test, so that their marks differ and do not depend on the tests that ran before."""

    def __init__(self) -> None:
        self._test = ""
        self._counts: collections.Counter[str] = collections.Counter()

    def make_salt(self, function: str) -> str:
        """Return the names of the running test, of pytest, and of a function, and how many blocks it entered."""
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
        if test != self._test:
            self._test = test
            self._counts.clear()
        self._counts[function] += 1
        return f"{test} {function} {self._counts[function]}"


_BLOCKS: Final = _Blocks()

_SHOWN: Final = re.compile(r"(\.\w+|\[\d*\])*")
"""Paths in a result that are safe to show; keys of a mapping may be personal values."""

_WORD: Final = re.compile(r"[^\W\d_]{7,}")
_USUAL: Final = frozenset({"example", "localhost"})
"""Words that different marks share."""

_PART: Final = 8
"""Letters by which a truncated word is recognised."""


def _sought(mark: CanaryMark, usual: Collection[str]) -> tuple[str, ...]:
    """Return the texts to search for: those of a mark, its distinctive words, and the ends of long words.

    The distinctive word of an e-mail address is its local part.
    """
    words = [word for word in _words(mark) if word.casefold() not in usual]
    parts: list[str] = []
    for word in words:
        if len(word) > _PART:
            parts += [word[:_PART], word[-_PART:]]
    return tuple(dict.fromkeys((*mark.texts, *words, *parts)))


def _fold_words(marks: Iterable[CanaryMark]) -> set[str]:
    """Return the words of all these marks, case-folded."""
    return set(map(str.casefold, itertools.chain.from_iterable(map(_words, marks))))


def _words(mark: CanaryMark) -> list[str]:
    return _WORD.findall(mark.value) if isinstance(mark.value, str) else []


def _escapes(effect: Effect, marks: list[tuple[CanaryMark, tuple[str, ...]]]) -> list[Escape]:
    """Return the marks in one effect, each once."""
    texts = [(part_name, Haystack(text)) for part_name, text in effect.parts]
    escapes: list[Escape] = []
    for mark, sought in marks:
        for part_name, text in texts:
            trace = text.trace(sought)
            if trace is not None:
                escapes.append(Escape(mark, effect, part_name, trace, len(text.text)))
                break
    return escapes
