"""A scene about an application that was not written for the library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from examples.screen import Said
from examples.shop.narration import Story
from examples.shop.scenes.common import scene

ROOT = Path(__file__).resolve().parents[3]
TRAFFIC = "examples.unguarded.traffic"
GUARDED = "examples.unguarded.guarded"

TAGS = """\
["examples.unguarded.app.Customer"]
id = "not-personal"
name = "1.1(a)"
email = "1.1(a)"

["examples.unguarded.app.Contract"]
id = "not-personal"
customer_id = "1.1(c)"
product = "1.1(c)"
renews_on = "1.1(c)"

["examples.unguarded.app.Scan"]
id = "not-personal"
customer_id = "1.1(b)"
device_name = "1.1(b)"
threats = "1.1(b)"
"""
"""What a person made of the proposals of `purposeguard adopt scan`."""

CAMPAIGN = """
["GET /campaign"]
purpose = "1.2(1)②"
mode = "enforce"
"""
"""What the route that offers a larger product is really for."""


@scene(
    Said("Adoption: a shop that was written without its notice", "導入：ポリシーを考えずに書かれた店"),
    Said(
        """`examples/unguarded` is a shop that does not know purposeguard. Its fields are tagged in a file. Its requests
        run as before while the evidence is collected; then purposes are proposed, one is stated by hand, and the shop
        is enforced by three lines.""",
        """`examples/unguarded` は purposeguard を知らない店です。項目の取得元はファイルで指定します。要求は
        今までどおりに処理され、その間に証拠が集まります。続いて利用目的が提案され、一つを人が決め、三行で強制します。""",
    ),
    sources="1.1(a) 1.1(b) 1.1(c)",
    purposes="1.2(1)① 1.2(1)② 1.2(2)①",
)
def adopt(story: Story) -> None:
    folder = story.make_folder("adopt")
    privacy = story.make_folder("adopt/privacy")
    (folder / "pyproject.toml").write_text('[tool.purposeguard]\nnotice = "trendmicro-jp"\n', "utf-8")
    (privacy / "tags.toml").write_text(TAGS, "utf-8")

    plain = _run([sys.executable, "-m", TRAFFIC], folder)
    story.show_request(f"purposeguard adopt run -- python -m {TRAFFIC}")
    observe = [sys.executable, "-m", "purposeguard", "adopt", "run", "--", sys.executable, "-m", TRAFFIC]
    story.check(
        _run(observe, folder) == plain,
        "while it is observed, every answer is the same",
        "観察中も、応答はすべて同じ",
    )

    story.run_command(["adopt", "evidence"], folder=folder)
    story.run_command(["adopt", "propose"], folder=folder)
    proposed = (privacy / "purposes.toml").read_text("utf-8")
    story.check(
        proposed.count('mode = "observe"') == 4,
        "for each route, a purpose is proposed that permits what it read",
        "読んだデータを認める利用目的が、経路ごとに提案された",
    )

    story.note(
        "The campaign is marketing, whatever else would permit it. Stated so, it is a violation that the shop has "
        "today:",
        "キャンペーンの目的は宣伝です。そう書くと、店が今日すでに抱えている違反だと分かります。",
    )
    entry = proposed.index('["GET /campaign"]')
    others = proposed[:entry] + proposed[entry:].partition("\n[")[2].join(["[", ""])
    (privacy / "purposes.toml").write_text(others.replace('"observe"', '"enforce"') + CAMPAIGN, "utf-8")
    output = story.run_command(["adopt", "status", "--new"], folder=folder, exits=1)
    story.check("GET /campaign" in output, "`status` finds it, and fails", "`status` がそれを見つけ、失敗する")

    story.show_request(f"python -m {GUARDED}")
    enforced = _run([sys.executable, "-m", GUARDED], folder)
    refused = [line for line in enforced.splitlines() if " 403 " in line]
    for line in refused:
        story.show(_shorten(line))
    story.check(
        [line.split()[1] for line in refused] == ["/campaign"]
        and [line for line in enforced.splitlines() if line not in refused]
        == [line for line in plain.splitlines() if "/campaign" not in line],
        "enforced, the campaign is refused, and every other answer is the same",
        "強制すると、キャンペーンは拒否され、ほかの応答はすべて同じ",
    )


def _run(command: list[str], folder: Path) -> str:
    """Run a command in a folder, and return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    ended = subprocess.run(  # noqa: S603  # The commands are those above.
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return ended.stdout


def _shorten(line: str) -> str:
    """Return a line of the traffic with the detail of its problem alone."""
    head, _, body = line.partition("{")
    detail: str = json.loads("{" + body)["detail"]
    return head + detail.partition("\n")[0]
