"""Runs the code blocks of a document as a reader would, in order, in one temporary folder.

What a block is for is said by its language, and by its first line:

- `python` is executed, all blocks of a document in one module. What it prints, or the error it ends in, must stand in
  the `text` block behind it, word for word.
- `python` or `toml` that begins with `# name.py` or `# name.toml` is a file, and is saved; `# name.py, continued` goes
  on with it, `# name.py, corrected` puts a better last part in the place of the one before.
- `toml` without a name is a whole notice, which must load, or some tables of one, which must be what their models ask.
- `console` is typed into a terminal: `$ command`, then what it prints, where a line `...` stands for any lines.
  `$ echo $?` shows the exit code.
- `sh` sets up what the tests have already, and is not run, unless the page is read in an environment of its own.

`python -m tests.docs.running PAGE…` writes what is printed now into the pages, to be read before it is committed; with
`--check` before the pages it only looks whether it is the same.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
import traceback
import types
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from sybil import Example
from sybil.document import Document
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

import purposeguard as pg
from purposeguard.notice.schema import Document as NoticeDocument

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".mypy_cache" / "pages"
UNICODE = ROOT / ".hypothesis" / "unicode_data"
MODULE = "shop"
"""What messages call the module that the blocks of a document are executed in."""

_PLUGIN = () if entry_points(group="pytest11", name="purposeguard") else ("-p", "_purposeguard_pytest")
"""Where the package is only on the path, pytest does not find its plugin by itself."""

PROGRAMS = {
    "python": [sys.executable],
    "mypy": [sys.executable, "-m", "mypy"],
    "pytest": [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *_PLUGIN],
    "purposeguard": [sys.executable, "-c", "from purposeguard.cli.main import main; main()"],
}
"""The commands that a console block may hold, whatever the PATH says."""


def documents() -> list[Path]:
    """All pages for readers."""
    return [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


class Reader:
    """Goes through one document; with `mend`, notes what it prints now instead of refusing what it printed once.

    With `constraints`, a file of versions, it does as somebody who has nothing but Python: `sh` blocks make the
    environment in which the commands behind them run. `package` is what they install in place of the checkout.
    """

    def __init__(
        self, folder: Path, *, mend: bool = False, constraints: Path | None = None, package: Path | None = None
    ) -> None:
        self.folder = folder
        self._constraints = constraints
        self._package = package
        self.mended: list[tuple[Example, str]] = []
        self._mend = mend
        self._printed = io.StringIO()
        self._error: BaseException | None = None
        if UNICODE.is_dir():  # hypothesis takes seconds to work it out anew in each folder
            place = folder / ".hypothesis" / UNICODE.name
            place.parent.mkdir(exist_ok=True)
            if not place.exists():
                place.symlink_to(UNICODE)
        self._before: dict[Path, str] = {}
        self._code = 0

    def read(self, path: Path) -> int:
        """Runs the blocks of the document at `path`; says how many there were.

        Raises:
            AssertionError: a block did not do what the document says.
        """
        evaluators: dict[str, Callable[[Example], str | None]] = {
            "python": self._python,
            "toml": self._toml,
            "console": self._console,
            "text": self._text,
        }
        if self._constraints is not None:
            evaluators["sh"] = self._sh
        parsers = [CodeBlockParser(language, evaluator) for language, evaluator in evaluators.items()]
        document = Document.parse(str(path), *parsers)
        with self._module() as module:
            document.namespace = module.__dict__
            for example in document.examples():
                example.evaluate()
            self._settle("the end of the document")
        return len(document.regions)

    @contextlib.contextmanager
    def _module(self) -> Iterator[types.ModuleType]:
        """The module of the document; what it imports from the folder is forgotten afterwards."""
        before = set(sys.modules)
        module = sys.modules[MODULE] = types.ModuleType(MODULE)
        sys.path.insert(0, str(self.folder))
        importlib.invalidate_caches()
        try:
            with contextlib.chdir(self.folder):
                yield module
        finally:
            sys.path.remove(str(self.folder))
            for name in set(sys.modules) - before:
                if str(self.folder) in str(getattr(sys.modules[name], "__file__", "")) or name == MODULE:
                    del sys.modules[name]

    def _settle(self, where: str) -> None:
        """What came out must have been shown by now."""
        if self._error is not None:
            raise self._error
        left = self._printed.getvalue()
        if left:
            raise AssertionError(f"printed, but not shown before {where}:\n{left}")

    def _place(self, example: Example) -> str:
        return f"line {example.line}"

    def _python(self, example: Example) -> None:
        self._settle(self._place(example))
        if self._saved(example):
            return
        try:
            with contextlib.redirect_stdout(self._printed):
                PythonEvaluator()(example)
        except Exception as error:
            self._error = error
            self._printed.write("".join(traceback.format_exception_only(error)))

    def _text(self, example: Example) -> None:
        printed = re.sub(r"\([\w-]+\.md:\d+\)", f"({MODULE}.py:7)", self._printed.getvalue())  # not its own lines
        shown, error = str(example.parsed), self._error
        self._printed, self._error = io.StringIO(), None
        if shown == printed:
            return
        if not self._mend:
            raise AssertionError(f"{self._place(example)} shows\n{shown}\nbut it was\n{printed}") from error
        self.mended.append((example, printed))

    def _toml(self, example: Example) -> None:
        self._settle(self._place(example))
        if self._saved(example):
            return
        tables = tomllib.loads(example.parsed)
        if "format" in tables:
            pg.Notice.loads(example.parsed)
            return
        for key, value in tables.items():
            annotation: Any = NoticeDocument.model_fields[key].annotation
            TypeAdapter(annotation).validate_python(value)

    def _saved(self, example: Example) -> bool:
        """Saves a block that is a file."""
        head = str(example.parsed).split("\n", 1)[0]
        name, _, rest = head.removeprefix("# ").partition(", ")
        if not head.startswith("# ") or Path(name).suffix not in {".py", ".toml"} or " " in name:
            return False
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if rest == "edited":
            path.write_text(_replace_tables(path.read_text("utf-8"), example.parsed), "utf-8")
            return True
        if rest == "continued":
            self._before[path] = path.read_text("utf-8") + "\n\n"
        elif rest != "corrected":
            self._before[path] = ""
        path.write_text(self._before[path] + example.parsed, "utf-8")
        return True

    def _sh(self, example: Example) -> None:
        """Makes the environment `.venv`, and installs into it what the page names; other set-up is not run."""
        own = self.folder / ".venv" / "bin" / "python"
        for line in str(example.parsed).splitlines():
            program, *arguments = shlex.split(line)
            if line == "python -m venv .venv":
                subprocess.run([sys.executable, "-m", "venv", self.folder / ".venv"], check=True)
            elif program == "pip":
                if self._package is not None:
                    arguments = [str(self._package) if word == "." else word for word in arguments]
                subprocess.run(
                    [own, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments],
                    cwd=ROOT,
                    env={**os.environ, "PIP_CONSTRAINT": str(self._constraints)},
                    check=True,
                )

    def _console(self, example: Example) -> None:
        self._settle(self._place(example))
        done = ""
        for part in re.split(r"^\$ ", str(example.parsed), flags=re.MULTILINE)[1:]:
            typed, _, expected = part.partition("\n")
            printed = self._run(typed)
            pattern = ".*".join(re.escape(piece) for piece in expected.split("...\n"))
            if re.fullmatch(pattern, printed, re.DOTALL):
                printed = expected
            elif not self._mend:
                raise AssertionError(f"$ {typed}\nis to print\n{expected}\nbut printed\n{printed}")
            done += f"$ {typed}\n{_without_frames(printed)}"
        if done != example.parsed:
            self.mended.append((example, done))

    def _run(self, typed: str) -> str:
        if typed == "echo $?":
            return f"{self._code}\n"
        program, *arguments = shlex.split(typed)
        if self._constraints is not None:
            command = [str(self.folder / ".venv" / "bin" / program)]
            places: dict[str, str] = {}
        else:
            command = PROGRAMS[program]
            path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
            places = {
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
                "PYTHONPATH": path,
                "MYPYPATH": str(ROOT),
                "MYPY_CACHE_DIR": cache("--strict" in arguments),
            }
        with alone() if program == "mypy" else contextlib.nullcontext():
            done = subprocess.run(
                [*command, *arguments],
                cwd=self.folder,
                env={**os.environ, **places, "PYTHONUTF8": "1", "COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                check=False,
            )
        self._code = done.returncode
        return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def _replace_tables(text: str, edited: str) -> str:
    """Return a TOML file in which each table of `edited` is in the place of the one with the same header.

    Raises:
        AssertionError: The file has no such table.
    """
    for table in re.split(r"^(?=\[)", edited, flags=re.MULTILINE)[1:]:
        header = table.partition("\n")[0]
        pattern = rf"^{re.escape(header)}\n(?:(?!\[).*\n)*"
        replacement = f"{table.rstrip()}\n\n".replace("\\", "\\\\")
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        if count != 1:
            raise AssertionError(f"{count} tables begin with {header}")
    return text


def cache(strict: bool) -> str:
    """Where mypy keeps what it knows: with other settings it would check the library anew, and forget what it knew."""
    return str(CACHE / ("strict" if strict else "usual"))


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One process of the tests at a time: who comes next finds what mypy knows by then of the library."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _without_frames(printed: str) -> str:
    """A traceback whose frames are left out, as the pages have it."""
    return re.sub(r"^(Traceback .*\n)(?: .*\n)+", r"\1...\n", printed, flags=re.MULTILINE)


def mend(path: Path) -> int:
    """Writes into a page what its blocks print now; says how many blocks that changed."""
    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(Path(folder), mend=True)
        reader.read(path)
    text = path.read_text("utf-8")
    for example, printed in reversed(reader.mended):
        start, end = text.index("\n", example.start) + 1, text.rindex("\n", 0, example.end) + 1
        text = text[:start] + printed + text[end:]
    path.write_text(text, "utf-8")
    return len(reader.mended)


def check(path: Path) -> None:
    """Runs the blocks of a page in a process of their own, as they are for pages that start Spark.

    Raises:
        AssertionError: a block did not do what the page says.
    """
    done = subprocess.run(
        [sys.executable, "-m", __name__, "--check", path],
        cwd=ROOT,
        # Where Spark is started: to compile what runs once costs more than to run it.
        env={**os.environ, "PYSPARK_PYTHON": sys.executable, "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise AssertionError(done.stdout)


def _main(names: list[str]) -> None:
    for name in names:
        path = Path(name).resolve()
        if names[0] != "--check":
            sys.stdout.write(f"{name}: {mend(path)} blocks changed\n")
        elif name != "--check":
            with tempfile.TemporaryDirectory() as folder:
                Reader(Path(folder)).read(path)


if __name__ == "__main__":
    _main(sys.argv[1:])
