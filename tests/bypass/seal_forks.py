"""A function run in a forked child, without any of what is running in the parent."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any


def in_a_fork(ask: Callable[[], Any], fork: Callable[[], int] = os.fork) -> str:
    """What it gives in the child, or the name of its error."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # That forking is unsafe where threads run: the child asks one question and is gone.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = fork()
    if child == 0:
        answer = "nothing"
        try:
            answer = str(ask())
        except BaseException as error:
            answer = type(error).__name__
        finally:
            os.write(writing, answer.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as given:
        os.waitpid(child, 0)
        return given.read()
