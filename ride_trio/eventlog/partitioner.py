"""Which partition a record goes to, if its producer leaves that to us.

With a key: murmur2 of it, as Kafka's default partitioner has it, so that a key lands where Kafka's clients would put it
(https://kafka.apache.org/documentation/#producerconfigs_partitioner.class); of very long keys their checksum's, since
here murmur2 takes a second for some megabytes. Without one: by turns, but so much to one partition before the next that
batches stay worth their headers, as Kafka's sticky partitioner does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from crc32c import crc32c

STICKY_BYTES: Final = 16_384
# A record's offset, partition and timestamp with their tags: so much it has even without a value.
_LEAST_BYTES: Final = 16
# Longer keys are hashed anew each time: what is kept of hashes is bounded in number, not in bytes.
_SHORT_BYTES: Final = 64
# The longest keys that are hashed as Kafka does: a millisecond's work.
_LONG_BYTES: Final = 8_192
_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_R: Final = 24
_MASK: Final = 0xFFFFFFFF
_POSITIVE: Final = 0x7FFFFFFF


def key_hash(key: bytes) -> int:
    """MurmurHash2 of a key, 32 bits, with Kafka's seed, made positive as Kafka does."""
    if len(key) <= _SHORT_BYTES:
        return _hash_of_short(key)
    return _hash(key if len(key) <= _LONG_BYTES else crc32c(key).to_bytes(4, "little"))


def _hash(key: bytes) -> int:
    length = len(key)
    h = _SEED ^ length
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little") * _M & _MASK
        k = (k ^ k >> _R) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if length > whole:
        h = (h ^ int.from_bytes(key[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return (h ^ h >> 15) & _POSITIVE


_hash_of_short = lru_cache(maxsize=65_536)(_hash)


class Partitioner:
    """One topic's.

    Args:
        partitions: How many there are.
    """

    __slots__ = ("_left", "_partitions", "_turn")

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._turn = 0
        self._left = STICKY_BYTES

    def choose(self, key: bytes, size: int) -> int:
        """The partition of a record.

        Args:
            key: Its key; empty without one.
            size: Bytes of its value.
        """
        if key:
            return key_hash(key) % self._partitions
        chosen = self._turn
        self._left -= size + _LEAST_BYTES
        if self._left <= 0:
            self._left = STICKY_BYTES
            self._turn = (chosen + 1) % self._partitions
        return chosen

    def choose_for(self, producer_id: int, key: bytes) -> int:
        """The same for an idempotent producer: what it sends again has to come to where it was."""
        return key_hash(key or producer_id.to_bytes(8, "big", signed=True)) % self._partitions
