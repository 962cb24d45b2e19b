"""`python -m examples.services.demo`: starts both services as processes of their own, and tells what crosses.

Exits with 0 only if everything happened as told.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Generator, Sequence

import httpx
from rich.text import Text

from examples.screen import BAD, GOOD, Said, Screen, add_options, survive_any_encoding

REMINDER = Said("letters asks for a renewal notice, 1.2(1)①", "letters が 1.2(1)①（契約更新の案内）のために求める")
IMPROVEMENT = Said("letters asks to improve the product, 1.2(2)②", "letters が 1.2(2)②（品質改善と開発）のために求める")
ADVERTISEMENT = Said("letters asks for advertising, 1.2(1)②", "letters が 1.2(1)②（製品の案内）のために求める")
NO_PURPOSE = Said("letters asks for no purpose", "letters が目的なしで求める")
OUTSIDE = Said("letters asks a host that is outside", "letters が外部のホストに求める")
PASSPORT = Said("somebody else asks, with a passport of letters", "ほかの誰かが letters のパスポートで求める")
REPLAYED = Said("somebody else asks, with the same one again", "同じパスポートをもう一度使う")
CHANGED = Said("somebody else asks, with one that was changed", "書き換えたパスポートを使う")

KEY = secrets.token_urlsafe(32)
os.environ["PASSPORT_KEY"] = KEY  # of both services, and of the forger below, who has another

PATIENCE = 120.0
"""Seconds that a service may take to answer, which begins with its start, or to stop."""


@contextlib.contextmanager
def serving(name: str, **environment: str) -> Generator[str]:
    """Return a context manager that runs a service on a free port of this machine, and yields its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # so that it can be asked at once; it answers when it has started
        port = listener.getsockname()[1]
        command = [sys.executable, "-m", "uvicorn", f"examples.services.{name}:app", "--log-level", "error"]
        process = subprocess.Popen(  # noqa: S603  # what it starts is written above
            [*command, "--fd", str(listener.fileno())],
            pass_fds=[listener.fileno()],
            env={**os.environ, **environment},
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(PATIENCE)


def tamper(passport: str) -> str:
    """Return a passport with one letter of its content changed."""
    place = len(passport) // 2
    return passport[:place] + ("A" if passport[place] != "A" else "B") + passport[place + 1 :]


def introduce(screen: Screen) -> None:
    """Print what the two services do."""
    screen.title(
        "Two services, and the purpose that crosses with a request", "二つのサービスと、リクエストとともに渡る目的"
    )
    screen.say(
        """`letters` asks `customers` for Aiko's record over HTTP. A signed passport in a header says what for.
        `customers` answers with the fields that this purpose may use, or refuses.""",
        """`letters` が `customers` に、愛子さん（Aiko）の記録を HTTP で求めます。何のためかは、ヘッダーの署名付き
        パスポートが示します。`customers` は、その目的に使える項目だけを返すか、拒否します。""",
    )
    screen.blank()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m examples.services.demo", description="What crosses with a purpose."
    )
    add_options(parser)
    options = parser.parse_args(arguments)

    from examples.services.common import guard, passports  # noqa: PLC0415  # it wants the key
    from purposeguard.integrations.passport_http import headers  # noqa: PLC0415  # likewise
    from purposeguard.notices import trendmicro_jp as tm  # noqa: PLC0415  # likewise

    def issue_passport() -> dict[str, str]:
        with guard.purpose(tm.RenewalGuidance):
            return headers(passports, audience="customers")

    survive_any_encoding()
    screen = Screen(options.lang, options.color)
    introduce(screen)
    once = issue_passport()
    forged = {name: tamper(text) for name, text in issue_passport().items()}
    wrong = 0
    with (
        serving("customers") as customers,
        serving("letters", CUSTOMERS=customers) as letters,
        httpx.Client(trust_env=False, timeout=PATIENCE) as client,
    ):
        direct = f"{customers}/customers/7"
        for request_text, address, headers_sent, expected in (
            (REMINDER, f"{letters}/remind", {}, "name, renews"),
            (IMPROVEMENT, f"{letters}/improve", {}, "last_scan, name, renews"),
            (ADVERTISEMENT, f"{letters}/advertise", {}, "refused: not-permitted"),
            (NO_PURPOSE, f"{letters}/idle", {}, "refused: missing"),
            (OUTSIDE, f"{letters}/outside", {}, "refused: missing"),
            (PASSPORT, direct, once, "name, renews"),
            (REPLAYED, direct, once, "refused: replayed"),
            (CHANGED, direct, forged, "refused: forged"),
        ):
            body = client.get(address, headers=headers_sent).json()
            outcome = f"refused: {body['reason']}" if "reason" in body else ", ".join(sorted(body))
            answer = Text(f"→ {outcome}", BAD if "reason" in body else GOOD)
            if outcome != expected:
                wrong += 1
                answer.append(f"   {screen.words('NOT AS TOLD', '説明と違う')}: {expected}", BAD)
            screen.row(Text(screen.words(*request_text)), 56, [answer], 0)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
