"""JSON in the form that the host and the other SDKs write, with exact numbers."""

import json
from datetime import date as Date
from decimal import Decimal

from .money import json_decimal

_quoted = json.encoder.encode_basestring


class _NotANumber:
    """A placeholder for a number that fits no type."""


_MAX_WHOLE = 40
"""Maximum length of a whole number. No type holds a longer one, and Python refuses to read one of thousands of digits."""


def _whole(text: str) -> object:
    if text == "-0":
        # An amount may be written like this, a whole number may not.
        return Decimal(0)
    return _NotANumber() if len(text) > _MAX_WHOLE else int(text)


def _fraction(text: str) -> object:
    return _NotANumber() if (number := json_decimal(text)) is None else number


def _refuse(text: str) -> object:
    raise ValueError(f"{text} is not JSON")


_decoder = json.JSONDecoder(parse_int=_whole, parse_float=_fraction, parse_constant=_refuse)


def parse(text: str) -> object:
    """Reads a value. Whole numbers become ints, and other numbers Decimals."""
    return _decoder.decode(text)


def write(value: object) -> str:
    """Writes a value without white space. Fields keep their order."""
    if isinstance(value, str):
        return _quoted(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Date):
        return f'"{value.isoformat()}"'
    if isinstance(value, dict):
        return "{" + ",".join([f"{_quoted(name)}:{write(field)}" for name, field in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([write(item) for item in value]) + "]"
    if isinstance(value, float):
        raise TypeError("a float is not exact: use a Decimal")
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
