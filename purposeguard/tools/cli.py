"""The entry point `purposeguard`: says what to install where the command line's own libraries are missing."""

import io
import sys

EXTRA = ("typer", "rich")
MISSING = "purposeguard: the command line needs {name}, which is not installed: pip install 'purposeguard[cli]'"


def main() -> None:
    """Runs the command line and exits with its code; 2 where its libraries are missing."""
    for stream in (sys.stdout, sys.stderr):
        # An encoding without ① or Japanese (a pipe under Windows, LANG=C) shows an escape instead of failing.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        from purposeguard.tools.commands import app  # noqa: PLC0415  # it imports what may not be installed
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in EXTRA:
            raise
        print(MISSING.format(name=name), file=sys.stderr)
        sys.exit(2)
    app(prog_name="purposeguard")
