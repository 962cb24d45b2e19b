"""Writes docs/reference/errors.md: typical mistakes, made for real, and what the library says to each.

`python -m tests.docs.errors_page` writes the page anew; a test fails while the page differs from what is said now.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import tempfile
import textwrap
import traceback
import types

from tests.docs.running import MODULE, ROOT

PAGE = ROOT / "docs" / "reference" / "errors.md"


@dataclasses.dataclass(frozen=True)
class Mistake:
    """What somebody in a hurry did, why it seemed right, and what to do."""

    title: str
    story: str
    code: str
    remedy: str


HEAD = """# Errors

Everything that the library raises about notices and uses derives from `PurposeGuardError`:

```
PurposeGuardError
├── NoticeError            the notice file is wrong: every fault at once, each with its place in the file
├── SeveralNotices         what one notice has was asked of a guard that holds to several
├── UnknownTerm            an unknown id; also a LookupError
│   ├── UnknownSource
│   │   └── UnknownOperation   no derivation by this name from these sources
│   ├── UnknownPurpose
│   ├── UnknownChannel
│   ├── UnknownCondition
│   └── UnknownRecipient   no recipient of this id is on the register
├── UnlabelledData         a check, or an access function, with no sources
├── PurposeMissing         data read outside any purpose
│   └── PassportRefused    a purpose that came from another process is not taken over
├── SealedValue            a sealed value was used as if it were plain; also a TypeError
│   ├── SealedAttribute    an attribute of the plain value was asked for; also an AttributeError
│   └── TooFewSubjects     a figure would describe single people
├── StoreUnavailable       the store of governance does not answer, or its last answer is too old
├── LedgerBroken           entries of a ledger were changed or removed, or cannot be read
├── RequestError           an invalid step of a subject's request
├── SweepRefused           a sweep would erase more than it may, or the time is in doubt
├── RowLeftOut             an object's row is there, but may not be used; also an ObjectDeletedError (SQLAlchemy)
├── UnresolvedStatement    a statement, plan or frame whose columns cannot be determined; also a ValueError
├── FlowViolation          data would go to a column that does not have its tags; also a PermissionError
└── PurposeViolation       the notice does not grant this use; also a PermissionError
    ├── ChannelViolation   granted, but not by this channel, or the activity states none
    ├── ConditionViolation granted, but where conditions hold that are not stated
    ├── RecipientViolation granted, but the data may not be handed to this recipient (clauses 4 to 6)
    ├── SubjectViolation   granted, but this subject stopped it, or did not consent (clause 7)
    ├── RetentionViolation granted, but the retention period has ended (clause 8)
    └── RevisionViolation  granted now, but not when the data was collected (clause 11)
```

Errors have their facts as attributes, so that code need not parse messages:

| error | attributes |
| --- | --- |
| `NoticeError` | `faults`, a tuple of `Fault`s; `origin`, the file |
| `Fault` | `place`, `message`, `suggestion`; `file`, `line`, `column` |
| `SeveralNotices` | `notices`, their ids; `what` was asked for |
| `UnknownTerm` | `kind` (`source`, `purpose`, `channel`, `recipient`, `operation`), `given`, `why`, `suggestions` |
| `PurposeViolation` | `decision` (a `Decision`), `activity`, `function`, `field`, `advice` |
| `TooFewSubjects` | `what`, `at_least` |
| `LedgerBroken` | `place`, `what` |
| `UnresolvedStatement` | `why` |
| `FlowViolation` | `target`, `column`, `missing` (a `Label`) |
| `PassportRefused` | `reason`, one word; `why` |
| `UnlabelledData`, `PurposeMissing`, `SealedValue`, `SealedAttribute`, `RowLeftOut` | none; read the message |
| `StoreUnavailable`, `RequestError`, `SweepRefused` | none likewise |

`UnknownSource` and the other unknown terms, `ChannelViolation` and the other violations have the attributes of their
base class.

Pydantic raises its own errors. Invalid input is a `ValidationError`, in which sealed fields show no input. A refusal
inside `model_dump` is a `PydanticSerializationError` that quotes it; a `pg.PersonalModel` raises the refusal itself.

No message contains a personal value: it quotes ids and classes only, and names the type of any other object. A message
is built when it is read, so a denial that is caught and handled costs no text.

Misuse of the library itself (a class decorated as an access function, a cache with no room) is a plain `TypeError` or
`ValueError`.

