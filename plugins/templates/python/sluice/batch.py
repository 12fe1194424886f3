"""Packing and unpacking of batches: concatenated records and the end of each."""

from collections.abc import Sequence


def unpack(data: bytes, ends: Sequence[int]) -> list[bytes]:
    """Returns the records of a batch."""
    return [data[start:end] for start, end in zip([0, *ends], ends)]


def pack(records: Sequence[bytes]) -> tuple[bytes, list[int]]:
    """Returns the bytes and the ends of a batch of records."""
    ends, end = [], 0
    for record in records:
        end += len(record)
        ends.append(end)
    return b"".join(records), ends
