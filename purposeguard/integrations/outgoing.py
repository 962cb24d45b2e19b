"""Where requests go: hosts and the recipients behind them, checked and on record before a request leaves (clauses 4-6).

::

    outgoing = Outgoing(guard, {
        "https://api.mail-house.example": "mail-house",      # a recipient on the register
        "https://rates.example": pg.NotPersonal,             # gets nothing personal
        "http://billing.internal:8080": OURSELVES,           # another service of the controller's own
    })

    with guard.purpose(my.Renewal) as use, outgoing.handover(name, subject=7):
        client.post("https://api.mail-house.example/letters", json={"to": use.open(name)})

`httpx`, `httpx2` and `requests` have what sends by it. A transport sees bytes, and bytes say neither from which sources
they derive nor whom they are about: so who sends declares it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import ipaddress
import re
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Annotated, Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

from purposeguard.errors import SealedValue, UnlabelledData
from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import NotPersonal, TermMeta
from purposeguard.policy.context import DenialReason
from purposeguard.policy.explanation import Decision, format_term, override_decision
from purposeguard.policy.row_context import RowContext
from purposeguard.policy.transfers import Recipient
from purposeguard.runtime.handover import iter_denials, resolve_recipient
from purposeguard.runtime.observer import log_observed
from purposeguard.runtime.use import Use, require_current_use
from purposeguard.values.markers import Subject
from purposeguard.values.rows import Whose, resolve_subject_argument
from purposeguard.values.type_schema import SILENT
from purposeguard.values.walk import ArgumentScan

__all__ = ["OURSELVES", "Handover", "Outbound", "Outgoing", "Place", "must_hold_no_seal"]


class _Ours(enum.Enum):
    OURSELVES = "ourselves"


OURSELVES: Final = _Ours.OURSELVES
"""In place of a recipient: the host is the controller's own, so nothing is handed over. It is believed."""

Party = Recipient | str | type[NotPersonal] | _Ours
"""Who is behind a host: a recipient, or the id of one on the register; `NotPersonal`; `OURSELVES`."""

NO_OUTGOING: Final = "the first argument is an `Outgoing(guard, {…})`, which says who is behind each host"
"""Why a transport of any library is refused that is made of something else."""

_NOTHING_PERSONAL: Final = Label(NotPersonal)
_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_PLAIN: Final = frozenset({"http", "ws"})
"""What a proxy on the way can read."""
_SEAL: Final = re.compile(rb"(?:<|%3c|&lt;|\\u003c)sealed(?:[ +]|%20)", re.IGNORECASE)
_IDS: Final = (int, str, uuid.UUID)


class Place(NamedTuple):
    """Where a request goes: scheme, host and port, in one spelling."""

    scheme: str
    host: str
    port: int | None

    @classmethod
    def of(cls, scheme: str, host: str, port: int | None = None) -> Place:
        """Return the place of these parts, as a client connects to it: `https`, `API.example.`, None is port 443."""
        host = host.lower().removeprefix("[").removesuffix("]").removesuffix(".")
        with contextlib.suppress(ValueError):  # of a name, or a spelling of an address that only resolvers read
            host = str(ipaddress.ip_address(host))
        scheme = scheme.lower()
        return cls(scheme, host, port if port is not None else _PORTS.get(scheme))

    @classmethod
    def socket(cls, path: str) -> Place:
        """Return the place of a Unix domain socket, whatever host the request names."""
        return cls("unix", path, None)

    @classmethod
    def parsed(cls, url: str) -> Place:
        """Return the place that a URL without path and user names.

        Raises:
            ValueError: it is none, or has more than a scheme, a host and a port.
        """
        if url.startswith("unix:/"):
            return cls.socket(url.removeprefix("unix:"))
        parts = urlsplit(url)
        rest = (parts.path.removesuffix("/"), parts.query, parts.fragment, "@" in url, "\\" in url)
        if not (parts.scheme and parts.hostname) or any(rest) or not url.isascii():
            raise ValueError(
                f"`{re.sub('//.*@', '//…@', url)}` is no host: write `https://api.example`, with a port if it is "
                "another than the scheme's, without user and path, and in ASCII as it goes over the wire (`xn--…`); a "
                "socket is `unix:/path`"
            )
        return cls.of(parts.scheme, parts.hostname, parts.port)

    def __str__(self) -> str:
        """Return the place for a message: of a name its last two parts, since the first may tell of a person."""
        port = "" if self.port in (None, _PORTS.get(self.scheme)) else f":{self.port}"
        *more, name, top = ("", "", *self.host.split("."))
        host = f"{'….' if any(more) else ''}{name}{'.' if name else ''}{top}"
        with contextlib.suppress(ValueError):
            host = self.host if ipaddress.ip_address(self.host).is_loopback else "an IP address"
        return f"{self.scheme}://{host}{port}" if self.scheme != "unix" else f"unix:{self.host}"


