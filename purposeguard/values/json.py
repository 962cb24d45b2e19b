"""Hooks for encoders and decoders that know nothing of sealed values."""

from __future__ import annotations

import functools
from typing import Any, get_origin

from pydantic import TypeAdapter

from purposeguard.values.annotations import describe_kind
from purposeguard.values.opener import find_opener
from purposeguard.values.personal import Personal


def encode_sealed(value: Any) -> Any:
    """Open a sealed value under the current purpose: `json.dumps(…, default=encode_sealed)`.

    Works as msgspec's `enc_hook` and orjson's `default`, too.

    Raises:
        PurposeMissing, PurposeViolation: the value may not be opened here.
        TypeError: `value` is not sealed, and no other type is supported.
    """
    if type(value) is not Personal:
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
    return find_opener(value.label).open(value)


def decode_sealed(annotation: Any, value: Any) -> Any:
    """Validate and seal a decoded value as `Personal[T, S]` says: msgspec's `dec_hook`.

    Raises:
        pydantic.ValidationError: the value is no valid `T`; the error does not show it.
        NotImplementedError: `annotation` is not `Personal[T, S]`.
    """
    try:
        if get_origin(annotation) is not Personal:
            raise NotImplementedError(f"{describe_kind(annotation)} is not known here")
        try:
            adapter = _get_adapter(annotation)
        except TypeError:  # A part of the annotation cannot be hashed.
            adapter = TypeAdapter(annotation)
        return adapter.validate_python(value)
    finally:
        del value  # Keep the value out of the traceback.


@functools.lru_cache(maxsize=256)
def _get_adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)
