"""A signed purpose that travels to another process: with a task of a queue, or with a request to another service.

::

    passports = Passports(guard, keys={"2026-05": KEY})

    with guard.purpose(tm.ProductGuidance):
        text = passports.issue(audience="billing")

    with passports.accept(text, permits=[tm.ProductGuidance], audience="billing"):
        ...  # in another process, with the same keys

A passport says which purpose is under way, and by which notice, but nothing about any person. Whoever holds it can
read it. Only a holder of a key can make one.
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
from purposeguard.integrations.signing import LONGEST_ENTRY_POINT, Keys, Passport
from purposeguard.notice.vocabulary import Family, Purpose, TermMeta, list_members
from purposeguard.policy.violations import ChannelViolation, FlowViolation, PurposeViolation
from purposeguard.runtime.activity_handle import ActivityHandle
from purposeguard.runtime.clock import to_utc
from purposeguard.runtime.current_use import ReportUnresolved, find_current_use, require_current_use
from purposeguard.runtime.entry_point import EntryPoint, current_entry_point
from purposeguard.runtime.registry import Activity
from purposeguard.runtime.site import Site
from purposeguard.runtime.use import NO_USE, InactiveUse, Use, end_use
from purposeguard.values.opener import dump_opener_var

HEADER: Final = "Purpose-Passport"
"""The name of the header, of a request or of a message, that holds a passport."""

NOT_RETRIED: Final = (PurposeMissing, PurposeViolation, FlowViolation)
"""Refusals. A retry would be refused again."""

_REMEMBERED_AFTER_EXPIRY: Final = datetime.timedelta(minutes=10)
"""How long a used passport is remembered after it expires, since the store may have another clock."""
_HANDLES_AT_MOST: Final = 500
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class _Receiver(NamedTuple):
    """A receiver of passports: the purposes that it permits, its audience, and the activity that begins there."""

    permits: tuple[Any, ...]
    audience: str | None
    activity: str
    site: Site


Permits = Iterable[Any]
"""Purposes as `Guard.purpose` takes them. A family permits each of its members, and itself."""


class Passports:
    """An issuer and receiver of passports of the purpose under way, with keys that both sides have.

    `keys` maps the id of each key to a secret of at least 32 bytes, such as `secrets.token_bytes(32)`. Passports of all
    keys are accepted; the key named by `signs` signs. To replace a key, first add the new one everywhere, then let it
    sign, and remove the old one when its last passport has expired.

    A passport expires `max_age` after it was issued, or after its task is due. The clock that issued it may be ahead by
    `leeway`. With `one_time`, each passport is accepted once.

    Raises:
        ValueError: There is no key, a key is too short, its id is no word, or `signs` does not say which one signs. Or
            `max_age` is not above zero, or `leeway` is below zero.
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
        """The guard whose purposes travel."""
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
        """Return a passport for the purpose under way: printable ASCII, fit for a header.

        The receiver has to state the same `audience` and `subject`. The passport expires `max_age` after now, or after
        a later moment `due`.

        Args:
            audience: Who may accept the passport.
            subject: The id of the one person whom the passport is about.
            due: When the passport will be needed.
            max_age: How long the passport is valid, if not as long as usual.

        Raises:
            PurposeMissing: No purpose is under way, or an exception is, which does not travel.
            SeveralNotices: The purpose is a family over several notices. A passport belongs to one notice.
            UnknownPurpose: The revision that is now in force no longer has the purpose.
            TypeError, ValueError: `subject` is no id; `due` is no datetime with a time zone.
        """
        use = self._guard.current
        if not use.handle.can_be_carried:
            raise PurposeMissing(
                f"{use.activity.name} is an exception, which does not travel: state it where it is needed"
            )
        matrix = self._guard.engine.snapshot.matrix  # Read once, so that purpose and revision belong together.
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
            entry_point=_find_entry_point(),
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
        """Return another passport for the purpose of one that was read here, for work that follows from it.

        Raises:
            TypeError, ValueError: As in `issue`.
        """
        now = self._guard.engine.clock.read()
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
        """Return the contents of a passport if it is genuine, valid now, and for this audience and subject.

        This does not enter the purpose.

        Raises:
            PassportRefused: The passport is missing, forged, signed by an unknown key, expired, from the future, or for
                another audience or subject.
            TypeError, ValueError: `subject` is no id.
        """
        if text is None:
            raise PassportRefused("missing", "what was sent carries none; send it inside `with guard.purpose(…)`")
        key, passport = self._keys.genuine(text)
        now = (self._guard.engine.clock.now() - _EPOCH).total_seconds()
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
        """Return a block that enters the purpose of a passport, if `permits` permits that purpose here.

        The entry point of the sender holds in the block if there is none here. A `Passport` that `read` returned for
        the same audience and subject is not checked again. A guard that only observes runs the block in any case,
        without a purpose if the passport is not accepted. Its use then refuses nothing.

        Args:
            text: The passport.
            permits: The purposes that may be entered here.
            audience: The audience that the passport must be issued to.
            subject: The id of the person that the passport must be about.
            activity: The name of the activity. By default it is that of the calling function.
            holder: The id of a task that a broker may deliver twice. This holder may begin with a one-time passport
                again until its block has ended without an error.
            site: Where the activity is declared. By default it is where this function is called.

        Raises:
            TypeError: `permits` is no list of purposes, or empty.

        Raises, when the block is entered:
            PassportRefused: As in `read`. Or the passport was used already, it is of another notice or an unknown
                revision, its purpose, channel or a condition is gone, or its purpose is not permitted.
            ChannelViolation: The revision in force here requires another channel (rule 7).
            StoreUnavailable: It cannot be known whether the passport was used already.
            UnknownPurpose: That the passport is refused is only observed, and the notice does not have the first of
                `permits`.
            TypeError, ValueError: `subject` is no id.
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
            purpose = self._guard.engine.snapshot.matrix.resolve_purpose(receiver.permits[0])
            activity = Activity(receiver.activity, purpose, None, True, receiver.site)
            yield InactiveUse(self._guard.engine, activity)
            return
        passport, handle = admitted
        with contextlib.ExitStack() as stack:
            if passport.entry_point is not None and current_entry_point() is None:
                stack.enter_context(EntryPoint(passport.entry_point))
            use: Use[Any] = Use(handle, sys._getframe())
            stack.callback(end_use, use)
            yield use
        if self._one_time is not None and holder is not None:
            # The work is done, so an error of the store is ignored. The passport then stays with this holder.
            with contextlib.suppress(StoreUnavailable):
                self._one_time.finish(passport.id, _expiry(passport))

    def _admit(
        self, text: str | Passport | None, receiver: _Receiver, subject: object, holder: str | None
    ) -> tuple[Passport, ActivityHandle] | None:
        """Return the contents of a passport and the activity that it begins; None if a refusal is only observed.

        Raises:
            PassportRefused, ChannelViolation, StoreUnavailable, TypeError, ValueError: As in `accept`.
        """
        try:
            passport = text
            if not isinstance(passport, Passport):
                passport = self.read(passport, audience=receiver.audience, subject=subject)
            handle = self._handle(passport, receiver)
            self._begin(passport, holder)
        except (PassportRefused, ChannelViolation) as refused:
            self._guard.engine.report_denial(refused, observed=self._guard.engine.observing)
            return None
        return passport, handle

    def _begin(self, passport: Passport, holder: str | None) -> None:
        replays = self._one_time
        holder = holder or secrets.token_urlsafe(16)
        is_first = True
        if replays is not None:
            with ReportUnresolved(self._guard.engine, "passport"):
                is_first = replays.begin(passport.id, holder, _expiry(passport))
        if not is_first:
            raise PassportRefused("replayed", "it was used already; issue one for each request or task")

    def declare(self, permits: Permits, activity: str, site: Site) -> tuple[Any, ...]:
        """Return the purposes that a receiver permits as a tuple, and list them as activities.

        A purpose that requires a channel is listed when it is first entered, with the channel of its passport.

        Raises:
            UnknownPurpose: A purpose is not in the notice.
            TypeError: `permits` is no list of purposes, or empty.
        """
        purposes = tuple_of(permits)
        matrix = self._guard.engine.snapshot.matrix
        for purpose in map(matrix.resolve_purpose, purposes):
            if not matrix.must_state_channel(purpose):
                self._guard.purpose(purpose, activity=activity).stated.get_handle_at(site)
        return purposes

    def _handle(self, passport: Passport, receiver: _Receiver) -> ActivityHandle:
        """Return the activity that a passport begins here. It is cached while the notice stays in force."""
        snapshot = self._guard.engine.snapshot
        if self._handles[0] is not snapshot or len(self._handles[1]) > _HANDLES_AT_MOST:
            self._handles = snapshot, {}
        stated = passport.channel, passport.conditions
        key = passport.notice, passport.revision, passport.family, passport.purpose, stated, receiver
        handles = self._handles[1]
        handle = handles.get(key)
        if handle is None:
            purpose, conditions = self._find_permitted(passport, receiver.permits)
            # `guard.purpose` checks the channel (rule 7).
            block = self._guard.purpose(
                purpose, channel=passport.channel, activity=receiver.activity, conditions=conditions
            )
            handle = handles[key] = block.stated.get_handle_at(receiver.site)
        return handle

    def _find_permitted(
        self, passport: Passport, permits: tuple[Any, ...]
    ) -> tuple[type[Purpose] | Family, frozenset[str]]:
        """Return the purpose and the conditions of a passport, as the revision in force names them.

        Raises:
            PassportRefused: The passport is of another notice or an unknown revision; the revision in force does not
                have its purpose, its channel or a condition; or its purpose is not permitted.
        """
        matrix = self._guard.engine.snapshot.matrix
        part = next((part for part in matrix.parts if part.notice.id == passport.notice), None)
        if part is None:
            raise PassportRefused(
                "notice", f"it is of notice {passport.notice}, and {matrix.notice.id} is in force here"
            )
        notice = part.notice
        revisions = (revision for revision in part.history.notices if revision.revision == passport.revision)
        issued = next(revisions, None)
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
            part.resolve_channel(passport.channel)
        except UnknownTerm:
            raise PassportRefused("channel", f"{notice.revision} knows no such channel") from None
        try:
            own_conditions = part.resolve_conditions(passport.conditions)
            conditions = frozenset(part.prefix + condition for condition in own_conditions)
        except UnknownTerm:
            raise PassportRefused("condition", f"{notice.revision} knows no such condition") from None
        unknown: UnknownTerm | None = None
        for permit in permits:
            try:
                if _member_set(purpose) <= _member_set(matrix.resolve_purpose(permit)):
                    return purpose, conditions
            except UnknownTerm as error:  # The other permits still count.
                unknown = error
        raise PassportRefused("not-permitted", f"what receives it does not permit {passport.purpose}") from unknown


def make_header(passports: Passports, **terms: Any) -> dict[str, str]:
    """Return the header with a passport, as `Passports.issue` makes it. It is empty if a missing purpose is observed.

    Raises:
        PurposeMissing, SeveralNotices, UnknownPurpose, TypeError, ValueError: As in `Passports.issue`.
    """
    use = require_current_use(passports.guard.engine, "a passport was asked for")
    return {} if use is None else {HEADER: passports.issue(**terms)}


def tuple_of(permits: Permits) -> tuple[Any, ...]:
    """Return several purposes as a tuple.

    Raises:
        TypeError: There are none, or `permits` is a single purpose.
    """
    is_single = isinstance(permits, (str, TermMeta, Family)) or not isinstance(permits, Iterable)
    purposes = () if is_single else tuple(permits)
    if not purposes:
        raise TypeError("`permits` is a list of purposes, `permits=[Purpose]`")
    return purposes


def subject_among(fn: Callable[..., Any], parameter: str | None, name: str, args: Any, kwargs: Any) -> object:
    """Return the argument that is passed for the parameter of this name, or None if `parameter` is None.

    Args:
        fn: The function that the arguments are for.
        parameter: The name of the parameter that takes the id of the subject.
        name: The name of the function in messages.
        args: The positional arguments.
        kwargs: The keyword arguments.

    Raises:
        TypeError: The function does not take these arguments.
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
    """Return the place where a frame currently is."""
    return Site(frame.f_globals.get("__name__", "?"), frame.f_code.co_qualname, frame.f_lineno)


@contextlib.contextmanager
def without_purpose(guard: Guard) -> Generator[None]:
    """Suspend the purpose under way inside the block, for code that a framework runs in place of another process."""
    token = guard.engine.set_ambient(NO_USE)
    dump_opener_var.set(None)
    try:
        yield
    finally:
        guard.engine.reset_ambient(token)
        dump_opener_var.set(None)


def under_way(guard: Guard) -> Use[Any] | None:
    """Return the use under way if it may travel, or else None. The question is not recorded."""
    use = find_current_use(guard.engine)
    return use if use is not None and use.handle.can_be_carried else None


_UNISSUED: Final[dict[str, Any]] = {"audience": None, "subject": None, "issued": 0, "expires": 0, "id": ""}


def _find_entry_point() -> str | None:
    """Return the present entry point, or None if there is none, or one whose name is too long to be sent."""
    name = current_entry_point()
    return None if name is None or len(name) > LONGEST_ENTRY_POINT else name


def _member_set(purpose: type[Purpose] | Family) -> frozenset[object]:
    return frozenset(list_members(purpose))


def _expiry(passport: Passport) -> datetime.datetime:
    return _EPOCH + datetime.timedelta(seconds=passport.expires) + _REMEMBERED_AFTER_EXPIRY
