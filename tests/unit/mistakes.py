"""Typical mistakes: what somebody writes, or types, who uses the library for the first time.

Those of a notice are edits of `NOTICE`, those of a program stand below `PROGRAM`; docs/reference/errors.md has more.
"""

from __future__ import annotations

from typing import Final

NOTICE: Final = """\
format = 1
id = "club"
revision = 2026-01-01
timezone = "Asia/Tokyo"
controller = { en = "The club", ja = "クラブ" }
title = { en = "Notice of the club", ja = "クラブの通知" }

[[channel]]
id = "email"
title = { en = "E-mail", ja = "電子メール" }

[[source]]
id = "1"
class = "Registration"
title = { en = "What members enter", ja = "登録情報" }

[[source]]
id = "2"
class = "Visits"
title = { en = "Visits to the site", ja = "閲覧情報" }

[[grant]]
clause = "3"
sources = ["1"]
title = { en = "Membership", ja = "会員" }

[[grant.purpose]]
id = "3①"
class = "Administration"
title = { en = "Administration of members", ja = "会員管理" }

[[grant.purpose]]
id = "3②"
class = "Newsletter"
title = { en = "Newsletter", ja = "会報" }
basis = "consent"
channels = { closed = ["email"] }

[[grant]]
clause = "4"
sources = ["2"]
title = { en = "Site", ja = "サイト" }

[[grant.purpose]]
id = "4①"
class = "Statistics"
title = { en = "Statistics of the site", ja = "統計" }

[rights]
clause = "5"
requesters = ["subject"]

[[rights.request]]
id = "stop"
title = { en = "Stop of use", ja = "利用停止" }
effect = "stops-use"
"""

