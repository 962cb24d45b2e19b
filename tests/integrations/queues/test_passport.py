"""Passports: what they say, and which of them are refused."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import hashlib
import json
import pickle
import random
import string
import threading
from collections.abc import Iterator
from typing import Any

import itsdangerous
import pytest

import purposeguard as pg
from purposeguard.errors import PassportRefused, SeveralNotices, StoreUnavailable
from purposeguard.integrations.passport import Passports
from purposeguard.integrations.problems import problem_of
from purposeguard.integrations.replays import LocalReplays
from purposeguard.integrations.signing import LONGEST, LONGEST_ENTRY_POINT, Keys
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.entry_point import EntryPoint, current_entry_point
from tests.governance.support import Time
from tests.support import RecordingLedger, RecordingObserver, in_threads
from tests.unit.conditions import tables

KEY, OTHER = b"k" * 32, b"o" * 32
NOW = datetime.datetime(2026, 5, 2, 12, 0, tzinfo=datetime.UTC)


@pytest.fixture
def time() -> Time:
    return Time(NOW)


@pytest.fixture
def guard(time: Time) -> pg.Guard:
    return pg.Guard(tm.NOTICE, clock=time)


@pytest.fixture
def passports(guard: pg.Guard) -> Passports:
    return Passports(guard, keys={"a": KEY})


def issued(passports: Passports, purpose: Any = tm.ProductGuidance, **terms: Any) -> str:
    with passports.guard.purpose(purpose):
        return passports.issue(**terms)


def refused(passports: Passports, text: Any, permits: Any = (tm.ProductGuidance,), **terms: Any) -> str:
    with pytest.raises(PassportRefused) as caught, passports.accept(text, permits=permits, **terms):
        pytest.fail("it was accepted")
    return caught.value.reason


def claims(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(itsdangerous.base64_decode(text.split(".")[2]))
    return found


def test_the_purpose_of_a_passport_is_entered(passports):
    with passports.guard.purpose(tm.ProductGuidance, activity="origin"):
        text = passports.issue()
    with passports.accept(text, permits=[tm.ProductGuidance]) as use:
        assert passports.guard.current is use
        assert use.purpose is tm.ProductGuidance
        assert use.activity.name.endswith("test_the_purpose_of_a_passport_is_entered")
        assert use.activity in passports.guard.activities
    assert not use.active
    assert passports.read(text).activity == "origin"


def test_what_it_says_holds_no_id_of_a_subject(passports):
    text = issued(passports, subject="aiko@example.jp")
    names = {"notice", "revision", "purpose", "family", "channel", "activity", "audience", "subject", "issued"}
    assert set(claims(text)) == names | {"expires", "id"}
    assert "aiko" not in json.dumps(claims(text))
    # Nor can two be told to be about the same person, or what stands in them be found by trying ids without a key.
    assert claims(text)["subject"] != claims(issued(passports, subject="aiko@example.jp"))["subject"]
    signer = itsdangerous.Signer(b"", salt=b"purposeguard.subject.1")
    guess = signer.get_signature(f"{claims(text)['id']}.aiko@example.jp")
    assert claims(text)["subject"] != guess.decode()


def test_the_entry_point_of_the_sender_holds_where_there_is_no_other(passports):
    with EntryPoint.route("POST", "/orders"):
        text = issued(passports)
    assert claims(text)["ep"] == passports.read(text).entry_point == "POST /orders"
    renewed = passports.renew(passports.read(text))
    for sent in (text, renewed):
        with passports.accept(sent, permits=[tm.ProductGuidance]):
            assert current_entry_point() == "POST /orders"
        assert current_entry_point() is None
        with EntryPoint.task("mail"), passports.accept(sent, permits=[tm.ProductGuidance]):
            assert current_entry_point() == "task mail"


def test_an_entry_point_is_signed_and_of_bounded_length(passports):
    with EntryPoint.route("POST", "/orders"):
        version, key, _, signature = (text := issued(passports)).split(".")
    body = itsdangerous.base64_encode(json.dumps({**claims(text), "ep": "GET /other"})).decode()
    assert refused(passports, f"{version}.{key}.{body}.{signature}") == "forged"
    longest = "x" * LONGEST_ENTRY_POINT
    with EntryPoint(longest):
        assert claims(issued(passports))["ep"] == longest
    with EntryPoint(longest + "x"):
        assert "ep" not in claims(issued(passports))
    too_long = dataclasses.replace(passports.read(text), entry_point=longest + "x")
    assert refused(passports, Keys({"a": KEY}).sign(too_long)) == "forged"


def test_a_closed_purpose_travels_with_its_channel():
    notice = pg.Guard(tm.NOTICE)
    passports = Passports(notice, keys={"a": KEY})
    closed = next(one for one in tm.NOTICE.purposes if notice.engine.snapshot.matrix.must_state_channel(one))
    channel = notice.engine.snapshot.matrix.list_admitted_channels(closed)[0]
    with notice.purpose(closed, channel=channel):
        text = passports.issue()
    with passports.accept(text, permits=[closed]) as use:
        assert use.channel == channel


def test_conditions_travel_with_the_purpose():
    tables = tm.NOTICE.dump()
    tables["condition"] = [{"id": "adult", "title": {"en": "is of age", "ja": "成人"}}]
    tables["grant"][0]["purpose"][0]["when"] = ["adult"]
    notice = pg.Notice.parse(tables)
    guard = pg.Guard(notice)
    passports = Passports(guard, keys={"a": KEY})
    purpose = notice.document.purposes[0].id
    (source, *_) = (one for one in notice.sources if guard.allows(one, purpose, conditions={"adult"}))
    with guard.purpose(purpose, conditions={"adult"}):
        stated = passports.issue()
    with guard.purpose(purpose):
        silent = passports.issue()
    assert passports.read(stated).conditions == ("adult",)
    for text, allowed in ((stated, True), (silent, False)):
        with passports.accept(text, permits=[purpose]) as use:
            assert use.allows(source) is allowed
    assert b'"conditions"' not in base64.urlsafe_b64decode(silent.split(".")[2] + "==")
    guard.replace(pg.Notice.parse(tm.NOTICE.dump()))
    with pytest.raises(PassportRefused) as refused, passports.accept(stated, permits=[purpose]):
        pass
    assert refused.value.reason == "condition"


def test_nothing_is_issued_outside_a_purpose_or_for_an_exception():
    guard = pg.Guard(tm.NOTICE, ledger=Exceptional())
    passports = Passports(guard, keys={"a": KEY})
    with pytest.raises(pg.PurposeMissing):
        passports.issue()
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    exception = guard.exception(basis="law", reason="a warrant", approver="counsel", subjects="all", until=until)
    with exception, pytest.raises(pg.PurposeMissing, match="does not travel"):
        passports.issue()


class Exceptional(RecordingLedger):
    """A ledger that is told of exceptions."""

    def excepted(self, *args: object, **kwargs: object) -> None: ...


@pytest.mark.parametrize(
    ("purpose", "permits", "accepted"),
    [
        (tm.ProductGuidance, ["1.2(1)②"], True),
        (tm.ProductGuidance, ["renewal-guidance", "product-guidance"], True),
        (tm.ProductGuidance, [tm.RenewalGuidance], False),
        (tm.ProductGuidance, ["ProductImprovement"], False),
    ],
)
def test_only_what_the_receiver_permits_is_entered(passports, purpose, permits, accepted):
    text = issued(passports, purpose)
    if accepted:
        with passports.accept(text, permits=permits):
            assert passports.guard.current.purpose is purpose
    else:
        assert refused(passports, text, permits) == "not-permitted"


def test_a_family_permits_its_members_and_no_member_its_family(passports):
    family = tm.NOTICE.family("AnyInquiryResponse")
    member = family.members[0]
    with passports.accept(issued(passports, member), permits=[family]) as use:
        assert use.purpose is member
    with passports.accept(issued(passports, family), permits=[family]) as use:
        assert use.purpose == family
    assert refused(passports, issued(passports, family), [member]) == "not-permitted"
    assert refused(passports, issued(passports, family), list(family.members)) == "not-permitted"


@pytest.mark.parametrize("permits", [[], (), tm.ProductGuidance, "1.2(1)②", None])
def test_the_receiver_says_which_purposes_in_a_list(passports, permits):
    with pytest.raises(TypeError, match="list of purposes"):
        passports.accept(issued(passports), permits=permits)


def test_a_missing_passport_is_refused_and_told(time):
    ledger = RecordingLedger()
    passports = Passports(pg.Guard(tm.NOTICE, clock=time, ledger=ledger), keys={"a": KEY})
    assert refused(passports, None) == "missing"
    assert [(type(error), observed) for error, observed in ledger.denials] == [(PassportRefused, False)]


def test_a_guard_that_observes_lets_it_pass_without_a_purpose(time):
    ledger = RecordingLedger()
    guard = pg.Guard(tm.NOTICE, mode="observe", clock=time, ledger=ledger)
    passports = Passports(guard, keys={"a": KEY}, one_time=LocalReplays())
    text = issued(passports)
    with passports.accept(text, permits=[tm.ProductGuidance]) as use:
        assert use.active
    with passports.accept(text, permits=[tm.ProductGuidance]) as use:
        assert use.open(pg.Personal("41 threats", tm.ProductData)) == "41 threats"
        use.check(tm.ProductData)
        with pytest.raises(pg.PurposeMissing):
            _ = guard.current
    observed = [error for error, observed in ledger.denials if observed]
    assert [error.reason for error in observed if isinstance(error, PassportRefused)] == ["replayed"]


class Unreachable:
    """A store of used passports that does not answer."""

    def begin(self, identity: str, holder: str, until: datetime.datetime) -> bool:
        raise StoreUnavailable("the store does not answer")

    def finish(self, identity: str, until: datetime.datetime) -> None:
        raise StoreUnavailable("the store does not answer")


@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_a_store_that_does_not_answer_refuses_nothing_that_is_only_observed(mode):
    guard = pg.Guard(tm.NOTICE, mode=mode)
    passports = Passports(guard, keys={"a": KEY}, one_time=Unreachable())
    text = issued(passports)
    with (
        pytest.raises(StoreUnavailable) if mode == "enforce" else contextlib.nullcontext(),
        passports.accept(text, permits=[tm.ProductGuidance]) as use,
    ):
        assert guard.current is use


def test_a_channel_that_is_missing_meanwhile_refuses_nothing_that_is_only_observed(time):
    observer = RecordingObserver()
    guard = pg.Guard(tm.NOTICE, mode="observe", clock=time, observers=[observer])
    passports = Passports(guard, keys={"a": KEY})
    text = issued(passports, "1.2(1)②")
    guard.replace(with_closed_purpose())
    with passports.accept(text, permits=["1.2(1)②"]):
        assert [type(error) for error in observer.denials] == [pg.ChannelViolation]


def test_it_expires_and_waits_for_what_is_due(passports, time):
    text, later = issued(passports), issued(passports, due=NOW + datetime.timedelta(hours=5))
    short = issued(passports, max_age=datetime.timedelta(minutes=1))
    time.passes(minutes=1)
    assert refused(passports, short) == "expired"
    time.passes(minutes=58, seconds=59)
    with passports.accept(text, permits=[tm.ProductGuidance]):
        pass
    time.passes(seconds=1)
    assert refused(passports, text) == "expired"
    time.passes(hours=4, minutes=59)
    with passports.accept(later, permits=[tm.ProductGuidance]):
        pass
    time.passes(minutes=1)
    assert refused(passports, later) == "expired"


def test_one_from_the_future_is_refused(passports, time):
    time.passes(seconds=30)
    ahead = issued(passports)
    time.passes(seconds=1)
    future = issued(passports)
    other = Passports(pg.Guard(tm.NOTICE, clock=lambda: NOW), keys={"a": KEY})
    with other.accept(ahead, permits=[tm.ProductGuidance]):
        pass
    assert refused(other, future) == "early"


def test_it_is_for_one_audience_and_one_subject(passports):
    text = issued(passports, audience="billing", subject=7)
    with passports.accept(text, permits=[tm.ProductGuidance], audience="billing", subject="7"):
        pass
    for terms, reason in (
        ({"subject": 7}, "audience"),
        ({"subject": 7, "audience": "mail"}, "audience"),
        ({"audience": "billing"}, "subject"),
        ({"audience": "billing", "subject": 8}, "subject"),
    ):
        assert refused(passports, text, **terms) == reason
    assert refused(passports, issued(passports), subject=7) == "subject"
    assert refused(passports, issued(passports), audience="mail") == "audience"


def test_keys_are_replaced_one_after_the_other(guard):
    old = Passports(guard, keys={"a": KEY})
    both = Passports(guard, keys={"a": KEY, "b": OTHER}, signs="b")
    new = Passports(guard, keys={"b": OTHER})
    for text in (issued(old, subject=7), issued(both, subject=7)):
        with both.accept(text, permits=[tm.ProductGuidance], subject=7):
            pass
    with new.accept(issued(both), permits=[tm.ProductGuidance]):
        pass
    assert refused(new, issued(old)) == "unknown-key"
    assert refused(old, issued(new)) == "unknown-key"
    # What follows from a passport of the old key is signed by the new one.
    with new.accept(both.renew(both.read(issued(old))), permits=[tm.ProductGuidance]):
        pass


@pytest.mark.parametrize(
    ("keys", "signs"),
    [
        *(({}, None), ({"a": KEY, "b": OTHER}, None), ({"a": KEY}, "b"), ({"a": b"short"}, None)),
        *(({"a": "s" * 31}, None), ({"a.b": KEY}, None), ({"": KEY}, None)),
    ],
    ids=str,
)
def test_keys_that_would_not_do_are_refused_at_start(guard, keys, signs):
    with pytest.raises(ValueError, match=r"key|signs"):
        Passports(guard, keys=keys, signs=signs)


def test_an_age_is_above_zero(guard):
    with pytest.raises(ValueError, match="max_age"):
        Passports(guard, keys={"a": KEY}, max_age=datetime.timedelta(0))


def signed(body: bytes, key: bytes = KEY, salt: str = "purposeguard.passport.1", **how: Any) -> str:
    how = {"key_derivation": "hmac", "digest_method": hashlib.sha256} | how
    signer: Any = itsdangerous.Signer
    text: str = signer(key, salt=salt, **how).sign(b"1.a." + body).decode()
    return text


def forgeries(text: str, other: str) -> Iterator[tuple[str, str]]:
    """Texts that are near to a passport, by the way in which they were made."""
    parts, others = text.split("."), other.split(".")
    alphabet = string.ascii_letters + string.digits + "-_.=+/ \n\0é"
    for place in range(len(text)):
        for bit in (1, 2, 4, 64):
            yield "bit", text[:place] + chr(ord(text[place]) ^ bit) + text[place + 1 :]
    draw = random.Random(7)
    for _ in range(400):
        place = draw.randrange(len(text))
        yield "changed", text[:place] + draw.choice(alphabet.replace(text[place], "")) + text[place + 1 :]
        yield "inserted", text[:place] + draw.choice(alphabet.replace(text[place], "")) + text[place:]
    yield from (("cut", text[:length]) for length in range(len(text)))
    yield from (("begun later", text[start:]) for start in range(1, len(text), 7))
    for number in range(4):
        yield "swapped", ".".join([*parts[:number], others[number], *parts[number + 1 :]])
        yield "left out", ".".join([*parts[:number], *parts[number + 1 :]])
        yield "twice", ".".join([*parts[:number], parts[number], *parts[number:]])
        yield "empty", ".".join([*parts[:number], "", *parts[number + 1 :]])
        yield "capitals", ".".join([*parts[:number], parts[number].swapcase(), *parts[number + 1 :]])
    yield from (("padded", text + tail) for tail in ("=", "==", ".", " ", "\n", "\0", "A", ";x=1", ", " + other))
    yield from (("padded before", head + text) for head in (" ", "1.", "a.", "\ufeff"))
    body = parts[2].encode()
    yield "another key", signed(body, OTHER)
    yield "another salt", signed(body, salt="purposeguard.subject.1")
    yield "no salt", signed(body, salt="")
    yield "the default salt", signed(body, salt="itsdangerous.Signer")
    yield "another digest", signed(body, digest_method=hashlib.sha1)
    yield "another derivation", signed(body, key_derivation="django-concat")
    yield "the bare secret", signed(body, key_derivation="none")
    none = itsdangerous.Signer(KEY, algorithm=itsdangerous.signer.NoneAlgorithm(), salt="purposeguard.passport.1")
    yield "no algorithm", none.sign(b"1.a." + body).decode()
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    yield "a JWT without a signature", f"{header}.{parts[2]}."
    yield "a JWT", f"{header}.{parts[2]}.{parts[3]}"
    yield "another format", ".".join(["2", *parts[1:]])
    said = claims(text)
    changes: dict[str, Any] = {"purpose": "1.2(1)①", "expires": 2**40, "issued": 0, "audience": "x", "notice": "other"}
    for name, value in changes.items():
        changed = itsdangerous.base64_encode(json.dumps(said | {name: value})).decode()
        yield f"another {name}", ".".join([*parts[:2], changed, parts[3]])
    yield "long", text + "A" * LONGEST
    yield "nothing", ""


def test_a_thousand_forgeries_are_refused(passports):
    text = issued(passports)
    other = issued(passports, tm.RenewalGuidance)
    tried = [(way, forgery) for way, forgery in forgeries(text, other) if forgery not in {text, other}]
    assert len(tried) > 1_000
    for way, forgery in tried:
        assert refused(passports, forgery) in {"forged", "unknown-key"}, way
    with passports.accept(text, permits=[tm.ProductGuidance]):  # so that they are refused for what was changed
        pass


@pytest.mark.parametrize("text", [7, b"1.a.b.c", ["1", "a"], True, object()], ids=lambda text: type(text).__name__)
def test_what_is_no_text_is_no_passport(passports, text):
    assert refused(passports, text) == "forged"


@pytest.mark.parametrize(
    "change",
    [{"expires": "2030"}, {"family": 1}, {"revision": 20240401}, {"more": 1}, {"purpose": None}, {"issued": 1.5}],
    ids=str,
)
def test_what_a_key_signed_is_read_strictly(passports, change):
    body = itsdangerous.base64_encode(json.dumps(claims(issued(passports)) | change))
    assert refused(passports, signed(body)) == "forged"


def test_messages_tell_nothing_of_what_was_sent(passports):
    for text in ("aiko.example.jp.x", "1.aiko.b.c", "aiko@example.jp"):
        with pytest.raises(PassportRefused) as caught:
            passports.read(text)
        assert "aiko" not in str(caught.value)
    with pytest.raises(PassportRefused) as caught:
        passports.read(issued(passports, subject="aiko"), subject="ren")
    assert not {"aiko", "ren"} & set(str(caught.value).split())


def revision(day: str, **changes: Any) -> pg.Notice:
    made = tm.NOTICE.dump()
    return pg.Notice.parse({**made, "revision": datetime.date.fromisoformat(day), **changes})


def test_a_revision_that_comes_into_force_meanwhile(passports, guard):
    text = issued(passports)
    guard.replace(revision("2026-05-01"))
    with passports.accept(text, permits=["1.2(1)②"]) as use:
        assert use.purpose is guard.notice.purpose("1.2(1)②")
        assert use.purpose is not tm.ProductGuidance
    with passports.accept(text, permits=[tm.ProductGuidance]) as use:
        assert use.purpose is guard.notice.purpose("1.2(1)②")


def test_a_purpose_that_was_renamed_meanwhile(passports, guard):
    text = issued(passports, "1.2(1)①")
    made = tm.NOTICE.dump()
    rows = [row for grant in made["grant"] for row in grant["purpose"] if row["id"] == "1.2(1)①"]
    rows[0]["id"] = "1.2(1)⑳"
    renamed = [{"kind": "purpose", "old": "1.2(1)①", "new": "1.2(1)⑳"}]
    guard.replace(pg.Notice.parse({**made, "revision": datetime.date(2026, 5, 1), "renamed": renamed}))
    with passports.accept(text, permits=["1.2(1)⑳"]) as use:
        assert use.activity.purpose_id == "1.2(1)⑳"


def test_a_purpose_that_is_gone_meanwhile(passports, guard):
    text = issued(passports, "1.2(1)①")
    made = tm.NOTICE.dump()
    families = [row for row in made.get("family", []) if "1.2(1)①" not in row["purposes"]]
    for grant in made["grant"]:
        grant["purpose"] = [row for row in grant["purpose"] if row["id"] != "1.2(1)①"]
    guard.replace(pg.Notice.parse({**made, "family": families, "revision": datetime.date(2026, 5, 1)}))
    assert refused(passports, text, ["1.2(1)②", tm.RenewalGuidance]) == "purpose"
    with passports.accept(issued(passports, "1.2(1)②"), permits=[tm.RenewalGuidance, "1.2(1)②"]):
        pass  # what is gone among those that are permitted stands in nobody's way


def test_a_revision_that_the_receiver_does_not_know(passports, guard, time):
    behind = Passports(pg.Guard(tm.NOTICE, clock=time), keys={"a": KEY})
    guard.replace(revision("2026-05-01"))
    text = issued(passports, "1.2(1)②")
    assert refused(behind, text) == "revision"
    behind.guard.replace(revision("2026-05-01"))
    with behind.accept(text, permits=["1.2(1)②"]):
        pass


def test_another_notice_is_refused(passports, time):
    other = Passports(pg.Guard(revision("2024-04-01", id="other"), clock=time), keys={"a": KEY})
    assert refused(passports, issued(other, "1.2(1)②")) == "notice"


def with_closed_purpose() -> pg.Notice:
    """A later revision in which a purpose requires a channel."""
    made = tm.NOTICE.dump()
    for grant in made["grant"]:
        for row in grant["purpose"]:
            if row["id"] == "1.2(1)②":
                row["channels"] = {"closed": ["email"]}
    return pg.Notice.parse({**made, "revision": datetime.date(2026, 5, 1)})


def test_a_purpose_that_is_closed_meanwhile_is_refused(passports, guard):
    text = issued(passports, "1.2(1)②")
    guard.replace(with_closed_purpose())
    with pytest.raises(pg.ChannelViolation), passports.accept(text, permits=["1.2(1)②"]):
        pytest.fail("it was accepted")


@pytest.fixture
def once(guard: pg.Guard) -> Passports:
    return Passports(guard, keys={"a": KEY}, one_time=LocalReplays())


def test_a_one_time_passport_is_accepted_once(once):
    text = issued(once)
    with once.accept(text, permits=[tm.ProductGuidance]):
        assert refused(once, text) == "replayed"
    assert refused(once, text) == "replayed"


def test_one_that_was_refused_is_not_used_up(once):
    text = issued(once)
    assert refused(once, text, [tm.RenewalGuidance]) == "not-permitted"
    with once.accept(text, permits=[tm.ProductGuidance]):
        pass


def test_its_holder_may_begin_again_until_it_has_finished(once):
    text = issued(once)
    for holder in ("task 1", "task 1"):
        with pytest.raises(RuntimeError), once.accept(text, permits=[tm.ProductGuidance], holder=holder):
            raise RuntimeError("killed")
    assert refused(once, text, holder="task 2") == "replayed"
    with once.accept(text, permits=[tm.ProductGuidance], holder="task 1"):
        pass
    assert refused(once, text, holder="task 1") == "replayed"


def test_one_of_many_threads_gets_it(once):
    text, got = issued(once), []
    inside = threading.Event()

    def attempt() -> None:
        try:
            with once.accept(text, permits=[tm.ProductGuidance]):
                got.append(1)
                inside.set()
        except PassportRefused:
            inside.wait(60)

    in_threads([attempt] * 8)
    assert got == [1]


def test_a_refusal_is_an_answer_and_survives_a_queue():
    error = PassportRefused("expired", "it was issued too long ago")
    for anew in (pickle.loads(pickle.dumps(error)), type(error)(*error.args)):
        assert (anew.reason, str(anew)) == ("expired", "passport refused (expired): it was issued too long ago")
        problem = problem_of(anew)
        assert problem is not None
        assert (problem.status, problem.body["reason"], problem.detail) == (403, "expired", str(error))
    hidden = problem_of(error, details=False)
    assert hidden is not None
    assert "expired" not in str(hidden.body)


def test_what_is_accepted_often_is_listed_once(passports):
    text = issued(passports)
    for _ in range(3):
        with passports.accept(text, permits=[tm.ProductGuidance], activity="letters"):
            pass
    assert [one.name for one in passports.guard.activities].count("letters") == 1


def several() -> tuple[Passports, pg.Notice, pg.Notice]:
    here, there = (pg.Notice.parse(tables(id=id_)) for id_ in ("here", "there"))
    families = {"AnyWine": here.purpose("Wine") | there.purpose("Wine")}
    guard = pg.Guard(pg.Notices(here, there, families=families))
    return Passports(guard, keys={"a": KEY}), here, there


def test_a_passport_of_a_guard_over_several_notices_is_of_one():
    """It goes to a service that holds to that notice alone, and back; conditions of another notice stay behind."""
    passports, here, there = several()
    with passports.guard.purpose(here.purpose("Wine"), conditions={"here:adult", "there:adult"}):
        text = passports.issue()
    assert (claims(text)["notice"], claims(text)["purpose"]) == ("here", here.purpose("Wine").clause)
    assert claims(text)["conditions"] == ["adult"]
    alone = Passports(pg.Guard(here), keys={"a": KEY})
    with alone.accept(text, permits=[here.purpose("Wine")]) as use:
        assert (use.purpose, use.conditions) == (here.purpose("Wine"), frozenset({"adult"}))
        back = alone.issue()
    with passports.accept(back, permits=["here:Wine"]) as use:
        assert (use.purpose, use.conditions) == (here.purpose("Wine"), frozenset({"here:adult"}))
    other = Passports(pg.Guard(there), keys={"a": KEY})
    assert refused(other, text, permits=["Wine"]) == "notice"
    assert refused(passports, text, permits=["there:Wine"]) == "not-permitted"
    third = Passports(pg.Guard(pg.Notice.parse(tables(id="third"))), keys={"a": KEY})
    with third.guard.purpose("Wine"):
        assert refused(passports, third.issue(), permits=["here:Wine"]) == "notice"


def test_a_family_over_several_notices_does_not_travel():
    passports, here, _ = several()
    with passports.guard.purpose("AnyWine"), pytest.raises(SeveralNotices, match="a purpose of its own in this family"):
        passports.issue()
    with passports.guard.purpose(here.purpose("Wine")):
        text = passports.issue()
    with passports.accept(text, permits=["AnyWine"]) as use:  # one of its members is permitted
        assert use.purpose is here.purpose("Wine")
