"""The input of the desk: tokens against forged forms, and the fields of a form, normalized and checked."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from typing import Final

import itsdangerous
from starlette.datastructures import FormData

from purposeguard.governance.subjects import LONGEST_TEXT, check_text
from purposeguard.policy.row_context import subject_key

SHORTEST_SECRET: Final = 32
"""The least number of bytes of a secret."""

LIFETIME: Final = datetime.timedelta(hours=12)
"""The time for which a form may be sent after it was shown."""


class FormTokens:
    """Signed tokens that a form carries: of one session of one clerk.

    Each form is sent with a cookie that only this site can set and a token that only this desk can sign for it.

    Raises:
        TypeError: a secret is no text and no bytes.
        ValueError: there is no secret, or one is too short.
    """

    def __init__(self, secrets: str | bytes | Sequence[str | bytes]) -> None:
        """Use the last of several secrets to sign. The others are still accepted."""
        keys = [secrets] if isinstance(secrets, (str, bytes)) else list(secrets)
        if not keys:
            raise ValueError("the desk needs a secret that signs its forms")
        encoded_keys: list[bytes] = []
        for key in keys:
            if not isinstance(key, (str, bytes)):
                raise TypeError(f"a secret is a text or bytes, not {type(key).__name__}")
            encoded_key = key if isinstance(key, bytes) else key.encode()
            if len(encoded_key) < SHORTEST_SECRET:
                raise ValueError(
                    f"a secret of the desk is shorter than {SHORTEST_SECRET} bytes: make one with "
                    "`secrets.token_urlsafe(32)`"
                )
            encoded_keys.append(encoded_key)
        self._signer = itsdangerous.TimestampSigner(
            encoded_keys,
            salt="purposeguard.desk.1",
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )

    def sign(self, session: str, clerk: str) -> str:
        """Return a token for the forms that a clerk is shown in a session."""
        return self._signer.sign(_encode_session(session, clerk)).decode()

    def is_genuine(self, token: object, session: str | None, clerk: str) -> bool:
        """Return True if a form with this token was shown to this clerk in this session, within `LIFETIME`."""
        if not isinstance(token, str) or not session:
            return False
        try:
            signed = self._signer.unsign(token, max_age=int(LIFETIME.total_seconds()))
        except itsdangerous.BadData:
            return False
        return signed == _encode_session(session, clerk)


def _encode_session(session: str, clerk: str) -> bytes:
    return hashlib.sha256(f"{session}\0{clerk}".encode()).hexdigest().encode()


class FormFields:
    """The fields of a form that was sent; `faults` maps each faulty field to the word for its fault."""

    def __init__(self, form: FormData) -> None:
        self._form = form
        self.faults: dict[str, str] = {}

    def raw(self, name: str) -> str:
        """Return a text as it was sent, with normalized line ends; empty if the field is missing."""
        value = self._form.get(name)
        return "\n".join(value.splitlines()).strip() if isinstance(value, str) else ""

    def each(self, name: str) -> list[str]:
        """Return the values of a field that may occur several times."""
        return [value for value in self._form.getlist(name) if isinstance(value, str)]

    def text(self, name: str) -> str | None:
        """Return an optional text."""
        text = self.raw(name)
        if not text:
            return None
        try:
            return check_text(name, text)
        except ValueError:
            self.faults[name] = "too_long" if len(text) > LONGEST_TEXT else "unfit"
        return None

    def require_text(self, name: str) -> str:
        """Return a required text."""
        text = self.text(name)
        if text is None:
            self.faults.setdefault(name, "needed")
        return text or ""

    def subject(self, name: str) -> str | None:
        """Return the optional id of a person."""
        text = self.raw(name)
        if not text:
            return None
        try:
            return subject_key(text)
        except ValueError:
            self.faults[name] = "no_id"
        return None

    def number(self, name: str, most: int) -> int:
        """Return a whole number from 1."""
        text = self.raw(name)
        if text.isascii() and text.isdigit() and len(text) < 19 and 1 <= int(text) <= most:
            return int(text)
        self.faults[name] = "no_number" if text else "needed"
        return 1

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """Return a value that must be one of several."""
        text = self.raw(name)
        if text not in choices:
            self.faults[name] = "choose"
        return text

    def is_ticked(self, name: str) -> bool:
        """Return True if a box was ticked."""
        return self.raw(name) == "yes"