EDITS: Final[dict[str, tuple[str, str]]] = {
    "one bracket for a row of many": ("[[source]]", "[source]"),
    "one bracket for the only row": ("[[channel]]", "[channel]"),
    "a header without its end": ('[[grant]]\nclause = "4"', '[[grant]\nclause = "4"'),
    "closed and open together": ('closed = ["email"]', 'closed = ["email"], open = ["email"]'),
    "channels as a list": ('{ closed = ["email"] }', '["email"]'),
    "a title that is a text": ('title = { en = "Newsletter", ja = "会報" }', 'title = "Newsletter"'),
    "a title that is missing": ('title = { en = "Newsletter", ja = "会報" }\n', ""),
    "a title that is empty": ('en = "Newsletter"', 'en = ""'),
    "a title over two lines": ('en = "Newsletter"', 'en = "News\\nletter"'),
    "a channel in Japanese": ('id = "email"', 'id = "電子メール"'),
    "a channel with a capital": ('id = "email"', 'id = "E-Mail"'),
    "a channel that is not declared": ('closed = ["email"]', 'closed = ["phone"]'),
    "a table that is missing": (NOTICE[NOTICE.index("[[grant]]") : NOTICE.index("[rights]")], ""),
    "a misspelt key": ('sources = ["1"]', 'source = ["1"]'),
    "a misspelt table": ("[[grant.purpose]]", "[[grant.purposes]]"),
    "a purpose outside its grant": ('[[grant.purpose]]\nid = "4①"', '[[purpose]]\nid = "4①"'),
    "a key of another table": ('class = "Visits"', 'class = "Visits"\nbasis = "consent"'),
    "a text where a list is meant": ('sources = ["1"]', 'sources = "1"'),
    "an empty list": ('sources = ["1"]', "sources = []"),
    "a source that is not there": ('sources = ["1"]', 'sources = ["7"]'),
    "a source that is misspelt": ('sources = ["1"]', 'sources = ["Registratoin"]'),
    "a number for an id": ('id = "1"', "id = 1"),
    "an id twice": ('id = "2"', 'id = "1"'),
    "a class with a blank": ('class = "Visits"', 'class = "Site visits"'),
    "a class in Japanese": ('class = "Visits"', 'class = "閲覧"'),
    "a basis that law does not know": ('basis = "consent"', 'basis = "consented"'),
    "a date with slashes": ("revision = 2026-01-01", 'revision = "2026/1/1"'),
    "a time zone by its letters": ('"Asia/Tokyo"', '"JST"'),
    "the format as a text": ("format = 1", 'format = "1"'),
    "the format of later": ("format = 1", "format = 2"),
    "a family of one": (
        "[rights]",
        '[[family]]\nclass = "AnyMail"\ntitle = { en = "Mail", ja = "郵便" }\npurposes = ["3②"]\n\n[rights]',
    ),
    "days with their unit": (
        "[rights]",
        (
            '[retention]\nclause = "6"\nstarts = "end-of-use"\nbases = ["law"]\nafter = "law-only"\n\n'
            '[[retention.period]]\nsource = "1"\ndays = "30 days"\n\n[rights]'
        ),
    ),
    "an overlay that widens": (
        "[rights]",
        (
            '[[overlay]]\nid = "2a"\nclass = "AppVisits"\nsource = "2"\nproduct = "app"\nitem = "pages"\n'
            'serves = ["3①"]\n'
            'title = { en = "Pages of the app", ja = "アプリ" }\n\n[rights]'
        ),
    ),
    "a text without quotes": ('class = "Visits"', "class = Visits"),
    "a colon for the equals sign": ('class = "Visits"', 'class: "Visits"'),
    "curly quotes": ('class = "Visits"', "class = “Visits”"),
    "a full-width equals sign": ('class = "Visits"', 'class ＝ "Visits"'),
    "a full-width blank": ('class = "Visits"', 'class = "Visits"\N{IDEOGRAPHIC SPACE}'),
    "a key in Japanese": ('class = "Visits"', 'クラス = "Visits"'),
    "no comma in a list": ('requesters = ["subject"]', 'requesters = ["subject" "agent"]'),
    "no comma in braces": ('{ en = "Newsletter", ja', '{ en = "Newsletter" ja'),
    "a quote that is missing": ('class = "Visits"', 'class = "Visits'),
    "a quote in a text": ('en = "Newsletter"', 'en = "The "News""'),
    "a backslash": ('en = "Newsletter"', 'en = "News\\letter"'),
    "a key twice": ('class = "Visits"', 'class = "Visits"\nclass = "Views"'),
    "True of Python": ('class = "Visits"', 'class = "Visits"\nautomatic = True'),
    "warning: a source that is granted nowhere": ('sources = ["2"]', 'sources = ["1"]'),
    "warning: everything is allowed": (
        NOTICE[NOTICE.index("[[grant]]") :],
        (
            '[[grant]]\nclause = "3"\nsources = ["1", "2"]\ntitle = { en = "All", ja = "全部" }\n\n'
            '[[grant.purpose]]\nid = "3①"\nclass = "Administration"\ntitle = { en = "Members", ja = "会員管理" }\n\n'
            '[[grant.purpose]]\nid = "3②"\nclass = "Statistics"\ntitle = { en = "Statistics", ja = "統計" }\n'
        ),
    ),
    "warning: a purpose that nobody can serve": (
        "[rights]",
        '[[forbid]]\nsources = ["2"]\npurposes = ["4①"]\nreason = { en = "No longer", ja = "終了" }\n\n[rights]',
    ),
    "warning: a title twice": ('en = "Statistics of the site"', 'en = "Newsletter"'),
    "warning: consent that cannot be taken back": (NOTICE[NOTICE.index("[rights]") :], ""),
}
"""What is wrong → what of `NOTICE` becomes what."""

FILES: Final[dict[str, bytes]] = {
    "an empty file": b"",
    "JSON": b'{"format": 1}\n',
    "another encoding": NOTICE.encode("shift_jis", "replace"),
    "a conflict of git": b"<<<<<<< HEAD\n" + NOTICE.encode(),
}

PROGRAM: Final = """\
from typing import Annotated

from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)
club = pg.Notice.load("notice.toml")
members = pg.Guard(club)
email = pg.Personal("aiko@example.com", tm.Registration)
device = pg.Personal("laptop", tm.ProductData)


class Customer(BaseModel):
    name: Annotated[str, tm.Registration]
    last_scan: Annotated[str, tm.ProductData]


@guard.access
def load_customer(key: int) -> Customer:
    return Customer(name="Aiko", last_scan="2026-05-02")


"""

