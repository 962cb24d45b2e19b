"""A smoke test under `python -O` and `-OO`: no refusal hangs on an `assert`. Ruff's S101 finds any in the package."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
from typing import Annotated

from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)


class Customer(BaseModel):
    name: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]


@guard.access
def load() -> Customer:
    return Customer(name="Aiko", device="d-1")


@guard.access(withhold=True)
def load_withheld() -> Customer:
    return load.__wrapped__()


def refused(error, function, *arguments, **named):
    try:
        function(*arguments, **named)
    except error:
        return
    raise SystemExit(f"{function} is not refused with {error}")


if __debug__:
    raise SystemExit("asserts are on")
sealed = pg.Personal("d-1", tm.ProductData)
refused(pg.PurposeViolation, guard.check, tm.ProductData, tm.RenewalGuidance)
refused(pg.ChannelViolation, guard.check, "2.1", "2.2③", channel="post")
refused(pg.UnlabelledData, guard.check, (), tm.RenewalGuidance)
refused(pg.UnknownPurpose, guard.check, tm.Contract, "nowhere")
refused(pg.NoticeError, pg.Notice.loads, "format = 1")
refused(pg.PurposeMissing, load)
refused(pg.SealedValue, bool, sealed)
with guard.purpose(tm.RenewalGuidance) as use:
    refused(pg.PurposeViolation, load)
    refused(pg.PurposeViolation, use.open, sealed)
    refused(pg.PurposeViolation, getattr, load_withheld(), "device")
    if load_withheld().name != "Aiko":
        raise SystemExit("what may be used is gone")
"""


@pytest.mark.parametrize("option", ["-O", "-OO"])
def test_refusals_hold_without_asserts(option: str) -> None:
    done = subprocess.run([sys.executable, option, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
