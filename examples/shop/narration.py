"""Telling a story, over HTTP and on the command line: what was asked, what came back, and whether it is as told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from httpx2 import Client, Response

COLUMNS = 100
HANG = 4
"""How much further than a line its continuation is set in, here as in purposeguard's messages."""


class Story:
    """Asks, prints and checks. `unlike` holds what did not happen as told."""

    def __init__(self, client: Client, folder: Path, store: str, write: Callable[[str], object] = print) -> None:
        """`folder` has the shop's files for analysts; `store` is the URL of what governance remembers."""
        self._client = client
        self._folder = folder
        self._store = store
        self._write = write
        self._scenes = 0
        self.unlike: list[str] = []

    def scene(self, title: str, text: str) -> None:
        self._scenes += 1
        head = f"{self._scenes}. {title}"
        self._write(f"\n{head}\n{'-' * len(head)}")
        self.say(text)

    def say(self, text: str) -> None:
        self._print("", " ".join(text.split()), hang=0)

    def note(self, text: str) -> None:
        self._print("  ", text)

    def show(self, text: str, mark: str = "|") -> None:
        """Prints a text of several lines, filled anew for the columns that are left beside the mark."""
        for blanks, line in _paragraphs(text):
            self._print(f"    {mark} ", line, blanks)

    def quote(self, code: str) -> None:
        """Prints lines as they are."""
        for line in code.splitlines():
            self._write(f"    {line}")

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        status: int = 200,
        quiet: bool = False,
        accept: str = "application/json",
    ) -> Any:
        """What the server answers, parsed where it is JSON; prints both unless `quiet`."""
        response = self._client.request(method, path, json=body, headers={"accept": accept})
        if not quiet:
            self._print("  > ", f"{method} {path}{' ' + _json(body) if body is not None else ''}")
            self._answered(response)
        if response.status_code != status:
            self.check(False, f"{method} {path} is answered with {status}, not with {response.status_code}")
        try:
            return response.json()
        except ValueError:
            return response.text

    def sql(self, purpose: str, statement: str, *files: str, exits: int = 0) -> str:
        """What `purposeguard sql` says of a statement over files; prints both."""
        self._print("  $ ", f'purposeguard sql --purpose {purpose} --store $STORE "{statement}" {" ".join(files)}')
        command = ["sql", "--purpose", purpose, "--store", self._store, statement, *files]
        done = subprocess.run(  # noqa: S603  # ourselves
            [sys.executable, "-m", "purposeguard.cli", *command],
            cwd=self._folder,
            env={**os.environ, "COLUMNS": str(COLUMNS), "PYTHONUTF8": "1"},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        for line in done.stdout.splitlines():
            self._write(f"    | {line}".rstrip())
        self.show(done.stderr)
        if done.returncode != exits:
            self.check(False, f"the command exits with {exits}, not with {done.returncode}")
        return done.stdout + done.stderr

    def _answered(self, response: Response) -> None:
        kind = response.headers.get("content-type", "")
        if kind == "application/problem+json":
            problem = response.json()
            self._print("  < ", f"{response.status_code} {problem['title']}")
            self.show(problem["detail"])
        elif kind == "application/json":
            self._print("  < ", f"{response.status_code} {_json(response.json())}")
        else:
            self._print("  < ", f"{response.status_code} {kind.partition(';')[0]}")
            self.show(response.text)

    def check(self, holds: bool, saying: str) -> None:
        """Something that the story says."""
        if not holds:
            self.unlike.append(f"scene {self._scenes}: {saying}")
        self._print("  = " if holds else "  NOT AS TOLD: ", saying)

    def _print(self, lead: str, text: str, blanks: str = "", hang: int = HANG) -> None:
        later = lead if "|" in lead or "!" in lead else " " * len(lead)
        self._write(
            textwrap.fill(
                text,
                COLUMNS,
                initial_indent=lead + blanks,
                subsequent_indent=later + blanks + " " * hang,
                break_long_words=False,
                break_on_hyphens=False,
            )
        )


def _paragraphs(text: str) -> list[tuple[str, str]]:
    """The lines of a message as (indentation, text), each with the lines that continue it: those set in further."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        rest = line.lstrip()
        blanks = line.removesuffix(rest)
        if found and len(blanks) >= len(found[-1][0]) + HANG:
            found[-1] = (found[-1][0], f"{found[-1][1]} {rest}")
        else:
            found.append((blanks, rest))
    return found


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
