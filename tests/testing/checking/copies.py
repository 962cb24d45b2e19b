"""Copies of the services `letters` and `bulletins`, with a few lines changed."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_NUMBERS: Final = itertools.count()


def load_copy(*changes: tuple[str, str], service: str = "letters") -> ModuleType:
    """Return a copy of the service in which each text is replaced by another one."""
    source = Path(__file__).with_name(f"{service}.py").read_text("utf-8")
    for before, after in changes:
        if source.count(before) != 1:
            raise ValueError(f"{before!r} is there {source.count(before)} times")
        source = source.replace(before, after)
    module = ModuleType(f"{service}_{next(_NUMBERS)}")
    module.__file__ = f"/nowhere/{module.__name__}/__init__.py"
    sys.modules[module.__name__] = module
    exec(compile(source, module.__file__, "exec"), vars(module))  # noqa: S102  # It is a copy of the module above.
    return module


def make_filling(service: Any) -> Callable[..., None]:
    """Return the arrangement of a copy."""

    def fill(customers: Any) -> None:
        service.customers.update({customer.id: customer for customer in customers})

    fill.__annotations__["customers"] = list[service.Customer]
    return fill
