"""A purpose that travels to another process, signed: with a task of a queue, or with a request to another service.

::

    passports = Passports(guard, keys={"2026-05": KEY})

    with guard.purpose(tm.ProductGuidance):
        text = passports.issue(audience="billing")

    with passports.accept(text, permits=[tm.ProductGuidance], audience="billing"):
        ...  # in another process, with the same keys

A passport says which purpose is under way, by which notice, and nothing of any person. It can be read by whoever holds
it, and made only by who has a key.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import inspect
import math
import secrets
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from types import FrameType
from typing import Any, Final, NamedTuple

from purposeguard.errors import PassportRefused, PurposeMissing, StoreUnavailable, UnknownTerm
from purposeguard.guard import Guard
from purposeguard.integrations.replays import Replays
from purposeguard.integrations.signing import Keys, Passport
from purposeguard.notice.vocabulary import Family, Purpose, TermMeta
from purposeguard.policy.violations import FlowViolation, PurposeViolation
from purposeguard.runtime.clock import to_utc
from purposeguard.runtime.engine import ActivityHandle
from purposeguard.runtime.site import Site
from purposeguard.runtime.use import NO_USE, Use

HEADER: Final = "Purpose-Passport"
"""The name of the header, of a request or of a message, that holds a passport."""

NOT_RETRIED: Final = (PurposeMissing, PurposeViolation, FlowViolation)
"""Refusals, which no retry turns into anything else."""

_KEPT: Final = datetime.timedelta(minutes=10)
"""For how long after it expires a used passport is remembered: the store's clock may be another."""
_HANDLES_AT_MOST: Final = 500
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class _Receiver(NamedTuple):
    """What accepts passports: for which purposes, as whom, and which activity begins where."""

    permits: tuple[Any, ...]
    audience: str | None
    activity: str
    site: Site


Permits = Iterable[Any]
"""Purposes as `Guard.purpose` takes them. A family permits each of its members, and itself."""