A traceback ends in your own line: the library takes its own frames off, in programs, in pytest and in notebooks. Frames
remain where other code lies between, as pydantic's, SQLAlchemy's and `json`'s do. `python -X dev` keeps all of them.

`guard.purpose(…)` as a statement of its own states nothing. It is a `RuntimeWarning`, once for each place.

## Typical mistakes

Each block below was run to write this page, and a test compares each message word for word. All blocks start from these
models and functions, in a module called `shop`:
"""

SETUP = """from typing import Annotated

from pydantic import BaseModel, EmailStr

import purposeguard as pg
from purposeguard.values.json import encode_sealed
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)


class Customer(BaseModel):
    name: Annotated[str, tm.Registration]
    renews: Annotated[str, tm.Contract]
    last_scan: Annotated[str, tm.ProductData]


@guard.access
def load_customer(key: int) -> Customer:
    return Customer(name="Aiko", renews="2026-06-01", last_scan="2026-05-02T09:00")


@guard.access(withhold=True)
def load_what_is_allowed(key: int) -> Customer:
    return Customer(name="Aiko", renews="2026-06-01", last_scan="2026-05-02T09:00")


class Account(pg.PersonalModel):
    number: int
    email: pg.Personal[EmailStr, tm.Registration]
    blocked: pg.Personal[int, tm.ProductData]


account = Account.model_validate({"number": 7, "email": "aiko@example.com", "blocked": 4711})
"""

MISTAKES = (
    Mistake(
        "`with` was forgotten",
        "What `guard.purpose(…)` gives is a block, and has to be entered.",
        """use = guard.purpose(tm.RenewalGuidance)
use.open(account.email)
""",
        "Write `with guard.purpose(tm.RenewalGuidance) as use:`, and use it in the block.",
    ),
    Mistake(
        "`.with_use` was forgotten",
        "The function expects a use as its first argument, and nobody gives it one.",
        """@guard.purpose(tm.RenewalGuidance)
def remind(use: pg.Use[tm.RenewalGuidance], account: Account) -> str:
    return use.open(account.email)


remind(account)
""",
        "Write `@guard.purpose(tm.RenewalGuidance).with_use`.",
    ),
    Mistake(
        "Decorators stand in the wrong order",
        "The function reads data for a purpose of its own. The upper decorator asks for one before that.",
        """@guard.access
@guard.purpose(tm.RenewalGuidance)
def load_name(key: int) -> Customer: ...
""",
        "Decorate what uses the data with `@guard.purpose(…)`, and what reads it with `@guard.access`.",
    ),
    Mistake(
        "The purpose was forgotten",
        "A script calls an access function directly.",
        "load_customer(7)\n",
        "Say what the data is for: decorate the function that needs it, not the one that reads it.",
    ),
    Mistake(
        "More was read than the purpose may use",
        "A reminder to renew needs the name and the date. The model also has the last scan, which products report.",
        """@guard.purpose(tm.RenewalGuidance)
def remind(key: int) -> str:
    customer = load_customer(key)
    return f"{customer.name}: renews on {customer.renews}"


remind(7)
""",
        "Read less, or let the guard leave the field out.",
    ),
    Mistake(
        "A withheld field was read",
        "The access function now withholds. The text of the mail still mentions the last scan.",
        """@guard.purpose(tm.RenewalGuidance)
def remind(key: int) -> str:
    customer = load_what_is_allowed(key)
    return f"{customer.name}: last scanned {customer.last_scan}"


remind(7)
""",
        "The field is not there under this purpose. Do without it, or ask whether the purpose is the right one.",
    ),
    Mistake(
        "Data of two clauses was joined",
        "Contacts from the website and registered customers, joined into one list for one campaign.",
        'guard.check({"1.1(a)", "2.1(a)"}, "1.2(1)②")\n',
        "Each clause has its own purpose here. Where a notice states one goal in several clauses, ask for the family: "
        "`AnyProductGuidance`. Otherwise process the two lists apart.",
    ),
    Mistake(
        "The channel was left out",
        "This purpose is granted for e-mail only, so an activity under it must state its channel.",
        """@guard.purpose(tm.WebSecurityMail)
def send_bulletin() -> None: ...
""",
        'State it: `@guard.purpose(tm.WebSecurityMail, channel="email")`.',
    ),
    Mistake(
        "The wrong channel",
        "Somebody wants to telephone the same people.",
        'guard.check("2.1(a)", "2.2③", channel="phone")\n',
        "The clause names e-mail only. Another purpose may allow the telephone; this one does not.",
    ),
    Mistake(
        "A thread pool lost the purpose",
        "The purpose holds in the thread or task that entered it. The worker has none, so it fails closed.",
        """from concurrent.futures import ThreadPoolExecutor

