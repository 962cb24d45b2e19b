"""Hosts and the recipients behind them, checked and put on record before a request leaves (clauses 4-6).

::

    outgoing = Outgoing(guard, {
        "https://api.mail-house.example": "mail-house",      # a recipient on the register
        "https://rates.example": pg.NotPersonal,             # gets nothing personal
        "http://billing.internal:8080": OURSELVES,           # another service of the controller's own
    })

    with guard.purpose(my.Renewal) as use, outgoing.handover(name, subject=7):
        client.post("https://api.mail-house.example/letters", json={"to": use.open(name)})

`httpx`, `httpx2` and `requests` contain the transports. A transport sees only bytes, which say neither from which
sources they derive nor whom they are about. So the sender declares it.
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
from purposeguard.notice.vocabulary import NotPersonal, TermMeta, list_term_ids
from purposeguard.policy.context import DenialReason
from purposeguard.policy.explanation import Decision, format_term, override_decision
from purposeguard.policy.row_context import RowContext
from purposeguard.policy.transfers import Recipient
from purposeguard.runtime.current_use import ReportUnresolved, find_current_use, is_observing, require_current_use
from purposeguard.runtime.handover import HandOverTerms, iter_denials, resolve_recipient
from purposeguard.runtime.use import NO_USE, Use
from purposeguard.values.markers import Subject
from purposeguard.values.rows import Whose, resolve_subject_argument
from purposeguard.values.walk import ArgumentScan

__all__ = ["OURSELVES", "Handover", "Outbound", "Outgoing", "Place", "must_hold_no_seal"]


class _Ours(enum.Enum):
    OURSELVES = "ourselves"


OURSELVES: Final = _Ours.OURSELVES
"""Takes the place of a recipient: the host is the controller's own, so nothing is handed over. Not verified."""

Party = Recipient | str | type[NotPersonal] | _Ours
"""The party behind a host: a recipient, the id of one on the register, `NotPersonal`, or `OURSELVES`."""

NO_OUTGOING: Final = "the first argument is an `Outgoing(guard, {…})`, which says who is behind each host"
"""The message for a transport whose first argument is something else."""

_NOTHING_PERSONAL: Final = Label(NotPersonal)
_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_PLAIN: Final = frozenset({"http", "ws"})
"""Schemes that a proxy on the way can read."""
_SEAL: Final = re.compile(rb"(?:<|%3c|&lt;|\\u003c)sealed(?:[ +]|%20)", re.IGNORECASE)
_IDS: Final = (int, str, uuid.UUID)


class Place(NamedTuple):
    """The destination of a request: scheme, host and port, in one spelling."""

    scheme: str
    host: str
    port: int | None

    @classmethod
    def of(cls, scheme: str, host: str, port: int | None = None) -> Place:
        """Return the place of these parts, as a client connects to it: for `https` and None, the port is 443."""
        host = host.lower().removeprefix("[").removesuffix("]").removesuffix(".")
        with contextlib.suppress(ValueError):  # A name, or an address in a spelling that only resolvers read.
            host = str(ipaddress.ip_address(host))
        scheme = scheme.lower()
        return cls(scheme, host, port if port is not None else _PORTS.get(scheme))

    @classmethod
    def socket(cls, path: str) -> Place:
        """Return the place of a Unix domain socket. The host that a request names does not count then."""
        return cls("unix", path, None)

    @classmethod
    def parsed(cls, url: str) -> Place:
        """Return the place of a URL without path and user.

        Raises:
            ValueError: The text is no such URL, or has more than a scheme, a host and a port.
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
        """Return the place for a message. Only the last two parts of a name are shown: others may name a person."""
        port = "" if self.port in (None, _PORTS.get(self.scheme)) else f":{self.port}"
        *more, name, top = ("", "", *self.host.split("."))
        host = f"{'….' if any(more) else ''}{name}{'.' if name else ''}{top}"
        with contextlib.suppress(ValueError):
            host = self.host if ipaddress.ip_address(self.host).is_loopback else "an IP address"
        return f"{self.scheme}://{host}{port}" if self.scheme != "unix" else f"unix:{self.host}"


class Outbound(NamedTuple):
    """A request before it leaves, whichever library sends it."""

    place: Place
    """Where the request goes."""

    names: tuple[str, ...] = ()
    """Hosts that it names beside that of its URL: the `Host` header and the name for TLS."""

    proxy: Place | None = None
    """The proxy that it leaves by."""

    texts: tuple[bytes, ...] = ()
    """The parts of the request that are searched for seals."""

    declared: object = None
    """The `Handover` that it declares, or what `Outgoing.handover` takes."""

    misled: str | None = None
    """Why the request may lead elsewhere than it says."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False, slots=True)
