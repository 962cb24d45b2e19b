"""What a passport says, and the keys that sign it and see whether it is genuine. Nothing is decided here."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from purposeguard.errors import PassportRefused
from purposeguard.extras import Needs, must_be_tested
from purposeguard.policy.row_context import subject_key

with Needs(__name__, "passport"):
    import itsdangerous

    must_be_tested("itsdangerous", "2.2", "2.2")

LONGEST: Final = 4_096
"""Characters of a passport at most; a longer text is refused unread."""

SHORTEST_KEY: Final = 32
"""Bytes of a key at least."""

_FORMAT: Final = "1"
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_FORGED: Final = "no key that is known here signed this text; it was changed on its way, or is no passport"


@with_config(ConfigDict(strict=True, extra="forbid"))
@dataclasses.dataclass(frozen=True, slots=True)
class Passport:
    """What a passport says. None of it is about a person, save that `subject` shows whether two ids are the same.

    `purpose` is the clause of a purpose, or the name of a `family`; `conditions` are those that are stated to hold.
    `activity` is what it was issued in. `audience` is who may accept it. `issued` and `expires` are seconds since 1970
    (UTC). `id` is of this passport alone.

    `subject` is a keyed digest of `id` and the subject's id: who has no key learns nothing of the subject from it, nor
    whether two passports are about the same one.
    """

    notice: str
    revision: datetime.date
    purpose: str
    family: bool
    channel: str | None
    activity: str
    audience: str | None
    subject: str | None
    issued: int
    expires: int
    id: str
    conditions: tuple[str, ...] = ()


_CLAIMS: Final = TypeAdapter(Passport)


class Keys:
    """Secrets by their ids, one of which signs: `signs`, or the only one there is.

    The text of a passport is `1.KEY.CLAIMS.SIGNATURE`: the format, the id of the key, JSON in base64, HMAC-SHA256.

    Raises:
        ValueError: there is no key, a key is too short, its id is no word, or `signs` does not say which one signs.
    """

    def __init__(self, keys: Mapping[str, str | bytes], signs: str | None = None) -> None:
        if signs is None:
            signs = next(iter(keys)) if len(keys) == 1 else ""
        if signs not in keys:
            raise ValueError("`signs` says which one of the keys signs: give its id")
        self._signs = signs
        self._signers = {name: _make_signer(name, secret, "passport") for name, secret in keys.items()}
        self._subjects = {name: _make_signer(name, secret, "subject") for name, secret in keys.items()}

    def sign(self, passport: Passport) -> str:
        """The text of a passport. Where no condition is stated, none is in it, as receivers before 0.2 expect."""
        claims = _CLAIMS.dump_json(passport, exclude_defaults=True)
        return self._make_signature(self._signs, itsdangerous.base64_encode(claims).decode()).decode()

    def digest(self, identity: str, subject: object, key: str | None = None) -> str:
        """What stands for a subject in the passport of this id; by the key that signs where no other is named.

        Raises:
            TypeError, ValueError: `subject` is no id (see `subject_key`).
        """
        return self._subjects[key or self._signs].get_signature(f"{identity}.{subject_key(subject)}").decode()

    def genuine(self, text: str) -> tuple[str, Passport]:
        """Return the id of the key that signed a text, and what it signed.

        Raises:
            PassportRefused: no key that is known here signed it.
        """
        parts = text.split(".") if type(text) is str and text.isascii() and len(text) <= LONGEST else []
        if len(parts) != 4:
            raise PassportRefused("forged", _FORGED)
        _, key, body, _ = parts
        if key not in self._signers:
            raise PassportRefused("unknown-key", "it names a key that is not here; add the key of who issued it")
        # Signed anew and compared as a whole, so that each passport has one spelling; base64 has several for one value.
        if not hmac.compare_digest(self._make_signature(key, body), text.encode()):
            raise PassportRefused("forged", _FORGED)
        try:
            return key, _CLAIMS.validate_json(itsdangerous.base64_decode(body))
        except (ValidationError, itsdangerous.BadData):
            raise PassportRefused("forged", "a key of ours signed it, and it is no passport") from None

    def _make_signature(self, key: str, body: str) -> bytes:
        return self._signers[key].sign(f"{_FORMAT}.{key}.{body}")


def _make_signer(name: str, secret: str | bytes, use: str) -> itsdangerous.Signer:
    if _KEY_ID.fullmatch(name) is None:
        raise ValueError("the id of a key is a word of up to 40 letters, digits, `-` and `_`")
    if len(secret if isinstance(secret, bytes) else secret.encode()) < SHORTEST_KEY:
        raise ValueError(f"key `{name}` is shorter than {SHORTEST_KEY} bytes: make one with `secrets.token_bytes(32)`")
    how: dict[str, Any] = {"salt": f"purposeguard.{use}.{_FORMAT}", "digest_method": hashlib.sha256}
    derived = itsdangerous.Signer(secret, key_derivation="hmac", **how).derive_key()
    return itsdangerous.Signer(derived, key_derivation="none", **how)  # which would be derived for each text again