class Passports:
    """Issues passports of the purpose under way, and accepts them, with keys that both sides have.

    `keys` maps the id of each key to a secret of at least 32 bytes, such as `secrets.token_bytes(32)`; passports of all
    of them are accepted, and the one named by `signs` signs. To replace a key, first add the new one everywhere, then
    let it sign, and remove the old one when its last passport has expired.

    A passport expires `max_age` after it was issued, or after its task is due. It may come from a clock that is ahead
    by `leeway`. With `one_time`, each is accepted once.

    Raises:
        ValueError: there is no key, a key is too short, its id is no word, or `signs` does not say which one signs.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        keys: Mapping[str, str | bytes],
        signs: str | None = None,
        max_age: datetime.timedelta = datetime.timedelta(hours=1),
        leeway: datetime.timedelta = datetime.timedelta(seconds=30),
        one_time: Replays | None = None,
    ) -> None:
        if max_age <= datetime.timedelta(0) or leeway < datetime.timedelta(0):
            raise ValueError("`max_age` is above zero, and `leeway` not below")
        self._keys = Keys(keys, signs)
        self._guard = guard
        self._max_age = max_age
        self._leeway = leeway
        self._one_time = one_time
        self._handles: tuple[object, dict[object, ActivityHandle]] = (None, {})

    @property
    def guard(self) -> Guard:
        """Whose purposes these are."""
        return self._guard

    # --- the side that sends ---------------------------------------------------------------------------------------

    def issue(
        self,
        *,
        audience: str | None = None,
        subject: object = None,
        due: datetime.datetime | None = None,
        max_age: datetime.timedelta | None = None,
    ) -> str:
        """Return a passport for the purpose under way here: printable ASCII, fit for a header.

        `audience` is who may accept it, and `subject` the one person whom it is about: the receiver states the same.
        It expires `max_age` after now, or after a later moment `due`.

        Raises:
            PurposeMissing: no purpose is under way here, or an exception is, which goes nowhere else.
            SeveralNotices: the purpose is a family over several notices, and a passport is of one.
            TypeError, ValueError: `subject` is no id; `due` has no time zone.
        """
        use = self._guard.current
        if not use._carries:
            raise PurposeMissing(
                f"{use.activity.name} is an exception, which does not travel: state it where it is needed"
            )
        matrix = self._guard._engine.snapshot.matrix  # once: purpose and revision are of one
        purpose = matrix.resolve_purpose(use.activity.purpose)
        table = matrix.single_table_of(purpose)
        origin = Passport(
            notice=table.notice.id,
            revision=table.notice.revision,
            purpose=purpose.name if isinstance(purpose, Family) else purpose.clause,
            family=isinstance(purpose, Family),
            channel=use.channel,
            activity=use.activity.name,
            conditions=tuple(sorted(table.own_conditions(use.conditions))),
            **_UNISSUED,
        )
        return self.renew(origin, audience=audience, subject=subject, due=due, max_age=max_age)

    def renew(
        self,
        passport: Passport,
        *,
        audience: str | None = None,
        subject: object = None,
        due: datetime.datetime | None = None,
        max_age: datetime.timedelta | None = None,
    ) -> str:
        """Another passport for the purpose of one that was read here, for what follows from it; raises as `issue`."""
        now = self._guard._engine.clock.read()
        identity = secrets.token_urlsafe(16)
        claims = dataclasses.replace(
            passport,
            audience=audience,
            subject=None if subject is None else self._keys.digest(identity, subject),
            issued=math.floor((now - _EPOCH).total_seconds()),
            expires=math.ceil(
                (max(now, now if due is None else to_utc(due)) + (max_age or self._max_age) - _EPOCH).total_seconds()
            ),
            id=identity,
        )
        return self._keys.sign(claims)

    # --- the side that receives ------------------------------------------------------------------------------------

    def read(self, text: str | None, *, audience: str | None = None, subject: object = None) -> Passport:
        """What a passport says, if it is genuine, of this time, and for this audience and subject. Enters nothing.

        Raises:
            PassportRefused: it is missing, forged, expired or from the future, or for another audience or subject.
            TypeError, ValueError: `subject` is no id.
        """
        if text is None:
            raise PassportRefused("missing", "what was sent carries none; send it inside `with guard.purpose(…)`")
        key, passport = self._keys.genuine(text)
        now = (self._guard._engine.clock.now() - _EPOCH).total_seconds()
        if now >= passport.expires:
            raise PassportRefused("expired", "it was issued too long ago; give what waits longer a longer `max_age`")
        if now + self._leeway.total_seconds() < passport.issued:
            raise PassportRefused("early", "it was issued later than it is here; set the clocks of both machines right")
        if passport.audience != audience:
            raise PassportRefused("audience", "it was issued for another receiver, or for none in particular")
        digest = None if subject is None else self._keys.digest(passport.id, subject, key)
        if digest != passport.subject:
            raise PassportRefused("subject", "it is not about the subject that is stated here; state the same twice")
        return passport

    def accept(
        self,
        text: str | Passport | None,
        *,
        permits: Permits,
        audience: str | None = None,
        subject: object = None,
        activity: str | None = None,
        holder: str | None = None,
        site: Site | None = None,
    ) -> contextlib.AbstractContextManager[Use[Any]]:
        """Return a block that enters the purpose of a passport, if it is among those that `permits` permits here.

        What `read` gave for this audience and subject is taken as well, and not read again.
        `activity` names it; otherwise the function that it stands in does. `holder` may begin with a one-time passport
        again until its block has ended without an error: the id of a task that a broker may deliver twice.

        A guard that only observes lets the block run without a purpose, and gives a use that opens nothing.

        Raises, when it is entered:
            PassportRefused: as `read`; or it was used already, is of another notice or of a revision that is not known
                here, or its purpose is gone or not permitted.
            ChannelViolation: the revision in force here wants another channel (rule 7).
            StoreUnavailable: it cannot be known whether it was used already.
            TypeError: `permits` is no list of purposes, or empty.
        """
        site = site or site_of(sys._getframe(1))
        receiver = _Receiver(tuple_of(permits), audience, activity or site.dotted, site)
        return self._accept(text, receiver, subject, holder)

    @contextlib.contextmanager
    def _accept(
        self, text: str | Passport | None, receiver: _Receiver, subject: object, holder: str | None
    ) -> Generator[Use[Any]]:
        admitted = self._admit(text, receiver, subject, holder)
        if admitted is None:
            yield NO_USE
            return
        passport, handle = admitted
        use: Use[Any] = Use(handle, sys._getframe())
        try:
            yield use
        finally:
            use._close()
        if self._one_time is not None and holder is not None:
            # It may fail once the work is done: then the passport stays with this holder, as if it were at work.
            with contextlib.suppress(StoreUnavailable):
                self._one_time.finish(passport.id, _expiry(passport))

    def _admit(
        self, text: str | Passport | None, receiver: _Receiver, subject: object, holder: str | None
    ) -> tuple[Passport, ActivityHandle] | None:
        """What the passport says, and the activity that it lets begin; None where a refusal is only observed."""
        try:
            passport = text
            if not isinstance(passport, Passport):
                passport = self.read(passport, audience=receiver.audience, subject=subject)
            handle = self._handle(passport, receiver)
            self._begin(passport, holder)
        except PassportRefused as refused:
            self._guard._engine.report_denial(refused, observed=self._guard._engine.observing)
            return None
        return passport, handle

    def _begin(self, passport: Passport, holder: str | None) -> None:
        replays = self._one_time
        holder = holder or secrets.token_urlsafe(16)
        if replays is not None and not replays.begin(passport.id, holder, _expiry(passport)):
            raise PassportRefused("replayed", "it was used already; issue one for each request or task")

    def declare(self, permits: Permits, activity: str, site: Site) -> tuple[Any, ...]:
        """The purposes that a receiver permits, all of which the notice in force knows; lists them as activities.

        One that wants a channel is listed when it is first entered, by the channel of its passport.

        Raises:
            UnknownPurpose: one is no purpose of the notice.
            TypeError: `permits` is no list of purposes, or empty.
        """
        known = tuple_of(permits)
        matrix = self._guard._engine.snapshot.matrix
        for purpose in map(matrix.resolve_purpose, known):
            if not matrix.must_state_channel(purpose):
                self._guard.purpose(purpose, activity=activity)._stated.get_handle_at(site)
        return known

    def _handle(self, passport: Passport, receiver: _Receiver) -> ActivityHandle:
        """The activity that a passport lets begin here, kept for the next like it while the notice stays in force."""
        snapshot = self._guard._engine.snapshot
        if self._handles[0] is not snapshot or len(self._handles[1]) > _HANDLES_AT_MOST:
            self._handles = snapshot, {}
        stated = passport.channel, passport.conditions
        key = passport.notice, passport.revision, passport.family, passport.purpose, stated, receiver
        known = self._handles[1]
        handle = known.get(key)
        if handle is None:
            purpose, conditions = self._find_permitted(passport, receiver.permits)
            # `guard.purpose` says whether the channel fits (rule 7).
            block = self._guard.purpose(
                purpose, channel=passport.channel, activity=receiver.activity, conditions=conditions
            )
            handle = known[key] = block._stated.get_handle_at(receiver.site)
        return handle

    def _find_permitted(
        self, passport: Passport, permits: tuple[Any, ...]
    ) -> tuple[type[Purpose] | Family, frozenset[str]]:
        """Return the purpose and the conditions of a passport, as the revision in force calls them."""
        matrix = self._guard._engine.snapshot.matrix
        table = next((part for part in matrix.parts if part.notice.id == passport.notice), None)
        if table is None:
            raise PassportRefused(
                "notice", f"it is of notice {passport.notice}, and {matrix.notice.id} is in force here"
            )
        notice = table.notice
        issued = next((each for each in table.history.notices if each.revision == passport.revision), None)
        if issued is None:
            raise PassportRefused("revision", f"the revision of {passport.revision} is not known here; load it")
        try:
            issued_for = issued.family(passport.purpose) if passport.family else issued.purpose(passport.purpose)
            purpose = matrix.resolve_purpose(issued_for)
        except UnknownTerm:
            raise PassportRefused(
                "purpose", f"{passport.purpose} of {passport.revision} is no purpose of {notice.revision}"
            ) from None
        try:
            table.resolve_channel(passport.channel)
        except UnknownTerm:
            raise PassportRefused("channel", f"{notice.revision} knows no such channel") from None
        try:
            conditions = frozenset(table.prefix + one for one in table.resolve_conditions(passport.conditions))
        except UnknownTerm:
            raise PassportRefused("condition", f"{notice.revision} knows no such condition") from None
        gone: UnknownTerm | None = None
        for permit in permits:
            try:
                if _member_set(purpose) <= _member_set(matrix.resolve_purpose(permit)):
                    return purpose, conditions
            except UnknownTerm as error:  # the others still count
                gone = error
        raise PassportRefused("not-permitted", f"what receives it does not permit {passport.purpose}") from gone


def tuple_of(permits: Permits) -> tuple[Any, ...]:
    """Return several purposes; raises TypeError where one stands in the place of several, or there are none."""
    is_one = isinstance(permits, (str, TermMeta, Family)) or not isinstance(permits, Iterable)
    purposes = () if is_one else tuple(permits)
    if not purposes:
        raise TypeError("`permits` is a list of purposes, `permits=[Purpose]`")
    return purposes


def subject_among(fn: Callable[..., Any], parameter: str | None, name: str, args: Any, kwargs: Any) -> object:
    """The subject among the arguments that a function of this name is to be called by; None if it names no parameter.

    Raises:
        TypeError: it does not take these arguments.
    """
    if parameter is None:
        return None
    try:
        bound = inspect.signature(fn).bind(*args, **kwargs)
    except TypeError:
        raise TypeError(f"the arguments of {name} are not those of its function") from None
    bound.apply_defaults()
    return bound.arguments[parameter]


def site_of(frame: FrameType) -> Site:
    """Return the place where a frame is now."""
    return Site(frame.f_globals.get("__name__", "?"), frame.f_code.co_qualname, frame.f_lineno)


@contextlib.contextmanager
def without_purpose(guard: Guard) -> Generator[None]:
    """Until it is left no purpose is under way here: for what a framework runs in place of another process."""
    token = guard._engine.set_ambient(NO_USE)
    try:
        yield
    finally:
        guard._engine.reset_ambient(token)


def under_way(guard: Guard) -> Use[Any] | None:
    """Return the use under way here that could travel, where there is one; nobody is told of the question."""
    use: Use[Any] = guard._engine.ambient()
    return use if use._carries and use._explain_absence() is None else None


_UNISSUED: Final[dict[str, Any]] = {"audience": None, "subject": None, "issued": 0, "expires": 0, "id": ""}


def _member_set(purpose: type[Purpose] | Family) -> frozenset[object]:
    return frozenset(purpose.members if isinstance(purpose, Family) else (purpose,))


def _expiry(passport: Passport) -> datetime.datetime:
    return _EPOCH + datetime.timedelta(seconds=passport.expires) + _KEPT
