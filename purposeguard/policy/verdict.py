"""The verdict: the answer to one question, with all that it was decided by. Explanations are made from it later."""

from __future__ import annotations

from typing import NamedTuple

from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import Family, Purpose
from purposeguard.policy.context import NONE_KNOWN, Context
from purposeguard.policy.table import PolicyTable


class Verdict(NamedTuple):
    """The answer of `PolicySnapshot.decide`: whether data of a label may serve a purpose in a context.

    `closed`: the purpose names its channels, and the activity that asks states none of them, so it may use nothing
    (rule 7).
    """

    allowed: bool
    matrix: PolicyTable
    label: Label
    purpose: type[Purpose] | Family
    channel: str | None = None
    context: Context = NONE_KNOWN
    closed: bool = False