class Outbound(NamedTuple):
    """What is known of a request before it leaves, whichever library sends it.

    `names` are hosts that it names beside that of its URL (`Host`, the name for TLS). `texts` is looked through for
    seals. `misled`: why what it says may lead elsewhere.
    """

    place: Place
    names: tuple[str, ...] = ()
    proxy: Place | None = None
    texts: tuple[bytes, ...] = ()
    declared: object = None
    misled: str | None = None


@dataclasses.dataclass(frozen=True, eq=False, repr=False, slots=True)
class Handover:
    """What is in a request, and of whom: what `Outgoing.handover` gives. Holds for the use that it is entered in.

    `label` is what the data derives from.
    """

    label: Label
    _outgoing: Outgoing
    _rows: tuple[object, ...]
    _subjects: tuple[object, ...]
    _to: str | None
    _means: str | None
    _product: str | None
    _task: str | None

    @property
    def personal(self) -> bool:
        """Whether anything personal is in it."""
        return self.label is not _NOTHING_PERSONAL

    def __enter__(self) -> Self:
        self._outgoing._enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._outgoing._leave_block(self)

    def __repr__(self) -> str:
        return f"<Handover of {', '.join(source.clause for source in self.label)}>"


class _EnteredHandover(NamedTuple):
    handover: Handover
    use: Use[Any]
    before: _EnteredHandover | None


