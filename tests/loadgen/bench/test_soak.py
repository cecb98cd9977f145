"""Half a minute of the soak: memory is flat from the first ebb on, and nothing is left."""

from __future__ import annotations

from ride_trio_loadgen.bench import soak


def test_soak() -> None:
    result = soak.soak(30)
    assert not any(result.left.values()), result.left
    # In so short a time what the allocator gives back is chance: this finds coarse leaks, ten minutes the fine ones.
    assert result.growth_bytes <= 2 * soak.MOST_GROWTH_BYTES
    for what in ("connections torn away", "connections sent away idle", "connections aged", "resets", "half-closed"):
        assert result.done[what] > 0
