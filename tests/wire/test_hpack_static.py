"""The static table."""

from hpack.table import HeaderTable

from ride_trio.wire.hpack_static import STATIC_ENTRIES, STATIC_TABLE, field


def test_it_is_the_table_of_the_rfc() -> None:
    assert len(STATIC_TABLE) == STATIC_ENTRIES + 1
    assert [(name, value) for name, value, _ in STATIC_TABLE[1:]] == list(HeaderTable.STATIC_TABLE)


def test_an_entry_counts_32_bytes_more_than_its_text() -> None:
    assert field(b"name", b"value") == (b"name", b"value", 41)
    assert all(field(name, value)[2] == size for name, value, size in STATIC_TABLE)