class Outgoing:
    """The hosts that an application sends requests to, and who is behind each.

    `hosts` maps `https://host[:port]` to a recipient, to the id of one on the register, to `NotPersonal` (it gets
    nothing personal) or to `OURSELVES`. Any other host is refused under a purpose. `means` is how data travels in
    requests, unless a hand-over or the recipient says otherwise.

    Outside any purpose, requests to `OURSELVES`, to `NotPersonal` and those that declare `NotPersonal` to a known host
    leave; the others are refused.

    Raises:
        TypeError: a host is given something else; or nobody could record a hand-over.
        ValueError: a host is not written as above, or twice.
    """

    def __init__(self, guard: Guard, hosts: Mapping[str, Party], *, means: str | None = None) -> None:
        self._guard = guard
        self._engine = guard._engine
        self._means = means
        frame = sys._getframe(1)
        self._module, self._line = str(frame.f_globals.get("__name__", "?")), frame.f_lineno
        self._hosts: dict[Place, Party] = {}
        for url, party in hosts.items():
            place = Place.parsed(url)
            if place in self._hosts:
                raise ValueError(f"`{url}` is named twice")
            if party is not NotPersonal and party is not OURSELVES:
                if not isinstance(party, (Recipient, str)):
                    raise TypeError(
                        f"`{url}` is given {type(party).__name__}: name a `Recipient(…)`, the id of a registered one, "
                        "`NotPersonal` or `OURSELVES`"
                    )
                guard.entrust(party, means=means)  # raises where nothing could be handed to it
            self._hosts[place] = party
        self._entered: ContextVar[_EnteredHandover | None] = ContextVar("purposeguard_handover", default=None)
        self._recording = functools.lru_cache(maxsize=1_024)(self._recorder)

    def handover(
        self,
        *what: object,
        subject: Whose | list[Any] | tuple[Any, ...] | set[Any] | frozenset[Any] = None,
        to: str | None = None,
        means: str | None = None,
        product: str | None = None,
        task: str | None = None,
    ) -> Handover:
        """Declare what is in the requests that follow: a context manager, or a value to go with one request.

        `what` are sources, sealed values, and rows with tags, also in lists; `NotPersonal` alone says that nothing
        personal is in it. `subject` says of whom the data is (one or several), unless rows say it by marked fields.
        With `to`, the id of a recipient, requests may go to this one only, and entering it checks the recipient at
        once: before the data is opened. The rest is as in `Guard.entrust`.

        Raises:
            UnlabelledData: nothing in `what` says what it is.
            UnknownSource: a source is not of the guard's notice.
            TypeError, ValueError: `subject` is no id and no row with marks.
        """
        matrix = self._engine.snapshot.matrix
        handed = ArgumentScan()
        labels: list[Label] = []
        rows: list[object] = []
        for each in what:
            if isinstance(each, (str, TermMeta, Label)):
                labels.append(matrix.resolve_label(each))
            else:
                handed.scan_argument(each, SILENT, "what")
                rows.append(each)
        labels += map(matrix.resolve_label, handed.labels)
        if not labels:
            raise UnlabelledData(
                "nothing says what is handed over: name sources, sealed values or rows with tags, or `NotPersonal`"
            )
        subjects = _to_subjects(subject)
        for each in subjects:
            resolve_subject_argument(each)  # raises where it names nobody
            if isinstance(each, RowContext):
                raise TypeError("`subject` is an id here, or a row whose marked fields say whose it is and from when")
        ids = tuple(each for each in subjects if isinstance(each, _IDS))
        rows += [each for each in subjects if not isinstance(each, _IDS)]
        return Handover(Label.join(*labels), self, tuple(rows), ids, to, means, product, task)

    def leave(self, request: Outbound) -> None:
        """Nothing once this request may leave, and is on record where it hands data over.

        Raises:
            PurposeMissing: nothing is under way here, and it is not known to carry nothing personal.
            UnlabelledData: it goes to a recipient and does not say what is in it.
            RecipientViolation: its host, or a proxy on its way, is no recipient or not one that may have this.
            PurposeViolation, SubjectViolation, UnknownRecipient, StoreUnavailable: as `Guard.entrust`.
            SealedValue: a seal was written into it.
        """
        must_hold_no_seal(*request.texts)
        declared = self.declared(request.declared)
        if request.misled is None and any(self._leads_elsewhere(request.place, name) for name in request.names):
            request = request._replace(misled="its `Host` header, or the name for TLS, leads to another one")
        parties = self._parties(request)
        if self._engine.ambient()._nothing and self._leaves_outside(declared, [party for _, party in parties]):
            return
        use = require_current_use(self._engine, f"a request to {request.place} was to be sent")
        if use is None:  # observed only
            return
        advice = request.misled or "name who is behind this host in `Outgoing(guard, {…})`"
        each_party = [self._recipient(use, declared, place, party, advice) for place, party in parties]
        recipients = [recipient for recipient in each_party if recipient is not None]
        if declared is None:
            return
        for recipient in recipients[1:]:  # before the first is on record
            self._check(use, declared, recipient)
        for recipient in recipients:
            means = declared._means or self._means
            record = self._recording(recipient, declared.label, means, declared._product, declared._task)
            record(list(declared._rows), list(declared._subjects))

    def _parties(self, request: Outbound) -> list[tuple[Place, Party | None]]:
        """Who gets to see the request: the host, and a proxy that can read it; None where nobody is named."""
        place, proxy = request.place, request.proxy
        parties = [(place, None if request.misled else self._hosts.get(place))]
        if proxy is not None:
            through = self._hosts.get(proxy)
            # A tunnel carries what the proxy cannot read; that there is such a proxy has to be known all the same.
            parties.append((proxy, through if through is None or place.scheme in _PLAIN else OURSELVES))
        return parties

    def _leads_elsewhere(self, place: Place, name: str) -> bool:
        """Return True if a host that a request to this place names beside it is somebody else's."""
        try:
            parts = urlsplit(f"//{name}")
            named = Place.of(place.scheme, parts.hostname or "", parts.port)
        except ValueError:
            return True
        return named != place and (named not in self._hosts or self._hosts[named] != self._hosts.get(place))

    def _leaves_outside(self, declared: Handover | None, parties: list[Party | None]) -> bool:
        """Return True if a request leaves that no purpose is under way for."""
        if declared is not None and declared.personal:
            return all(party is OURSELVES for party in parties)
        return all(
            party is not None and (declared is not None or party is OURSELVES or party is NotPersonal)
            for party in parties
        )

    def _recipient(
        self, use: Use[Any], declared: Handover | None, place: Place, party: Party | None, advice: str
    ) -> Recipient | str | None:
        """Return the recipient, where this party is one and gets something personal; refuses where it may not."""
        personal = declared is not None and declared.personal
        if party is None:
            self._refuse(use, declared, f"to {place}, where no recipient is known", advice)
        elif party is NotPersonal and personal:
            self._refuse(use, declared, f"to {place}, which gets nothing personal", "name a recipient for this host")
        elif isinstance(party, (Recipient, str)) and self._is_declared(use, declared, party) and personal:
            return party
        return None

    def _is_declared(self, use: Use[Any], declared: Handover | None, party: Recipient | str) -> bool:
        whom = party if isinstance(party, str) else party.id
        if declared is None:
            error = UnlabelledData(
                f"a request to {whom} for activity {use.activity.name} does not say what is in it: under this "
                "purpose, send it inside `with outgoing.handover(Source, subject=…)`, which also takes sealed values "
                "and rows with tags, or `outgoing.handover(NotPersonal)` where nothing personal is in it"
            )
            if not use.activity.observing:
                raise error
            log_observed(error)
            return False
        if declared._to not in (None, whom):
            self._refuse(use, declared, f"to {whom}", "the hand-over that is declared names another recipient")
            return False
        return True

    def _refuse(self, use: Use[Any], declared: Handover | None, whither: str, reason: str) -> None:
        """Reports that a request may not go there, and raises it unless it is only observed."""
        label = _NOTHING_PERSONAL if declared is None else declared.label
        headline = f"{format_term(use.purpose)} may not send a request {whither}"
        self._engine.refuse(
            override_decision(self._decide(use, label), DenialReason.RECIPIENT, headline, (reason,)), use
        )

    def _check(self, use: Use[Any], declared: Handover, recipient: Recipient | str) -> None:
        """Raise where data may not be handed to this recipient; nothing is recorded."""
        if use.activity.observing:  # reported when it is sent
            return
        engine, label = self._engine, declared.label
        handed = ArgumentScan()
        handed.scan_argument(list(declared._rows), SILENT, "what")
        known = dict.fromkeys(handed.row_contexts)
        for subject in declared._subjects:
            known.update(dict.fromkeys(resolve_subject_argument(subject)))
        asked = known if known and engine.oversight is not None else (None,)  # without it nobody knows of subjects
        for row_context in asked:
            use.check(label, row_context)
        party = resolve_recipient(engine, recipient)
        for refusal in iter_denials(
            engine,
            self._decide(use, label),
            party,
            tuple(known),
            means=declared._means or self._means or party.means,
            product=declared._product,
            task=declared._task,
            stated=True,
        ):
            engine.refuse(refusal, use)

    def _decide(self, use: Use[Any], label: Label) -> Decision:
        return Decision(self._engine.snapshot.decide(label, use.purpose, use.channel, conditions=use.conditions))

    def _recorder(
        self, recipient: Recipient | str, label: Label, means: str | None, product: str | None, task: str | None
    ) -> Callable[[list[Any], list[Any]], None]:
        """Return a hand-over to this recipient as a function: it returns once it is allowed and on record."""

        def hand_over(rows: list[Any], subjects: Annotated[list[Any], Subject]) -> None:
            """What leaves, leaves after this."""

        whom = recipient if isinstance(recipient, str) else recipient.id
        sources = ", ".join(source.clause for source in label)
        # What messages and the inventory call it, and where they say that it is.
        hand_over.__module__, hand_over.__qualname__ = self._module, f"outgoing({whom}: {sources})"
        hand_over.__code__ = hand_over.__code__.replace(co_firstlineno=self._line)
        return self._guard.entrust(recipient, label, means=means, product=product, task=task)(hand_over)

    @property
    def under_way(self) -> Use[Any] | None:
        """The use that holds here, if it may be taken to another thread; for transports."""
        use: Use[Any] = self._engine.ambient()
        return use if use._carries and use._explain_absence() is None else None

    def declared(self, given: object) -> Handover | None:
        """What the request declares, or else the block around it; one that another use was entered in does not hold."""
        if given is not None:
            return given if isinstance(given, Handover) else self.handover(given)
        entered = self._entered.get()
        return None if entered is None or entered.use is not self._engine.ambient() else entered.handover

    def _enter(self, handover: Handover) -> None:
        if handover._to is not None and handover.personal:
            use = require_current_use(self._engine, "data was to be handed over")
            if use is not None:
                self._check(use, handover, self._party_of(handover._to))
        self._entered.set(_EnteredHandover(handover, self._engine.ambient(), self._entered.get()))

    def _leave_block(self, handover: Handover) -> None:
        entered = self._entered.get()
        if entered is not None and entered.handover is handover:
            self._entered.set(entered.before)

    def _party_of(self, whom: str) -> Recipient | str:
        """Return the recipient of this id: as it is given for a host, or else as it is registered."""
        parties = (party for party in self._hosts.values() if isinstance(party, Recipient))
        return next((party for party in parties if party.id == whom), whom)


