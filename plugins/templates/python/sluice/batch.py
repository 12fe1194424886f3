"""Packs and unpacks batches: records end to end, and where each ends."""

from collections.abc import Sequence


def unpack(data: bytes, ends: Sequence[int]) -> list[bytes]:
    """The records in a batch."""
    return [data[start:end] for start, end in zip([0, *ends], ends)]


def pack(records: Sequence[bytes]) -> tuple[bytes, list[int]]:
    """Records as the bytes and the ends of a batch."""
    ends, end = [], 0
    for record in records:
        end += len(record)
        ends.append(end)
    return b"".join(records), ends