class Handover:
    """A declaration of the data in a request, made by `Outgoing.handover`. It holds for the use that it is entered in.

    Attributes:
        label: The sources that the data derives from.
        rows: The sealed values and rows with tags that are handed over.
        subjects: The ids of the persons whom the data is about, beside those whom rows name.
        recipient: The id of the only recipient that requests may go to, if one is named.
        means: How the data travels, as in `Guard.entrust`.
        product: The product for which the data is handed over, as in `Guard.entrust`.
        task: The task for which the data is handed over, as in `Guard.entrust`.
    """

    label: Label
    _outgoing: Outgoing
    rows: tuple[object, ...]
    subjects: tuple[object, ...]
    recipient: str | None
    means: str | None
    product: str | None
    task: str | None

    @property
    def personal(self) -> bool:
        """True if the data is personal."""
        return self.label is not _NOTHING_PERSONAL

    def __enter__(self) -> Self:
        self._outgoing._enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._outgoing._leave_block(self)

    def __repr__(self) -> str:
        return f"<Handover of {', '.join(list_term_ids(self.label))}>"


class _EnteredHandover(NamedTuple):
    handover: Handover
    use: Use[Any]
    before: _EnteredHandover | None


class Outgoing:
    """The hosts that an application sends requests to, and who is behind each.

    `guard` is the guard whose uses send requests. `hosts` maps `https://host[:port]` to a recipient, to the id of one
    on the register, to `NotPersonal` (it gets nothing personal) or to `OURSELVES`. Under a purpose, any other host is
    refused. `means` is how data travels in requests, unless a hand-over or the recipient says otherwise.

    Outside any purpose, these requests leave: those to `OURSELVES`, those to `NotPersonal`, and those to a known host
    that declare `NotPersonal`. All others are refused.

    Raises:
        TypeError: A host is given something else, or nothing could record a hand-over.
        ValueError: A host is not written as above, or is named twice.
    """

    def __init__(self, guard: Guard, hosts: Mapping[str, Party], *, means: str | None = None) -> None:
        self.guard = guard
        self._engine = guard.engine
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
                guard.entrust(party, means=means)  # Raises if nothing could be handed to this party.
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
        """Declare the data in the requests that follow: a context manager, or a value to pass with one request.

        Args:
            what: Sources, sealed values, and rows with tags, also in lists. `NotPersonal` alone says that nothing
                personal is sent.
            subject: The person or persons whom the data is about, unless rows name them in marked fields.
            to: The id of the only recipient that requests may go to. Entering the block then checks this recipient at
                once, before the data is opened.
            means: As in `Guard.entrust`.
            product: As in `Guard.entrust`.
            task: As in `Guard.entrust`.

        Raises:
            UnlabelledData: Nothing in `what` says what it is.
            UnknownSource: A source is not of the guard's notice.
            TypeError, ValueError: `subject` is no id and no row with marks.
        """
        matrix = self._engine.snapshot.matrix
        scan = ArgumentScan()
        labels: list[Label] = []
        payload: list[object] = []
        for item in what:
            if isinstance(item, (str, TermMeta, Label)):
                labels.append(matrix.resolve_label(item))
            else:
                scan.scan_argument(item, self._engine.silent, "what")
                payload.append(item)
        labels += map(matrix.resolve_label, scan.labels)
        if not labels:
            raise UnlabelledData(
                "nothing says what is handed over: name sources, sealed values or rows with tags, or `NotPersonal`"
            )
        subjects = _to_subjects(subject)
        for subject_or_row in subjects:
            resolve_subject_argument(
                subject_or_row, self._engine.silent
            )  # Called for its error only: the argument names nobody.
            if isinstance(subject_or_row, RowContext):
                raise TypeError("`subject` is an id here, or a row whose marked fields say whose it is and from when")
        ids = tuple(subject_or_row for subject_or_row in subjects if isinstance(subject_or_row, _IDS))
        payload += [subject_or_row for subject_or_row in subjects if not isinstance(subject_or_row, _IDS)]
        return Handover(Label.join(*labels), self, tuple(payload), ids, to, means, product, task)

    def check_and_record(self, request: Outbound) -> None:
        """Check a request, and put it on record if it hands data over. Return once it may leave.

        Raises:
            PurposeMissing: No purpose is under way, and the request is not known to carry nothing personal.
            UnlabelledData: The request goes to a recipient and does not declare its data.
            RecipientViolation: Its host, or a proxy on its way, is no recipient, or not one that may have this data.
            PurposeViolation, SubjectViolation, UnknownRecipient, StoreUnavailable: As in `Guard.entrust`.
            SealedValue: A seal was written into the request.
        """
        event = f"request to {request.place}"
        with ReportUnresolved(self._engine, event):
            must_hold_no_seal(*request.texts)
        with ReportUnresolved(self._engine, event):
            self._check_request(request)

    def _check_request(self, request: Outbound) -> None:
        declared = self.find_declared_handover(request.declared)
        if request.misled is None and any(self._leads_elsewhere(request.place, name) for name in request.names):
            request = request._replace(misled="its `Host` header, or the name for TLS, leads to another one")
        parties = self._parties(request)
        if self._engine.ambient() is NO_USE and self._leaves_outside(declared, [party for _, party in parties]):
            return  # The request carries nothing personal to others, so it needs no purpose.
        use = require_current_use(self._engine, f"a request to {request.place} was to be sent")
        if use is None:  # The missing purpose was only observed.
            return
        advice = request.misled or "name who is behind this host in `Outgoing(guard, {…})`"
        recipients: list[Recipient | str] = []
        for place, party in parties:
            recipient = self._recipient(use, declared, place, party, advice)
            if recipient is not None:
                recipients.append(recipient)
        if declared is None:
            return  # There is nothing to put on record. `_recipient` refused or observed what needs a declaration.
        for recipient in recipients[1:]:  # Check these before the first hand-over is on record.
            self._check(use, declared, recipient)
        for recipient in recipients:
            means = declared.means or self._means
            record = self._recording(recipient, declared.label, means, declared.product, declared.task)
            record(list(declared.rows), list(declared.subjects))

    def _parties(self, request: Outbound) -> list[tuple[Place, Party | None]]:
        """Return who gets to see the request: the party of the host, and that of a proxy that can read it.

        A party is None if nobody is named for the place.
        """
        place, proxy = request.place, request.proxy
        parties = [(place, None if request.misled else self._hosts.get(place))]
        if proxy is not None:
            proxy_party = self._hosts.get(proxy)
            # A proxy cannot read what a tunnel carries. It has to be named all the same.
            if proxy_party is not None and place.scheme not in _PLAIN:
                proxy_party = OURSELVES
            parties.append((proxy, proxy_party))
        return parties

    def _leads_elsewhere(self, place: Place, name: str) -> bool:
        """Return True if a host that the request names beside its URL belongs to another party."""
        try:
            parts = urlsplit(f"//{name}")
            other_place = Place.of(place.scheme, parts.hostname or "", parts.port)
        except ValueError:
            return True
        if other_place == place:
            return False
        return other_place not in self._hosts or self._hosts[other_place] != self._hosts.get(place)

    def _leaves_outside(self, declared: Handover | None, parties: list[Party | None]) -> bool:
        """Return True if a request to these parties may leave outside any purpose."""
        if declared is None:
            return all(party is OURSELVES or party is NotPersonal for party in parties)
        if declared.personal:
            return all(party is OURSELVES for party in parties)
        return None not in parties

    def _recipient(
        self, use: Use[Any], declared: Handover | None, place: Place, party: Party | None, advice: str
    ) -> Recipient | str | None:
        """Return the party if it is a recipient that gets personal data, else None. Refuse one that may not get it."""
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
            self._engine.refuse_unresolved(error, f"request to {whom}", (), use.activity)
            return False
        if declared.recipient not in (None, whom):
            self._refuse(use, declared, f"to {whom}", "the hand-over that is declared names another recipient")
            return False
        return True

    def _refuse(self, use: Use[Any], declared: Handover | None, whither: str, reason: str) -> None:
        """Report that a request may not go there, and raise unless the guard only observes."""
        label = _NOTHING_PERSONAL if declared is None else declared.label
        headline = f"{format_term(use.purpose)} may not send a request {whither}"
        self._engine.refuse(
            override_decision(self._decide(use, label), DenialReason.RECIPIENT, headline, (reason,)), use
        )

    def _check(self, use: Use[Any], declared: Handover, recipient: Recipient | str) -> None:
        """Raise if data may not be handed to this recipient. Nothing is recorded."""
        if use.activity.observing:  # The refusal is reported when the request is sent.
            return
        engine, label = self._engine, declared.label
        scan = ArgumentScan()
        scan.scan_argument(list(declared.rows), engine.silent, "what")
        row_contexts = dict.fromkeys(scan.row_contexts)
        for subject in declared.subjects:
            row_contexts.update(dict.fromkeys(resolve_subject_argument(subject, engine.silent)))
        if row_contexts and engine.oversight is not None:
            for row_context in row_contexts:
                use.check(label, row_context)
        else:  # Without governance, what subjects asked for is unknown.
            use.check(label, None)
        party = resolve_recipient(engine, recipient)
        means = declared.means or self._means or party.means
        terms = HandOverTerms(party, means, declared.product, declared.task)
        for refusal in iter_denials(engine, self._decide(use, label), terms, tuple(row_contexts), requires_means=True):
            engine.refuse(refusal, use)

    def _decide(self, use: Use[Any], label: Label) -> Decision:
        return Decision(self._engine.snapshot.decide(label, use.purpose, use.channel, conditions=use.conditions))

    def _recorder(
        self, recipient: Recipient | str, label: Label, means: str | None, product: str | None, task: str | None
    ) -> Callable[[list[Any], list[Any]], None]:
        """Return a function that hands data over to this recipient. It returns once that is allowed and on record."""

        def hand_over(rows: list[Any], subjects: Annotated[list[Any], Subject]) -> None:
            """Do nothing: the request leaves after this call."""

        whom = recipient if isinstance(recipient, str) else recipient.id
        sources = ", ".join(list_term_ids(label))
        # Messages and the inventory show this name and place.
        hand_over.__module__, hand_over.__qualname__ = self._module, f"outgoing({whom}: {sources})"
        hand_over.__code__ = hand_over.__code__.replace(co_firstlineno=self._line)
        return self.guard.entrust(recipient, label, means=means, product=product, task=task)(hand_over)

    @property
    def under_way(self) -> Use[Any] | None:
        """The use under way, if it may be taken to another thread; for transports."""
        use = find_current_use(self._engine)
        return use if use is not None and use.handle.can_be_carried else None

    def find_declared_handover(self, declaration: object) -> Handover | None:
        """Return the hand-over that a request declares, or else that of the block around it.

        The block counts only inside the use that it was entered in.
        """
        if declaration is not None:
            return declaration if isinstance(declaration, Handover) else self.handover(declaration)
        entered = self._entered.get()
        return None if entered is None or entered.use is not self._engine.ambient() else entered.handover

    def _enter(self, handover: Handover) -> None:
        if handover.recipient is not None and handover.personal:
            use = require_current_use(self._engine, "data was to be handed over")
            if use is not None:
                self._check(use, handover, self._party_of(handover.recipient))
        self._entered.set(_EnteredHandover(handover, self._engine.ambient(), self._entered.get()))

    def _leave_block(self, handover: Handover) -> None:
        entered = self._entered.get()
        if entered is not None and entered.handover is handover:
            self._entered.set(entered.before)

    def _party_of(self, whom: str) -> Recipient | str:
        """Return the recipient of this id as it is given for a host, or else the id, which the register resolves."""
        for party in self._hosts.values():
            if isinstance(party, Recipient) and party.id == whom:
                return party
        return whom