def must_hold_no_seal(*texts: bytes) -> None:
    """Raise SealedValue where the text of a seal was written into what is to be sent: in a URL, a form, a body."""
    for text in texts:
        if (b"ealed" in text or b"EALED" in text) and _SEAL.search(text):
            raise SealedValue(
                "a seal was written where a plain value belongs in a request: open it first, `use.open(value)`"
            )


class WatchedBody:
    """A body that is made while it is sent: no piece with a seal in it leaves."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[Any]:
        before = b""
        for piece in self._inner:
            before = _check_piece(before, piece)
            yield piece

    async def __aiter__(self) -> AsyncIterator[Any]:
        before = b""
        async for piece in self._inner:
            before = _check_piece(before, piece)
            yield piece

    def close(self) -> None:
        """Close the body."""
        self._inner.close()

    async def aclose(self) -> None:
        """Close the body."""
        await self._inner.aclose()


_LOOKED_BACK: Final = 16
"""Bytes of a piece that are looked at again with the next one: a seal's text may lie across both."""


def _check_piece(before: bytes, piece: bytes | str) -> bytes:
    plain = piece.encode() if isinstance(piece, str) else piece
    must_hold_no_seal(before + plain)
    return plain[-_LOOKED_BACK:]


def _to_subjects(subject: Any) -> tuple[Any, ...]:
    """Return the subjects that were named: none, one, or those in a collection."""
    if subject is None:
        return ()
    if isinstance(subject, (list, tuple, set, frozenset)) and not hasattr(subject, "_fields"):
        return tuple(subject)
    return (subject,)