with guard.purpose(tm.ProductProvision, activity="nightly report"), ThreadPoolExecutor() as pool:
    pool.submit(load_customer, 7).result()
""",
        "Carry it: `pool.submit(guard.carry(load_customer), 7)`.",
    ),
    Mistake(
        "A cache is below the guard",
        "The query is slow, so somebody cached it. The cache would answer every purpose with the data that was read "
        "for the first.",
        """from functools import lru_cache


@guard.access
@lru_cache
def load_renewals(month: str) -> list[Customer]: ...
""",
        "`@guard.cached()` above `@guard.access` keeps purposes apart.",
    ),
    Mistake(
        "Nothing says what is read",
        "The function returns plain dicts, so its annotation names no source.",
        """@guard.access
def load_rows(month: str) -> list[dict]: ...
""",
        "Annotate it with a tagged model (a `TypedDict` for rows), or name the sources in the decorator.",
    ),
    Mistake(
        "An id was mistyped",
        "Ids are read generously (`1.1a`, `1.2(1)-1`), but they have to exist.",
        'guard.check("1.1(d)", "renewal-guide")\n',
        "Sources and purposes are classes too: no `tm.Registration` is mistyped without the type checker saying so.",
    ),
    Mistake(
        "A union was made up",
        "Two purposes are needed, so both are listed. If that worked, anybody could widen a check by listing more.",
        "guard.check(tm.Registration, tm.RenewalGuidance | tm.ProductGuidance)\n",
        "Make two activities, or declare a family in the notice, which is the lawyer's decision.",
    ),
    Mistake(
        "A notice file with several slips",
        "All faults are reported at once, each with its place in the file.",
        '''pg.Notice.loads(
    """
    format = 1
    id = "corner-shop"
    revision = 2026-01-01
    controller = { en = "Corner Shop", ja = "コーナーショップ" }
    title = { en = "Privacy notice" }

    [[channel]]
    id = "email"
    title = { en = "E-mail", ja = "メール" }

    [[source]]
    id = "1(a)"
    class = "Order"
    title = { en = "Orders", ja = "注文" }

    [[grant]]
    clause = "2"
    sources = ["1(b)"]
    titel = { en = "Orders", ja = "注文" }

    [[grant.purpose]]
    id = "2(1)"
    class = "Delivery"
    title = { en = "Delivering orders", ja = "注文品の配送" }
    channels = { closed = ["emial"] }
    """
)
''',
        "`purposeguard validate notice.toml` prints the same list and exits with 2.",
    ),
    Mistake(
        "A sealed value was opened for a purpose that may not use it",
        "A type checker would report this, but none was run.",
        """with guard.purpose(tm.RenewalGuidance, activity="renewal mail") as use:
    text = f"{use.open(account.email)}: we stopped {use.open(account.blocked)} threats"
""",
        "Do without it, or open it where it may be used. `use.try_open(value, default)` returns a default instead.",
    ),
    Mistake(
        "A sealed value was used as a condition",
        "A seal is neither true nor false: an empty text is sealed like any other.",
        """if account.email:
    print("has an address")
""",
        "A field that may be missing is `Personal[str, Source] | None`: compare it with `None`.",
    ),
    Mistake(
        "A sealed value was formatted",
        "The first line prints the seal, `to <sealed 1.1(a)>`. A width or a precision would need the value.",
        'line = f"to {account.email}"\nline = f"to {account.email:>40}"\n',
        'Make the text with `map`: `account.email.map("{:>40}".format)`.',
    ),
    Mistake(
        "An attribute of the value was read from the seal",
        "Code that worked with plain text was not changed.",
        "account.email.casefold()\n",
        "Write `account.email.map(str.casefold)`, which is sealed too.",
    ),
    Mistake(
        "A sealed value was written as JSON",
        "Sealed values are put into a dict, and the dict into a queue.",
        """import json

json.dumps({"number": account.number, "email": account.email})
""",
        "`json.dumps(…, default=encode_sealed)` opens them, under a purpose that may use them.",
    ),
    Mistake(
        "A sealed value was pickled",
        "A cache outside the process, a process pool and a job queue all pickle their input.",
        """import pickle

