"""Parts of lists and mappings."""

from __future__ import annotations

from purposeguard.containers import drop_none, drop_none_values, exclude, intersect, map_values, omit_keys, pick_keys


def test_parts_of_lists_and_mappings_keep_their_order() -> None:
    assert drop_none((2, None, 0)) == [2, 0]
    assert exclude("cbab", "xa") == ["c", "b", "b"]
    assert intersect("cbab", "bax") == ["b", "a", "b"]
    assert drop_none_values({"b": 0, "a": None, "c": 1}) == {"b": 0, "c": 1}
    assert list(omit_keys({"b": 0, "a": 1, "c": 2}, {"a"}).items()) == [("b", 0), ("c", 2)]
    assert list(pick_keys({"b": 0, "a": 1, "c": 2}, ("c", "d", "b")).items()) == [("c", 2), ("b", 0)]
    assert map_values(str, {"b": 0, "a": 1}) == {"b": "0", "a": "1"}
