"""A story told over HTTP and on the command line. It prints requests and answers, and checks what happens."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rich.text import Text

from examples.screen import BAD, COLUMNS, GOOD, HANG, Said, Screen

if TYPE_CHECKING:  # the first lines are on the screen before anything of the server is imported
    from httpx2 import Client, Response


class Story:
    """A story that sends requests, prints answers, and checks them. All texts are in English and Japanese."""

    def __init__(self, client: Client, folder: Path, store: str, screen: Screen) -> None:
        """Start a story. `folder` has the shop's files for analysts; `store` is the URL of the governance store."""
        self._client = client
        self._folder = folder
        self._store = store
        self._screen = screen
        self._scene = 0
        self._shown = True
        self.unlike: list[str] = []
        """Claims of the story that were not true."""
        self.on_record: Counter[str] = Counter()
        """The entries that the ledger must have: denials by their error, and others by their kind."""

    @property
    def language(self) -> str:
        return self._screen.language

    def scene(self, number: int, title: Said, text: Said, *, shown: bool = True) -> None:
        """Begin a scene. With `shown=False`, it is played without output, because later scenes need its results."""
        self._scene = number
        self._shown = shown
        if shown:
            self._screen.blank()
            self._screen.head(number, *title)
            self.say(*text)

    def say(self, en: str, ja: str) -> None:
        if self._shown:
            self._screen.say(en, ja)

    def note(self, en: str, ja: str) -> None:
        if self._shown:
            self._screen.say(en, ja, "  ", style="dim")

    def show(self, text: str, mark: str = "|", style: str = "") -> None:
        """Print a text of several lines, wrapped to the columns beside the mark."""
        for blanks, line in _paragraphs(text):
            self._print(f"    {mark} {blanks}", Text(line, style), "dim", f"    {mark} {blanks}")

    def quote(self, code: str) -> None:
        """Print lines unchanged."""
        for line in code.splitlines():
            self._print("    ", line)

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
        """Send a request and return the answer, parsed if it is JSON. Print both unless `quiet`."""
        response = self._client.request(method, path, json=body, headers={"accept": accept})
        if not quiet:
            self.show_request(f"{method} {path}{' ' + _json(body) if body is not None else ''}")
            self._show_response(response)
        if response.status_code != status:
            unlike = f"{method} {path}: {response.status_code}"
            self.check(False, f"{unlike} instead of {status}", f"{unlike}（{status} のはず）")
        try:
            return response.json()
        except ValueError:
            return response.text

    def show_request(self, request: str) -> None:
        """Print a request."""
        self._print("  > ", request, "bold cyan")

    def sql(self, purpose: str, statement: str, *files: str, exits: int = 0) -> str:
        """Run `purposeguard sql` with a statement over files and return its output. Print both."""
        command = ["sql", "--notice", "trendmicro-jp", "--purpose", purpose, "--store", self._store, statement, *files]
        return self.run_command(command, {self._store: "$STORE", statement: f'"{statement}"'}, exits=exits)

    def make_folder(self, name: str) -> Path:
        """Make a folder that goes with the story."""
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def run_command(
        self,
        command: list[str],
        spelling: Mapping[str, str] = MappingProxyType({}),
        *,
        folder: Path | None = None,
        exits: int = 0,
    ) -> str:
        """Run a command of `purposeguard` and return its output. Print both.

        `spelling` says how arguments are printed. The command runs in `folder`, by default that of the story.
        """
        from typer.testing import CliRunner  # noqa: PLC0415  # few scenes need the command line

        from purposeguard.cli.commands import app  # noqa: PLC0415  # likewise

        shown = [spelling.get(argument, argument) for argument in command]
        self._print("  $ ", f"purposeguard {' '.join(shown)}", "bold cyan")
        # Run it in this process: a new one would need seconds for its imports.
        with contextlib.chdir(self._folder if folder is None else folder):
            done = CliRunner(env={"COLUMNS": str(COLUMNS), "NO_COLOR": "1"}).invoke(app, command)
        for line in done.stdout.splitlines():
            self._print("    | ", line, "dim", hang=0)
        self.show(done.stderr)
        if done.exit_code != exits:
            self.check(
                False, f"exit code {done.exit_code}, not {exits}", f"終了コード {done.exit_code}（{exits} のはず）"
            )
        return done.stdout + done.stderr

    def _show_response(self, response: Response) -> None:
        """Print an answer: its status, and its content or the problem in it."""
        kind = response.headers.get("content-type", "")
        body = ""
        if kind == "application/problem+json":
            problem = response.json()
            shown, body = problem["title"], problem["detail"]
        elif kind == "application/json":
            shown = _json(response.json())
        else:
            shown, body = kind.partition(";")[0], response.text
        status = (f"{response.status_code} ", GOOD if response.is_success else BAD)
        self._print("  < ", Text.assemble(status, shown if response.is_success else (shown, BAD)))
        self.show(body)

    def check(self, holds: bool, en: str, ja: str) -> None:
        """Check a claim of the story."""
        saying = self._screen.words(en, ja)
        if holds:
            if self._shown:
                self._screen.say(en, ja, "  ✓ ", GOOD)
            return
        self.unlike.append(f"{self._scene}: {saying}")
        self._shown = True
        self._print(f"  ✗ {self._screen.words('NOT AS TOLD', '説明と違う')}: ", saying, BAD)

    def _print(
        self, lead: str, text: str | Text, lead_style: str = "", later: str | None = None, hang: int = HANG
    ) -> None:
        if self._shown:
            self._screen.line(lead, text, lead_style, later, hang)


def _paragraphs(text: str) -> list[tuple[str, str]]:
    """Return the paragraphs of a message as (indentation, text).

    More deeply indented lines continue the paragraph above them.
    """
    paragraphs: list[tuple[str, str]] = []
    for line in text.splitlines():
        rest = line.lstrip()
        blanks = line.removesuffix(rest)
        if paragraphs and len(blanks) >= len(paragraphs[-1][0]) + HANG:
            first_blanks, text_so_far = paragraphs[-1]
            paragraphs[-1] = (first_blanks, f"{text_so_far} {rest}")
        else:
            paragraphs.append((blanks, rest))
    return paragraphs


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
