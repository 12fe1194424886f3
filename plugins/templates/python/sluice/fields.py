"""Types of a record's fields: each reads a value, or says at which path it does not fit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from .money import decimal


@dataclass(eq=False)
class Finding(Exception):
    """One thing that is wrong with a record: raise it, or give it to `out.report`."""

    code: str
    field: str = ""
    severity: str = "error"
    rule: str | None = None

    def warning(self) -> "Finding":
        """The same as a warning, which stops nothing."""
        return replace(self, severity="warning")


def finding(code: str, field: str = "") -> Finding:
    """An error with this code at this field."""
    return Finding(code, field)


def missing(field: str) -> Finding:
    """A field that must be there is not."""
    return finding("MISSING_REQUIRED_FIELD", field)


def invalid(field: str) -> Finding:
    """Well-formed, and not among what is allowed."""
    return finding("INVALID_VALUE", field)


def rule(code: str, field: str = "") -> Finding:
    """It breaks the rule with this code."""
    return Finding("RULE_VIOLATION", field, rule=code)


@dataclass(frozen=True)
class Type:
    """Reads a value at a path; `names` are the fields inside."""

    read: Callable[[object, str], object]
    names: tuple[str, ...] = ()
    optional: bool = False


def _scalar(fits: Callable[[object], object]) -> Type:
    def read(value: object, path: str) -> object:
        if (found := fits(value)) is None:
            raise finding("INVALID_FORMAT", path)
        return found

    return Type(read)


def _whole(least: int, most: int) -> Type:
    return _scalar(lambda value: value if type(value) is int and least <= value <= most else None)


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        # Half of a surrogate pair is no Unicode.
        return value if value.isascii() or value.encode() else None
    except UnicodeEncodeError:
        return None


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
amount = _scalar(_amount)
"""An exact decimal, from a number or from a text that holds one."""


def optional(inner: Type) -> Type:
    """None where the field is missing or null."""
    return Type(lambda value, path: None if value is None else inner.read(value, path), inner.names, True)


def array(inner: Type) -> Type:
    """A list of such values."""

    def read(value: object, path: str) -> object:
        if not isinstance(value, list):
            raise finding("INVALID_FORMAT", path)
        return [inner.read(item, f"{path}[{index}]") for index, item in enumerate(value)]

    return Type(read, inner.names)


def record(fields: Mapping[str, Type]) -> Type:
    """An object with these fields, read as a dict that has all of them; others are passed over."""

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
