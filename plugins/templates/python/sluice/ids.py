"""Reference ids. They are derived from natural keys, so two tables can refer to each other before either is loaded."""

import re
from hashlib import sha1

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def uuid(text: str) -> str | None:
    """Returns a hyphenated UUID in lower case, None for any other text."""
    return text.lower() if _UUID.fullmatch(text) else None


def reference_id(migration: bytes, entity_type: str, key: object) -> str:
    """Returns the UUIDv5 of the migration's reference id (16 bytes) and `entity_type:key`."""
    digest = bytearray(sha1(migration + f"{entity_type}:{key}".encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