def must_hold_no_seal(*texts: bytes) -> None:
    """Raise SealedValue if the text of a seal was written into what is to be sent: in a URL, a form or a body."""
    for text in texts:
        if (b"ealed" in text or b"EALED" in text) and _SEAL.search(text):
            raise SealedValue(
                "a seal was written where a plain value belongs in a request: open it first, `use.open(value)`"
            )


class WatchedBody:
    """A body that is made while it is sent. A piece that contains a seal does not leave."""

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


def watch_body(outgoing: Outgoing, body: Any, watched_class: type[WatchedBody]) -> Any:
    """Return a body that is made while it is sent, in a wrapper that lets no seal leave unless only observed."""
    is_watched = isinstance(body, WatchedBody) or is_observing(outgoing.guard.engine)
    return body if is_watched else watched_class(body)


_LOOKED_BACK: Final = 16
"""Bytes of a piece that are checked again with the next one, since the text of a seal may lie across both."""


def _check_piece(before: bytes, piece: bytes | str) -> bytes:
    plain = piece.encode() if isinstance(piece, str) else piece
    must_hold_no_seal(before + plain)
    return plain[-_LOOKED_BACK:]


def _to_subjects(subject: Any) -> tuple[Any, ...]:
    """Return the subjects as a tuple: none, one, or those in a collection."""
    if subject is None:
        return ()
    if isinstance(subject, (list, tuple, set, frozenset)) and not hasattr(subject, "_fields"):
        return tuple(subject)
    return (subject,)
