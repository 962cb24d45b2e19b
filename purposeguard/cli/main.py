"""The entry point `purposeguard`: says what to install where the command line's own libraries are missing."""

import io
import os
import sys

EXTRA = ("typer", "rich")
UNPRINTED = "error: the output cannot be printed: {why}"
MISSING = "purposeguard: the command line needs {name}, which is not installed: pip install 'purposeguard[cli]'"


def main() -> None:
    """Run the command line and exit with its code, or 2 if its libraries are missing or nothing can be printed."""
    for stream in (sys.stdout, sys.stderr):
        # An encoding without ① or Japanese (a pipe under Windows, LANG=C) shows an escape instead of failing.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        from purposeguard.cli.commands import app  # noqa: PLC0415  # it imports what may not be installed
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in EXTRA:
            raise
        print(MISSING.format(name=name), file=sys.stderr)
        sys.exit(2)
    try:
        try:
            app(prog_name="purposeguard")
        finally:
            sys.stdout.flush()
    except OSError as error:  # standard output goes to a disk that is full, say; a reader that went away is no error
        print(UNPRINTED.format(why=error.strerror or error), file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # where the rest goes, which would fail again at the end
        sys.exit(2)
