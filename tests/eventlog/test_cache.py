"""The cache: bounded in bytes, least recently used first out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ride_trio.eventlog.cache import Cache

ITEM = 250  # what an item costs beside its bytes


def test_what_was_put_is_got_until_it_is_dropped() -> None:
    cache = Cache(10_000)
    cache.put("a", b"value", 5)
    assert cache.get("a") == b"value"
    cache.put("a", b"other", 5)
    assert (cache.get("a"), len(cache), cache.size_bytes) == (b"other", 1, ITEM + 5)
    cache.drop("a")
    cache.drop("a")
    assert (cache.get("a"), cache.size_bytes) == (None, 0)
    assert (cache.hits, cache.misses) == (2, 1)


def test_the_least_recently_used_goes_first() -> None:
    cache = Cache(3 * (ITEM + 100))
    for key in "abc":
        cache.put(key, key, 100)
    cache.get("a")
    cache.put("d", "d", 100)
    assert [key for key in "abcd" if cache.get(key)] == ["a", "c", "d"]


def test_what_is_put_together_with_one_other_is_got_however_small_the_bound() -> None:
    cache = Cache(100)
    cache.put("index", 1, 10_000)
    cache.put("batch", 2, 10_000)
    assert (cache.get("index"), cache.get("batch")) == (1, 2)
    cache.put("next", 3, 10_000)
    assert (len(cache), cache.get("next")) == (2, 3)


def test_clear() -> None:
    cache = Cache(10_000)
    cache.put("a", 1, 5)
    cache.clear()
    assert (len(cache), cache.size_bytes, cache.get("a")) == (0, 0, None)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2_000), st.booleans())))
def test_it_never_holds_more_than_its_bound_but_for_the_last_two(steps: list[tuple[int, int, bool]]) -> None:
    cache, sizes = Cache(3_000), dict[int, int]()
    for key, size, put in steps:
        if put:
            cache.put(key, size, size)
            sizes[key] = size
            assert cache.get(key) == size
        else:
            cache.drop(key)
        held = [key for key in sizes if cache.get(key) is not None]
        assert cache.size_bytes == sum(sizes[key] + ITEM for key in held)
        assert cache.size_bytes <= 3_000 or len(held) <= 2
