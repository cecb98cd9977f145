"""What of the log is kept in memory: the newest batches, as they were written, and what was read of older ones.

One bounded cache for all topics, least recently used first out. Tails find what they want here, so that a file is read
only for those who are behind; and readers hold nothing of their own, so one that does not go on costs nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Final

# What an item costs beside its bytes: its key, its value's object, a place in the table.
_ITEM_BYTES: Final = 250
# Kept whatever their size: a batch and the index that it was found by, without both of which no reader gets on.
_LEAST_ITEMS: Final = 2


class Cache:
    """A least-recently-used cache, bounded in bytes.

    Args:
        bound_bytes: Of all that it holds.

    Attributes:
        size_bytes: What it holds now.
        hits, misses: Of `get`, since the start.
    """

    __slots__ = ("_items", "bound_bytes", "hits", "misses", "size_bytes")

    def __init__(self, bound_bytes: int) -> None:
        self.bound_bytes = bound_bytes
        self.size_bytes = 0
        self.hits = self.misses = 0
        self._items: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"<Cache {len(self._items)} items, {self.size_bytes} of {self.bound_bytes} bytes>"

    def get(self, key: Hashable) -> Any | None:
        """The value, or None."""
        item = self._items.get(key)
        if item is None:
            self.misses += 1
            return None
        self.hits += 1
        self._items.move_to_end(key)
        return item[0]

    def put(self, key: Hashable, value: Any, size_bytes: int) -> None:
        """Keep a value, and drop others for it; never the one that was put or got before it, whatever the bound."""
        self.drop(key)
        size_bytes += _ITEM_BYTES
        self._items[key] = (value, size_bytes)
        self.size_bytes += size_bytes
        while self.size_bytes > self.bound_bytes and len(self._items) > _LEAST_ITEMS:
            _, (_, dropped) = self._items.popitem(last=False)
            self.size_bytes -= dropped

    def drop(self, key: Hashable) -> None:
        """Forget a value, if it is there."""
        item = self._items.pop(key, None)
        if item is not None:
            self.size_bytes -= item[1]

    def clear(self) -> None:
        self._items.clear()
        self.size_bytes = 0
