from __future__ import annotations

import copy
import gc
import itertools
import pickle
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notice.label import _interned
from purposeguard.notices import trendmicro_jp as tm
from tests.support import in_threads
from tests.unit.samples import tables


def test_labels_of_the_same_sources_are_one_object() -> None:
    three: list[type[pg.Source]] = [tm.Registration, tm.Contract, tm.Cookie]
    for order in itertools.permutations(three):
        assert pg.Label(*order) is pg.Label(tm.Cookie, tm.Contract, tm.Registration)
    assert pg.Label(tm.Cookie, tm.Cookie) is pg.Label(tm.Cookie)
    assert pg.Label(tm.Cookie) != pg.Label(tm.Contract)


def test_labels_are_interned_by_threads_as_well() -> None:
    found: list[pg.Label] = []

    def make() -> None:
        found.append(pg.Label(tm.Prospect, tm.WebForm, tm.LinkedUsage))

    in_threads([make] * 8)
    assert len(set(map(id, found))) == 1


def test_labels_not_in_use_are_forgotten() -> None:
    rare = frozenset(pg.Notice.parse(tables()).sources)  # of a notice that no other test knows
    label = pg.Label(*rare)
    assert rare in _interned
    del label
    gc.collect()
    assert rare not in _interned


def test_a_label_is_never_empty() -> None:
    with pytest.raises(pg.UnlabelledData):
        pg.Label()
    with pytest.raises(pg.UnlabelledData):
        pg.Label.join()


@pytest.mark.parametrize("given", ["1.1(a)", None, 5, tm.RenewalGuidance, pg.Source, str, tm.AnyProductGuidance])
def test_a_label_is_made_of_source_classes(given: object) -> None:
    with pytest.raises(pg.UnknownSource):
        pg.Label(given)  # type: ignore[arg-type]


def test_joining_unites_sources() -> None:
    one, other = pg.Label(tm.Registration), pg.Label(tm.Contract, tm.Cookie)
    both = pg.Label(tm.Registration, tm.Contract, tm.Cookie)
    assert one | other is both
    assert other | one is both
    assert one | one is one
    assert pg.Label.join(one, other, one) is both
    assert pg.Label.join(one) is one


def test_joining_with_what_is_no_label_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        pg.Label(tm.Registration) | tm.Contract


def test_not_personal_adds_nothing_to_other_sources() -> None:
    alone = pg.Label(pg.NotPersonal)
    assert alone.sources == {pg.NotPersonal}
    assert pg.Label(pg.NotPersonal, tm.Cookie) is pg.Label(tm.Cookie)
    assert alone | pg.Label(tm.Cookie) is pg.Label(tm.Cookie)
    assert pg.Label.join(alone, alone) is alone


def test_a_label_lists_its_sources_by_clause() -> None:
    label = pg.Label(tm.Cookie, tm.Contract, tm.Registration)
    expected: list[type[pg.Source]] = [tm.Registration, tm.Contract, tm.Cookie]
    assert list(label) == expected
    assert len(label) == 3
    assert tm.Cookie in label
    assert tm.ProductData not in label
    an_id: Any = "2.3"
    assert an_id not in label
    assert repr(label) == "Label(1.1(a), 1.1(c), 2.3)"


def test_a_label_cannot_be_changed() -> None:
    label = pg.Label(tm.Cookie)
    with pytest.raises(AttributeError):
        label.sources = frozenset()
    with pytest.raises(AttributeError):
        del label.sources
    with pytest.raises(AttributeError):
        label.other = 1


def test_copies_and_pickles_of_a_label_are_the_label() -> None:
    label = pg.Label(tm.Cookie, tm.Contract)
    assert copy.copy(label) is label
    assert copy.deepcopy([label])[0] is label
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(label, protocol)) is label
