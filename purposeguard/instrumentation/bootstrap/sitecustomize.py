"""Starts observation in each Python process below `purposeguard adopt run`, which puts this folder on PYTHONPATH.

Python imports one `sitecustomize` at its start. If the environment has another one, it is imported as well.
"""

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def run_next_sitecustomize() -> None:
    """Import the `sitecustomize` that Python would have imported without this one, if there is any."""
    elsewhere = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        try:
            spec.loader.exec_module(module)
        except ImportError as error:
            if error.name != "sitecustomize":  # It may look for a further one, and Python ignores that there is none.
                raise


if "PURPOSEGUARD_OBSERVE" in os.environ:
    try:
        from purposeguard.instrumentation.startup import start_from_environment
    except ModuleNotFoundError as error:  # This interpreter has other packages than the one that runs the command.
        sys.stderr.write(f"purposeguard: this process is not observed: {error}\n")
    else:
        start_from_environment()
run_next_sitecustomize()
