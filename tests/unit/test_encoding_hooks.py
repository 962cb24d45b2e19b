"""Hooks for encoders and decoders that know nothing of sealed values."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.json import decode_sealed, encode_sealed
from tests.unit.seals import DEVICE, NAME, SENTINEL, R, words

guard = pg.Guard(tm.NOTICE)


def test_a_sealed_value_is_encoded_in_a_purpose_that_may_open_it() -> None:
    with guard.purpose(tm.RenewalGuidance):
        assert json.dumps([NAME, {"a": NAME.map(len)}], default=encode_sealed) == '["name", {"a": 4}]'
        with pytest.raises(pg.PurposeViolation):
            json.dumps(DEVICE, default=encode_sealed)
    with pytest.raises(pg.PurposeMissing):
        encode_sealed(NAME)


def test_what_is_not_sealed_is_left_to_others() -> None:
    with pytest.raises(TypeError, match="Object of type set is not JSON serializable"):
        json.dumps({1}, default=encode_sealed)
    annotations: list[Any] = [str, list[int], pg.Personal, pg.Label, SENTINEL]  # the last: arguments swapped
    for annotation in annotations:
        with pytest.raises(NotImplementedError, match="is not known here") as refused:
            decode_sealed(annotation, SENTINEL)
        assert SENTINEL not in words(refused)


def test_what_cannot_be_decoded_is_in_no_frame_of_the_library() -> None:
    unresolved: Any = pg.Personal[str, "Nowhere"]  # type: ignore[name-defined]
    annotations: list[Any] = [str, pg.Personal[Iterator[str], tm.Registration], unresolved]
    for annotation in annotations:
        with pytest.raises((NotImplementedError, PydanticSchemaGenerationError, pg.PurposeGuardError)) as refused:
            decode_sealed(annotation, SENTINEL)
        frames = traceback.TracebackException.from_exception(refused.value, capture_locals=True).stack
        own = [frame for frame in frames if "purposeguard" in frame.filename and "tests" not in frame.filename]
        assert own
        assert not [frame for frame in own if SENTINEL in str(frame.locals)]


def test_what_is_decoded_is_validated_and_sealed() -> None:
    for _ in range(2):
        value = decode_sealed(pg.Personal[int, tm.Registration], "5")
        assert value.label is R
        with guard.purpose(tm.RenewalGuidance) as use:
            assert use.open(value) == 5
    with pytest.raises(ValidationError) as refused:
        decode_sealed(pg.Personal[int, tm.Registration], SENTINEL)
    assert SENTINEL not in words(refused)
    assert SENTINEL not in repr(refused.value.errors())


def test_annotations_without_a_hash_are_decoded_too() -> None:
    marked = pg.Personal[Annotated[int, Field(ge=0), ["no hash"]], tm.Registration]
    assert decode_sealed(marked, "5").label is R
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        decode_sealed(marked, -1)
