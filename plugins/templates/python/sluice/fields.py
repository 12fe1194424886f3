"""Types of a record's fields. A type reads a value, or raises a finding with the path of the mismatch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from .money import decimal


@dataclass(eq=False)
class Finding(Exception):
    """An issue of the current record. Raise it, or pass it to `out.report`."""

    code: str
    field: str = ""
    severity: str = "error"
    rule: str | None = None

    def warning(self) -> "Finding":
        """Returns the finding with severity `warning`, which stops nothing."""
        return replace(self, severity="warning")


def finding(code: str, field: str = "") -> Finding:
    """Returns an error with this code at this field."""
    return Finding(code, field)


def missing(field: str) -> Finding:
    """Returns the error `MISSING_REQUIRED_FIELD` at this field."""
    return finding("MISSING_REQUIRED_FIELD", field)


def invalid(field: str) -> Finding:
    """Returns the error `INVALID_VALUE` at this field: the value is well-formed and not permitted."""
    return finding("INVALID_VALUE", field)


def rule(code: str, field: str = "") -> Finding:
    """Returns the error `RULE_VIOLATION` at this field, with the code of the broken rule."""
    return Finding("RULE_VIOLATION", field, rule=code)


@dataclass(frozen=True)
class Type:
    """A type of values.

    `read` reads a value at a path. `names` are the names of the fields inside. `optional` is true if the field may be
    missing.
    """

    read: Callable[[object, str], object]
    names: tuple[str, ...] = ()
    optional: bool = False


def _scalar(fits: Callable[[object], object]) -> Type:
    """Returns a type from a function that returns the value, or None for a value that does not fit."""

    def read(value: object, path: str) -> object:
        if (found := fits(value)) is None:
            raise finding("INVALID_FORMAT", path)
        return found

    return Type(read)


def _whole(least: int, most: int) -> Type:
    """Returns a type of whole numbers within these bounds."""
    return _scalar(lambda value: value if type(value) is int and least <= value <= most else None)


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        # Text with an unpaired surrogate is not valid Unicode.
        return value if value.isascii() or value.encode() else None
    except UnicodeEncodeError:
        return None


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        # Python refuses to read thousands of digits.
        value = int(value.lstrip("0")[:40] or "0")
    return value if type(value) is int and 0 <= value < 2**64 else None


def _amount(value: object) -> Decimal | None:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return decimal(str(value))


text = _scalar(_text)
"""Text."""
boolean = _scalar(lambda value: value if isinstance(value, bool) else None)
"""True or False."""
integer = _whole(-(2**63), 2**63 - 1)
"""A whole number."""
unsigned = _whole(0, 2**64 - 1)
"""A whole number that is not negative."""
number = _scalar(_number)
"""A whole number that is not negative, read from a number or from text that consists of digits."""
amount = _scalar(_amount)
"""An exact decimal, read from a number or from text with an amount."""


def optional(inner: Type) -> Type:
    """Returns a type that also accepts a missing field and null, as None."""
    return Type(lambda value, path: None if value is None else inner.read(value, path), inner.names, True)


def array(inner: Type) -> Type:
    """Returns a type of lists of such values."""

    def read(value: object, path: str) -> object:
        if not isinstance(value, list):
            raise finding("INVALID_FORMAT", path)
        return [inner.read(item, f"{path}[{index}]") for index, item in enumerate(value)]

    return Type(read, inner.names)


def record(fields: Mapping[str, Type]) -> Type:
    """Returns a type of objects with these fields. It reads a dict that has all of them, and ignores other fields."""

    def read(value: object, path: str) -> object:
        if not isinstance(value, dict):
            raise finding("INVALID_FORMAT", path)
        before = f"{path}." if path else ""
        found = {name: fields[name].read(inner, before + name) for name, inner in value.items() if name in fields}
        for name, inner in fields.items():
            if name not in found:
                if not inner.optional:
                    raise missing(before + name)
                found[name] = None
        return found

    return Type(read, tuple(name for field, inner in fields.items() for name in (field, *inner.names)))
