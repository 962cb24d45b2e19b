"""`python -m examples.services.demo`: starts both services as processes of their own, and tells what crosses.

Exits with 0 only if everything happened as told.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Generator

import httpx

KEY = secrets.token_urlsafe(32)
os.environ["PASSPORT_KEY"] = KEY  # of both services, and of the forger below, who has another


@contextlib.contextmanager
def serving(name: str, **environment: str) -> Generator[str]:
    """A service, on a free port of this machine; gives its address when it answers."""
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
            process.wait(20)


def tampered(passport: str) -> str:
    """A passport with one letter of what it says changed."""
    place = len(passport) // 2
    return passport[:place] + ("A" if passport[place] != "A" else "B") + passport[place + 1 :]


def main() -> int:
    from examples.services.common import guard, passports  # noqa: PLC0415  # it wants the key
    from purposeguard.integrations.passport_http import headers  # noqa: PLC0415  # likewise
    from purposeguard.notices import trendmicro_jp as tm  # noqa: PLC0415  # likewise

    def issued() -> dict[str, str]:
        with guard.purpose(tm.RenewalGuidance):
            return headers(passports, audience="customers")

    once = issued()
    forged = {name: tampered(text) for name, text in issued().items()}
    wrong = 0
    with (
        serving("customers") as customers,
        serving("letters", CUSTOMERS=customers) as letters,
        httpx.Client(trust_env=False, timeout=30) as client,
    ):
        direct = f"{customers}/customers/7"
        for what, address, given, expected in (
            ("letters asks for a renewal notice (1.2(1)①)", f"{letters}/remind", {}, "name, renews"),
            ("letters asks to improve the product (1.2(2)②)", f"{letters}/improve", {}, "last_scan, name, renews"),
            ("letters asks for advertising (1.2(1)②)", f"{letters}/advertise", {}, "refused: not-permitted"),
            ("letters asks for no purpose", f"{letters}/idle", {}, "refused: missing"),
            ("letters asks a host that is outside", f"{letters}/outside", {}, "refused: missing"),
            ("somebody asks with a passport of letters", direct, once, "name, renews"),
            ("somebody asks with the same one again", direct, once, "refused: replayed"),
            ("somebody asks with one that was changed", direct, forged, "refused: forged"),
        ):
            body = client.get(address, headers=given).json()
            told = f"refused: {body['reason']}" if "reason" in body else ", ".join(sorted(body))
            told_right = told == expected
            wrong += not told_right
            print(f"{what:<48} → {told}{'' if told_right else f'   NOT AS TOLD: {expected}'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