pickle.dumps([account.email])
""",
        "Hand over the key of the record, and let the other process read it for its own purpose.",
    ),
    Mistake(
        "A use was kept",
        "The generator makes the letters lazily, after the block has ended.",
        """with guard.purpose(tm.RenewalGuidance, activity="renewal mail") as use:
    letters = (use.open(email) for email in [account.email])

list(letters)
""",
        "Do the work inside the block, or make a generator function an activity of its own: `@guard.purpose(…)`.",
    ),
    Mistake(
        "A function failed inside a seal",
        "The function was given to `map` and failed on the value. Its message would have quoted the value.",
        """number = account.email.map(int)

with guard.purpose(tm.RenewalGuidance) as use:
    use.open(number)
""",
        "Try the function on a value that is not personal.",
    ),
    Mistake(
        "A strict guard did not know the function",
        "Functions given to `map` see plain values, so a strict guard requires that they are registered.",
        """careful = pg.Guard(tm.NOTICE, strict=True)

with careful.purpose(tm.RenewalGuidance) as use:
    use.open(account.email.map(lambda text: text.split("@")[0]))
""",
        "Give the function a name, and decorate it with `@careful.transform`.",
    ),
    Mistake(
        "More was reclassified than was declared",
        "The sum was declared for product data. Somebody zipped the addresses to it.",
        """@guard.reclassify(tm.ProductData, to=pg.NotPersonal, why="a sum over everybody names nobody")
def total(pairs: tuple[tuple[int, str], ...]) -> int:
    return sum(blocked for blocked, _ in pairs)


total(pg.Personal.collect([account.blocked.zip(account.email)]))
""",
        "Pass only what it needs; or declare the other source too, if that is true.",
    ),
    Mistake(
        "A figure was asked for over too few people",
        "This is no mistake: it depends on the data. The error does not state the number of subjects.",
        """totals = guard.reclassify(tm.ProductData, to=pg.NotPersonal, why="a mean over many", at_least=10)
totals.mean(pg.Personal.collect([account.blocked]), float, subject=hash)
""",
        "Catch the error, and answer that there is no such figure. A larger group has one.",
    ),
    Mistake(
        "A sealed field got invalid input",
        "The row comes from a form. The error is pydantic's, without the input.",
        'Account.model_validate({"number": 7, "email": "aiko at example.com", "blocked": 4711})\n',
        "The error states the place and the rule only, since errors end in logs. Look at the row where you may see it.",
    ),
    Mistake(
        "A model with sealed fields was dumped outside any purpose",
        "An endpoint returns the model, and no activity runs there.",
        "account.model_dump()\n",
        'Dump it inside an activity, or name a use (`context={"use": use}`). There `model_dump(mode="withhold")` '
        "leaves out what the purpose may not use. Of a plain `BaseModel` the error is pydantic's, and quotes this one.",
    ),
    Mistake(
        "A subject was named, and the guard has no governance",
        "An answer would look as if the restrictions of the subject had been checked.",
        "guard.check(tm.Registration, tm.RenewalGuidance, subject=7)\n",
        "Give the guard governance, `pg.Guard(tm.NOTICE, governance=Governance(…))`, or leave the subject out.",
    ),
    Mistake(
        "Somebody on the list had opted out",
        "A mark names the subject of each row, and one subject stopped this use.",
        """from purposeguard.governance import Governance


class Member(BaseModel):
    id: Annotated[int, pg.Subject]
    name: Annotated[str, tm.Registration]


with Governance("sqlite:///privacy.db", notice=tm.NOTICE) as governance:
    office = pg.Guard(tm.NOTICE, governance=governance)
    governance.restrict(8, tm.RenewalGuidance)

    @office.access
    def load_members() -> list[Member]:
        return [Member(id=7, name="Aiko"), Member(id=8, name="Aiko's brother")]

    with office.purpose(tm.RenewalGuidance, activity="renewal mail"):
        load_members()
""",
        "`@guard.access(narrow=True)` leaves such rows out.",
    ),
    Mistake(
        "Rows were to be left out, and no mark names their subjects",
        "The list should leave out subjects who opted out. Its model has no mark.",
        """@guard.access(narrow=True)
def load_customers() -> list[Customer]: ...
""",
        "Add the id to the model, and mark it: `id: Annotated[int, pg.Subject]`.",
    ),
    Mistake(
        "The store was not opened",
        "The guard is made when the module is imported. This script does not start the application, which opens the "
        "store.",
        """from purposeguard.governance import Governance

