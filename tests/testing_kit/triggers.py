"""Whether a violation takes place: `python -m tests.testing_kit.triggers SERVICE MUTANT one|other`.

A violation takes place if two states of the database, which differ only in what a purpose may not use, differ in what
comes of a request. This prints what comes of it in one of the states.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import logging
import os
import random
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from unittest import mock

from tests.testing_kit.mutants import Mutant, read_mutants

_NOW: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.\d+")
"""A time of the clock, which differs in any two runs. States have full seconds."""


def observe(make_scene: Callable[[], Any], mutant: Mutant, state: str) -> str:
    """Run the story and the route of a mutant, and return responses, statements, messages, logs and files."""
    lines: list[str] = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    numbers = itertools.count()

    def draw(size: int) -> bytes:
        return random.Random(next(numbers)).randbytes(size)

    with contextlib.ExitStack() as stack:
        # The random values and the time of both states are equal.
        for name, function in (("os.urandom", draw), ("random._urandom", draw), ("time.time", lambda: 1.9e9)):
            stack.enter_context(mock.patch(name, function))
        scene = stack.enter_context(make_scene())
        logging.getLogger().addHandler(handler)  # The service may have configured the others.
        logging.getLogger().setLevel(logging.INFO)
        stack.enter_context(contextlib.chdir(stack.enter_context(tempfile.TemporaryDirectory())))
        scene.fill(getattr(mutant, state))
        if mutant.opt_out:
            scene.opt_out(mutant.opt_out)
        for route in mutant.story:
            scene.send(route)
        lines.clear()
        lines.append(scene.send(mutant.route))
        lines += [f"{path.name}: {path.read_text('utf-8')}" for path in sorted(Path().iterdir())]
    return _NOW.sub("now", "\n".join(lines))


def main(arguments: Sequence[str]) -> None:
    """Print what comes of a mutant in a state."""
    service, name, state = arguments
    module = importlib.import_module(f"tests.testing_kit.services.{service}.service")
    (mutant,) = (mutant for mutant in read_mutants(service) if mutant.name == name)
    sys.stdout.write(observe(module.Scene, mutant, state))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
