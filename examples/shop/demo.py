"""`python -m examples.shop.demo`: starts the shop on a free port, drives it over HTTP, and tells what happens.

Exits with 0 only if everything happened as told. The databases lie in a temporary folder and go with it. With
`--postgres` what governance remembers lies in PostgreSQL, on a server that a wheel brings along.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.text import Text

import purposeguard as pg
from examples.screen import BAD, GOOD, Screen, add_options, survive_any_encoding
from examples.shop.narration import Story
from examples.shop.scenes import SCENES, SHORT
from examples.shop.scenes.common import Scene
from purposeguard.notices import trendmicro_jp as tm

MARK = 4
"""The width of a mark in the table of clauses."""


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(143)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    survive_any_encoding()
    screen = Screen(options.lang, options.color, recording=options.record is not None)
    if options.list:
        _list(screen)
        return 0
    wanted = SCENES if options.all else options.scene or SHORT
    shown = [scene for scene in SCENES if scene in wanted]
    # When terminated, leave through the `with` blocks below, which stop the server and remove the files.
    signal.signal(signal.SIGTERM, _stop)
    _introduce(screen)
    _show_clauses(screen, shown)
    story = _play(screen, shown, on_postgresql=options.postgres)
    screen.blank()
    if story.unlike:
        screen.line("", screen.words("Not everything happened as told:", "説明と違うことがありました。"), BAD)
        for claim in story.unlike:
            screen.line("  ", claim)
        return 1
    number = f"{len(shown)} of {len(SCENES)} scenes", f"全{len(SCENES)}場面のうち{len(shown)}場面"
    if len(shown) == len(SCENES):
        number = f"All {len(SCENES)} scenes", f"全{len(SCENES)}場面"
    screen.say(
        f"{number[0]} happened as told. The server is stopped and its files are removed.",
        f"{number[1]}が説明のとおりに進みました。サーバーは停止し、ファイルは削除しました。",
    )
    if len(shown) < len(SCENES):
        screen.say(
            'The others: `make demo ARGS="--all"`, or `--list` and `--scene N`; in Japanese: `--lang ja`.',
            '全場面は `make demo ARGS="--lang ja --all"`、一部は `--list` と `--scene N` で表示できます。',
        )
    if options.record is not None:
        options.record.write_text(screen.picture("make demo"), encoding="utf-8")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m examples.shop.demo",
        description="A small web shop that keeps to its privacy notice, driven over HTTP.",
        allow_abbrev=False,
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help=f"show all {len(SCENES)} scenes, not only {len(SHORT)}")
    which.add_argument(
        "--scene", action="append", type=_scene, metavar="N", help="show this scene, by number or name; may be repeated"
    )
    which.add_argument("--list", action="store_true", help="list the scenes")
    add_options(parser)
    parser.add_argument("--record", type=Path, metavar="FILE", help="draw what is printed as an SVG file, too")
    parser.add_argument("--postgres", action="store_true", help="keep what governance remembers in PostgreSQL")
    options = parser.parse_args(arguments)
    if options.record is not None and not options.record.parent.is_dir():
        parser.error(f"no folder `{options.record.parent}` for --record")
    return options


def _scene(wanted: str) -> Scene:
    for number, scene in enumerate(SCENES, 1):
        if wanted in (str(number), scene.name):
            return scene
    names = ", ".join(f"{number} {scene.name}" for number, scene in enumerate(SCENES, 1))
    raise argparse.ArgumentTypeError(f"no scene `{wanted}`: {names}")


def _list(screen: Screen) -> None:
    for number, scene in enumerate(SCENES, 1):
        mark = "*" if scene in SHORT else " "
        screen.line(f"{number:3} {mark} {scene.name:11} ", screen.words(*scene.title), "bold")
    screen.say("* shown by default", "* 何も指定しないときの場面")


def _introduce(screen: Screen) -> None:
    screen.title("A shop that keeps to its privacy notice", "プライバシーポリシーを守る店")
    screen.say(
        """A privacy notice promises which data serves which purpose, and purposeguard holds code to it. Below, a small
        web shop is sent requests (`>`) and answers (`<`). `✓` is what was checked.""",
        """プライバシーポリシーは、どのデータを何の目的に使うかの約束です。purposeguard はコードに約束を守らせます。
        ここでは小さな Web の店に要求（`>`）を送り、応答（`<`）を示します。`✓` は確認できたことです。""",
    )
    screen.say(
        f"The clauses of its notice that matter below (revision of {tm.NOTICE.revision}):",
        f"店のプライバシーポリシー（{tm.NOTICE.revision} 版）のうち、関係する条項：",
    )


def _show_clauses(screen: Screen, shown: Iterable[Scene]) -> None:
    """Print the clauses of the scenes: what is collected, and which purposes each source may serve."""
    guard = pg.Guard(tm.NOTICE)
    sources, purposes = _collect_clauses(shown)
    widest = max(len(source.__name__) for source in sources) if sources else 0
    for source in sources:
        screen.line(f"  {source.clause:8} {source.__name__:{widest}}  ", source.title[screen.language], "cyan")
    if not purposes:
        return
    labels: list[Text] = []
    for purpose in purposes:
        clause = f"{purpose.clause:8} ", "cyan"
        labels.append(Text.assemble("  ", clause, purpose.title[screen.language]))
    width = min(max(40, *(label.cell_len + 2 for label in labels)), screen.columns - MARK * len(sources))
    # Two lines of heads, so that the marks stand close: `1.1` above `(a)`.
    upper_heads: list[Text] = []
    lower_heads: list[Text] = []
    last_head = ""
    for source in sources:
        head, rest = source.clause[:3], source.clause[3:]
        upper_heads.append(Text("" if head == last_head else head, "cyan"))
        lower_heads.append(Text(rest, "cyan"))
        last_head = head
    screen.row(Text(), width, upper_heads, MARK)
    heading = screen.words("purposes, and the data each may use", "目的と、それぞれに使えるデータ")
    screen.row(Text.assemble("  ", (heading, "dim")), width, lower_heads, MARK)
    for label, purpose in zip(labels, purposes, strict=True):
        marks: list[Text] = []
        for source in sources:
            allowed = guard.explain(source, purpose).allowed
            marks.append(Text(" ✓", GOOD) if allowed else Text(" ✗", BAD))
        screen.row(label, width, marks, MARK)


def _collect_clauses(shown: Iterable[Scene]) -> tuple[list[type[pg.Source]], list[type[pg.Purpose]]]:
    """Return the sources and purposes that scenes are about, in the order of the notice."""
    notice = tm.NOTICE
    sources: set[type[pg.Source]] = set()
    purposes: set[type[pg.Purpose]] = set()
    for scene in shown:
        sources.update(map(notice.source, scene.sources))
        for goal in map(notice.purpose_or_family, scene.purposes):
            purposes.update(goal.members if isinstance(goal, pg.Family) else (goal,))
    in_order = [purpose for purpose in notice.purposes if purpose in purposes]
    return sorted(sources, key=lambda source: source.clause), in_order


def _play(screen: Screen, shown: Sequence[Scene], *, on_postgresql: bool) -> Story:
    """Play these scenes in order, after the hidden scenes that they need."""
    needed = set(shown)
    for scene in reversed(SCENES):
        if scene in needed:
            needed.update(scene.needs)
    server = importlib.import_module("examples.shop.server")  # which takes seconds: there is something to read by now
    with server.shop(on_postgresql=on_postgresql) as shop:
        story = Story(shop.client, shop.folder, shop.store, screen)
        unseen = [f"{number} {scene.name}" for number, scene in enumerate(SCENES, 1) if scene in needed - set(shown)]
        if unseen:
            names = ", ".join(unseen)
            story.note(f"(played first, not shown: {names})", f"（先に実行し、表示しない場面：{names}）")
        for number, scene in enumerate(SCENES, 1):
            if scene in needed:
                story.scene(number, scene.title, scene.text, shown=scene in shown)
                scene.act(story)
    return story


if __name__ == "__main__":
    logging.getLogger("purposeguard").addHandler(logging.NullHandler())  # what the server logs is in its answers, too
    sys.exit(main())
