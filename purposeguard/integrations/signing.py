"""The contents of a passport, and the keys that sign and verify it. Nothing is decided here."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from purposeguard.errors import PassportRefused
from purposeguard.extras import Needs, must_be_tested
from purposeguard.policy.row_context import subject_key

with Needs(__name__, "passport"):
    import itsdangerous

    must_be_tested("itsdangerous", "2.2", "2.2")

LONGEST: Final = 4_096
"""The maximum number of characters of a passport. A longer text is refused unread."""

SHORTEST_KEY: Final = 32
"""The minimum number of bytes of a key."""

LONGEST_ENTRY_POINT: Final = 200
"""The maximum number of characters of an entry point. A passport does not say a longer one."""

_FORMAT: Final = "1"
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_FORGED: Final = "no key that is known here signed this text; it was changed on its way, or is no passport"


@with_config(ConfigDict(strict=True, extra="forbid"))
@dataclasses.dataclass(frozen=True, slots=True)
class Passport:
    """The contents of a passport. Without a key, they say nothing about any person."""

    notice: str
    """The id of the notice."""

    revision: datetime.date
    """The revision of the notice."""

    purpose: str
    """The clause of a purpose, or the name of a family."""

    family: bool
    """True if `purpose` is the name of a family."""

    channel: str | None
    """The channel that was stated, if any."""

    activity: str
    """The name of the activity in which the passport was issued."""

    audience: str | None
    """The receiver that may accept the passport."""

    subject: str | None
    """A keyed digest of `id` and the subject's id.

    Without the key it does not show who the subject is, nor whether two passports have the same subject.
    """

    issued: int
    """When the passport was issued, in seconds since 1970 (UTC)."""

    expires: int
    """When the passport expires, in seconds since 1970 (UTC)."""

    id: str
    """The id of this passport alone."""

    conditions: tuple[str, ...] = ()
    """The conditions that are stated to hold."""

    entry_point: Annotated[str | None, Field(alias="ep", max_length=LONGEST_ENTRY_POINT)] = None
    """The entry point at which the passport was issued, if it is known."""


_CLAIMS: Final = TypeAdapter(Passport)


class Keys:
    """Secrets by their ids. One of them signs: the one named by `signs`, or the only one there is.

    The text of a passport is `1.KEY.CLAIMS.SIGNATURE`: the format, the id of the key, JSON in base64, HMAC-SHA256.

    Raises:
        ValueError: There is no key, a key is too short, its id is no word, or `signs` does not say which one signs.
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
        """Return the signed text of a passport.

        Conditions are omitted if none is stated, and so is an unknown entry point, since receivers before 0.2 expect
        neither.
        """
        claims = _CLAIMS.dump_json(passport, by_alias=True, exclude_defaults=True)
        return self._make_signature(self._signs, itsdangerous.base64_encode(claims).decode()).decode()

    def digest(self, identity: str, subject: object, key: str | None = None) -> str:
        """Return the digest that stands for a subject in the passport with the id `identity`.

        It is made with the key of this id, or else with the key that signs.

        Raises:
            TypeError, ValueError: `subject` is no id (see `subject_key`).
        """
        return self._subjects[key or self._signs].get_signature(f"{identity}.{subject_key(subject)}").decode()

    def genuine(self, text: str) -> tuple[str, Passport]:
        """Verify the text of a passport. Return the id of the key that signed it, and the passport.

        Raises:
            PassportRefused: No known key signed the text.
        """
        parts = text.split(".") if type(text) is str and text.isascii() and len(text) <= LONGEST else []
        if len(parts) != 4:
            raise PassportRefused("forged", _FORGED)
        _, key, body, _ = parts
        if key not in self._signers:
            raise PassportRefused("unknown-key", "it names a key that is not here; add the key of who issued it")
        # Sign the text again and compare all of it: base64 has several spellings of a value, a passport has one.
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
    options: dict[str, Any] = {"salt": f"purposeguard.{use}.{_FORMAT}", "digest_method": hashlib.sha256}
    # Derive the key once: a signer would derive it again for each text.
    derived_key = itsdangerous.Signer(secret, key_derivation="hmac", **options).derive_key()
    return itsdangerous.Signer(derived_key, key_derivation="none", **options)