PROGRAMS: Final = {
    "`with` is forgotten, and nothing is taken": """\
def remind(key):
    guard.purpose(tm.RenewalGuidance)
    return load_customer(key)

remind(7)
""",
    "a value is opened by the guard": "guard.open(email)\n",
    "`.with_use` of a method": """\
class Mailer:
    @guard.purpose(tm.RenewalGuidance).with_use
    def remind(self, use, address): ...
""",
    "a decorator without its purpose": """\
@guard.purpose
def remind(key): ...
""",
    "a decorator with empty brackets": """\
@guard.purpose()
def remind(key): ...
""",
    "two purposes": "guard.purpose(tm.RenewalGuidance, tm.ProductGuidance)\n",
    "a list of purposes": "guard.purpose([tm.RenewalGuidance, tm.ProductGuidance])\n",
    "decorators in the wrong order": """\
@guard.access
@guard.purpose(tm.RenewalGuidance)
def load(key) -> Customer: ...
""",
    "`guard.cached` below": """\
@guard.access
@guard.cached()
def load(key) -> Customer: ...
""",
    "a decorated property": """\
class Shop:
    @guard.access(tm.Registration)
    @property
    def owner(self): ...
""",
    "a decorated class": """\
@guard.purpose(tm.RenewalGuidance)
class Mailer: ...
""",
    "a tag that is a text": """\
class Person(BaseModel):
    name: Annotated[str, "1.1(a)"]

@guard.access
def load(key) -> Person: ...
""",
    "a source for a purpose": "guard.purpose(tm.Registration)\n",
    "a purpose for a source": """\
@guard.access(tm.RenewalGuidance)
def load(key): ...
""",
    "source and purpose the wrong way round": "guard.check(tm.RenewalGuidance, tm.Registration)\n",
    "a class of another notice": 'guard.check(club.source("Visits"), tm.RenewalGuidance)\n',
    "a class of another copy": """\
again = pg.Notice.parse(tm.NOTICE.dump())
guard.check(again.source("Registration"), tm.RenewalGuidance)
""",
    "a channel by its Japanese title": 'guard.purpose(tm.WebSecurityMail, channel="電話")\n',
    "a source with brackets": "pg.Personal(7, tm.Registration())\n",
    "a value that is sealed under an id": 'pg.Personal("aiko@example.com", "1.1(a)")\n',
    "a plain value is opened": """\
with guard.purpose(tm.RenewalGuidance) as use:
    use.open("aiko@example.com")
""",
    "a list is opened": """\
with guard.purpose(tm.RenewalGuidance) as use:
    use.open([email])
""",
    "a use after its block": """\
with guard.purpose(tm.RenewalGuidance) as use: ...
use.open(email)
""",
    "consent without a subject": """\
address = pg.Personal("aiko@example.com", club.source("Registration"))
with members.purpose("newsletter", channel="email") as use:
    use.open(address)
""",
    "consent without a subject, with governance": """\
governed = pg.Guard(club, governance=governance)
address = pg.Personal("aiko@example.com", club.source("Registration"))
with governed.purpose("newsletter", channel="email") as use:
    use.open(address)
""",
    "consent that was not given": """\
governed = pg.Guard(club, governance=governance)
address = pg.Personal("aiko@example.com", club.source("Registration"))
with governed.purpose("newsletter", channel="email") as use:
    use.open(address, subject="7")
""",
    "a subject without governance": """\
with guard.purpose(tm.RenewalGuidance) as use:
    use.open(email, subject=7)
""",
    "what a function gives is carried": """\
@guard.purpose(tm.ProductGuidance)
def remind(key):
    return guard.carry(str(key))

remind(7)
""",
    "a path for a notice": 'pg.Guard("notice.toml")\n',
    "the module for its notice": "pg.Guard(tm)\n",
    "a path for a text": 'pg.Notice.loads("notice.toml")\n',
    "a text for a path": 'pg.Notice.load("format = 1\\n")\n',
    "a path that is not there": 'pg.Notice.load("privacy.toml")\n',
    "a bundled notice that is not there": 'pg.Notice.bundled("trend-micro")\n',
    "a mode that is not there": 'pg.Guard(tm.NOTICE, mode="warn")\n',
}

COMMANDS: Final = (
    "requests nofile.db",
    "requests sqlite:///nofile.db",
    "validate nofile.toml",
    "validate trend-micro",
    "explain registration renewal --notice trendmicro-jp",
    "explain registration renewal-guidance --channel 電話 --notice trendmicro-jp",
    "ledger verify nofile.jsonl",
    "inventory shop",
)
