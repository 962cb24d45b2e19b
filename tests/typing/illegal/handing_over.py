"""Wrong hand-overs: an error on each line that is marked so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated

import purposeguard as pg
from purposeguard.policy.transfers import Recipient, Safeguard
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)


@dataclass
class Customer:
    id: Annotated[int, pg.Subject]
    address: Annotated[str, tm.Registration]


# Recipients and their safeguards.

contract = Safeguard("contract", "2026-117", since=date(2024, 4, 1))
printer = Recipient("printer", "domestic-contractor", "JP", safeguards=[contract], means="email")

Safeguard("contract")  # error
Safeguard("contract", "2026-117")  # error
Safeguard("contract", 117, since=date(2024, 4, 1))  # error
Safeguard("contract", "2026-117", since="2024-04-01")  # error
Safeguard("contract", "2026-117", since=date(2024, 4, 1), until="2027")  # error
Recipient("printer")  # error
Recipient("printer", "domestic-contractor")  # error
Recipient(7, "domestic-contractor", "JP")  # error
Recipient("printer", "domestic-contractor", "JP", "Printer")  # error
Recipient("printer", "domestic-contractor", "JP", safeguards=contract)  # error
Recipient("printer", "domestic-contractor", "JP", safeguards=["contract"])  # error
Recipient("printer", "domestic-contractor", "JP", supervised_on="2024-05-01")  # error
Recipient("printer", "domestic-contractor", "JP", own_subsidiary="yes")  # error
Recipient("printer", "domestic-contractor", "JP", products=7)  # error
printer.country = "CN"  # error
contract.until = None  # error

# What is asked.

guard.check_recipient(tm.Registration, tm.RenewalGuidance)  # error
guard.check_recipient(tm.Registration, tm.RenewalGuidance, 7)  # error
guard.check_recipient(5, tm.RenewalGuidance, printer)  # error
guard.check_recipient(tm.Registration, tm.RenewalGuidance, printer, "email")  # error
guard.check_recipient(tm.Registration, tm.RenewalGuidance, printer, means=7)  # error
guard.check_recipient(tm.Registration, tm.RenewalGuidance, printer, product=7)  # error
guard.check_recipient(tm.Registration, tm.RenewalGuidance, printer, tasks="operation")  # error

# What is declared.

guard.entrust()  # error
guard.entrust(7)  # error
guard.entrust(printer, tm.RenewalGuidance)  # error
guard.entrust(printer, 5)  # error
guard.entrust(printer, means=7)  # error
guard.entrust(printer, task=7)  # error
guard.entrust(printer)(5)  # error


# Decorated functions keep their signatures.


@guard.entrust(printer)
def letters(customers: list[Customer], *, copies: int = 1) -> int:
    return len(customers) * copies


@guard.entrust(printer, means="email")
async def disk(customer: Customer) -> str:
    return customer.address


letters()  # error
letters(7)  # error
letters([], 2)  # error
letters([], copies="2")  # error
text: str = letters([])  # error


async def asked(customer: Customer) -> None:
    number: int = await disk(customer)  # error
    later: str = disk(customer)  # error
    print(number, later)
