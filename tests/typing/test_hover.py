"""What an editor shows of a class of the notice: pyright's language server is asked, as editors ask it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[[str, dict[str, Any]], Any]
Tell = Callable[[str, dict[str, Any]], None]


@contextmanager
def language_server(folder: Path) -> Iterator[tuple[Ask, Tell]]:
    """A language server over this folder: asked, it answers; told, it listens."""
    server = subprocess.Popen(
        [str(Path(sys.executable).with_name("pyright-langserver")), "--stdio"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
    )
    numbers = itertools.count(1)

    def send(message: dict[str, Any]) -> None:
        assert server.stdin
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        server.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        server.stdin.flush()

    def received() -> dict[str, Any]:
        assert server.stdout
        length = 0
        while line := server.stdout.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        assert length, "the language server has ended"
        message: dict[str, Any] = json.loads(server.stdout.read(length))
        return message

    def ask(method: str, params: dict[str, Any]) -> Any:
        number = next(numbers)
        send({"id": number, "method": method, "params": params})
        while True:
            message = received()
            if message.get("id") == number and "method" not in message:
                return message["result"]
            if "id" in message:  # the server asks for settings, or to watch files
                items = message["params"].get("items", []) if message["method"] == "workspace/configuration" else []
                settings = [{"pythonPath": sys.executable} if item["section"] == "python" else {} for item in items]
                send({"id": message["id"], "result": settings})

    def tell(method: str, params: dict[str, Any]) -> None:
        send({"method": method, "params": params})

    ask(
        "initialize",
        {
            "processId": os.getpid(),
            "rootUri": folder.as_uri(),
            "workspaceFolders": [{"uri": folder.as_uri(), "name": folder.name}],
            "capabilities": {
                "workspace": {"configuration": True},
                "textDocument": {"hover": {"contentFormat": ["markdown"]}},
            },
        },
    )
    tell("initialized", {})
    try:
        yield ask, tell
    finally:
        server.kill()
        server.communicate()


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("ProductData", ["(1.1(b)).", "May serve ProductProvision (1.2(2)①)"]),
        ("RenewalGuidance", ["(1.2(1)①).", "May use Registration (1.1(a)), Contract (1.1(c))."]),
    ],
)
def test_hovering_a_class_says_what_it_may_serve(tmp_path: Path, name: str, texts: list[str]) -> None:
    program = f"from purposeguard.notices import trendmicro_jp as tm\n\ntm.{name}\n"
    file = tmp_path / "program.py"
    file.write_text(program)
    with language_server(tmp_path) as (ask, tell):
        document = {"uri": file.as_uri(), "languageId": "python", "version": 1, "text": program}
        tell("textDocument/didOpen", {"textDocument": document})
        place = {"line": 2, "character": 5}
        hover = ask("textDocument/hover", {"textDocument": {"uri": file.as_uri()}, "position": place})
    shown = hover["contents"]["value"].replace("\\", "")
    for text in texts:
        assert text in " ".join(shown.split())
