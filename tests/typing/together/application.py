"""An application over the generated modules of two notices, which lie beside it: errors on the marked lines alone.

What is in a function called `allowed_…` runs; what is in one called `refused_…` is refused there too.
"""

from __future__ import annotations

from typing import TypeAlias, assert_type

import purposeguard as pg
from purposeguard import Personal, Use

from . import eu_notice as eu  # noqa: TID252  # the ones beside it, which the tests make
from . import jp_notice as jp  # noqa: TID252  # likewise

Renewal: TypeAlias = jp.Renewal | eu.Renewal

guard = pg.Guard(pg.Notices(jp.NOTICE, eu.NOTICE, families={"AnyRenewal": jp.Renewal | eu.Renewal}))


def text() -> str:
    return "mail@example.org"


home = Personal(text(), jp.Account)
abroad = Personal(text(), eu.Account)
usage = Personal(text(), jp.Usage)
usage_abroad = Personal(text(), eu.Usage)
both = home.zip(abroad)
assert_type(both, Personal[tuple[str, str], jp.Account | eu.Account])


def remind(use: Use[Renewal], to: Personal[str, Renewal]) -> str:
    return use.open(to)


def allowed_to_remind_everybody() -> None:
    with guard.purpose(jp.Renewal | eu.Renewal, channel="email") as use:
        remind(use, home)
        remind(use, abroad)
        remind(use, usage_abroad)
        use.open(both)
        use.open(home.zip(usage_abroad))


def allowed_to_serve_at_home() -> None:
    with guard.purpose(jp.Service) as use:
        use.open(home)
        use.open(usage)


def allowed_to_remind_abroad() -> None:
    with guard.purpose(eu.Renewal) as use:
        use.open(abroad.zip(usage_abroad))


def refused_usage_at_home() -> None:
    with guard.purpose(jp.Renewal | eu.Renewal, channel="email") as use:
        use.open(usage)  # error


def refused_usage_with_what_is_allowed() -> None:
    with guard.purpose(jp.Renewal | eu.Renewal, channel="email") as use:
        use.open(abroad.zip(usage))  # error


def refused_usage_by_a_function() -> None:
    with guard.purpose(jp.Renewal | eu.Renewal, channel="email") as use:
        remind(use, usage)  # error


def refused_data_of_the_other_notice() -> None:
    with guard.purpose(jp.Renewal, channel="email") as use:
        use.open(abroad)  # error


def refused_data_of_both_under_one() -> None:
    with guard.purpose(eu.Renewal) as use:
        use.open(both)  # error


def refused_the_purpose_of_the_same_name() -> None:
    with guard.purpose(eu.Service) as use:
        use.open(home)  # error


def refused_under_an_assigned_type() -> None:
    claimed: Personal[str, eu.Renewal] = home  # error
    with guard.purpose(eu.Renewal) as use:
        use.open(claimed)