office = pg.Guard(tm.NOTICE, governance=Governance(None, notice=tm.NOTICE))
office.check(tm.Registration, tm.RenewalGuidance, subject=7)
""",
        "Open it with `governance.open(url)`, as the application does. Any other fault of the store raises the same "
        "error, which says what to do.",
    ),
    Mistake(
        "Data is older than the purpose",
        "A later revision lets product data serve guidance on renewals. The model is tagged with the class of the "
        "earlier one.",
        """tables = tm.NOTICE.dump() | {"revision": "2026-04-01"}
tables["grant"][0]["sources"] = ["1.1"]
renewed = pg.Guard(tm.NOTICE)
renewed.replace(pg.Notice.parse(tables))
renewed.check(tm.ProductData, tm.RenewalGuidance)
""",
        "Tag data that was collected since then with the class of the later revision, or mark the day of collection. "
        "Earlier data keeps the earlier promise.",
    ),
    Mistake(
        "A segment was built from telemetry",
        "The query returns addresses only, but product data selects them.",
        """from purposeguard.adapters.sql import Statements

tables = {
    "customer": {"id": pg.NotPersonal, "email": tm.Registration},
    "device": {"customer": pg.NotPersonal, "threats": tm.ProductData},
}
statements = Statements(guard, tables, dialect="postgres")

with guard.purpose(tm.ProductGuidance, activity="campaign"):
    statements.check("SELECT email FROM customer c JOIN device d ON d.customer = c.id WHERE d.threats > 10")
""",
        "Select by data that the purpose may use, or ask whether the purpose is the right one.",
    ),
    Mistake(
        "A table of mixed origin was read whole",
        "Each row names its source, and this purpose may not use some of them. The statement was checked, and not "
        "narrowed.",
        """from purposeguard.adapters.sql import Statements

contacts = Statements(guard, {"contact": {"origin": pg.RowSource, "email": pg.ByRow}}, dialect="postgres")

with guard.purpose(tm.ProductGuidance, activity="campaign"):
    contacts.check("SELECT email FROM contact")
""",
        "Run the text that `contacts.narrowed(…)` returns. Frames and Spark have `permitted`; guarded sessions of "
        "SQLAlchemy and connections to DuckDB narrow automatically.",
    ),
    Mistake(
        "Personal data was written into a column that does not say so",
        "A copy for the statistics, in a table that is tagged as not personal.",
        """from purposeguard.adapters.sql import Statements

tables = {
    "customer": {"id": pg.NotPersonal, "email": tm.Registration},
    "visitor": {"address": pg.NotPersonal},
}
statements = Statements(guard, tables, dialect="postgres")

with guard.purpose(tm.ProductImprovement, activity="statistics"):
    statements.check("INSERT INTO visitor (address) SELECT lower(email) FROM customer")
""",
        "Tag the column with its source, so that reads of it are checked. If the figure is no longer personal, "
        "have a [reclassifier](../how-to/reclassify.md) make it.",
    ),
    Mistake(
        "A statement uses a column without a tag",
        "A column was added to the table, without a tag.",
        """from purposeguard.adapters.sql import Statements

statements = Statements(guard, {"customer": {"id": pg.NotPersonal, "email": tm.Registration}}, dialect="postgres")

with guard.purpose(tm.RenewalGuidance, activity="renewal mail"):
    statements.check("SELECT email, nickname FROM customer")
""",
        "Tag each column of the table: a `SELECT *` uses all of them.",
    ),
)


def what_is_said(mistake: Mistake) -> str:
    """Makes the mistake and gives the last lines of the traceback, as Python prints them."""
    module = types.ModuleType(MODULE)
    before = sys.modules.get(MODULE)
    sys.modules[MODULE] = module
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            for code in (SETUP, mistake.code):
                exec(code, module.__dict__)  # noqa: S102  # the code is this file's own
    except Exception as error:
        return "".join(traceback.format_exception_only(error))
    finally:
        if before is None:
            del sys.modules[MODULE]
        else:
            sys.modules[MODULE] = before
    raise AssertionError(f"{mistake.title}: nothing was raised")


def _paragraph(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def page() -> str:
    """The text of the page."""
    parts = [HEAD, f"\n```python\n{SETUP}```\n"]
    for number, mistake in enumerate(MISTAKES, 1):
        parts.append(
            f"\n### {number}. {mistake.title}\n\n{_paragraph(mistake.story)}\n\n```python\n{mistake.code}```\n"
            f"```text\n{what_is_said(mistake)}```\n\n{_paragraph(mistake.remedy)}\n"
        )
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
