"""Money: exact decimals, never floats."""

import re
from decimal import ROUND_HALF_UP, Decimal, getcontext

from .currencies import fraction_digits

# Enough digits for the product of any two amounts, so that results stay exact.
getcontext().prec = 60

_TEXT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_JSON = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?0*[0-9]{1,6})?")
_UNITS_LIMIT = 2**96
_UNITS_DIGITS = 29
_MAX_SCALE = 28


def decimal(text: str) -> Decimal | None:
    """Returns the amount of a text, `-?(0|[1-9][0-9]*)(\\.[0-9]+)?`.

    Returns None for any other text, and for a number that has more than 28 fraction digits or whose digits without the
    point are 2^96 or more.
    """
    return _exact(text) if _TEXT.fullmatch(text) else None


def json_decimal(text: str) -> Decimal | None:
    """Returns a JSON number, which may have an exponent. The limits of `decimal` apply to it without the exponent."""
    return _exact(text) if _JSON.fullmatch(text) else None


def _exact(text: str) -> Decimal | None:
    """Returns a number of which the form has been checked, None if it does not fit."""
    number = Decimal(text)
    sign, digits, exponent = number.as_tuple()
    if -_MAX_SCALE <= exponent <= 0 and len(digits) < _UNITS_DIGITS:
        return number if number else abs(number)
    if not -_MAX_SCALE <= exponent <= _MAX_SCALE or len(digits) > _UNITS_DIGITS:
        return None
    # An exponent above zero is written out, so that the number has the digits that the other SDKs give it.
    units = int("".join(map(str, digits))) * 10 ** max(exponent, 0)
    if units >= _UNITS_LIMIT:
        return None
    return Decimal((sign if units else 0, tuple(map(int, str(units))), min(exponent, 0)))


def minor_units(amount: Decimal, currency: str) -> int | None:
    """Returns the amount in the minor unit of the currency.

    Returns None if the amount has more fraction digits than the currency, ISO 4217 does not have the currency, or the
    number does not fit in 64 bits.
    """
    digits = fraction_digits(currency)
    if digits is None:
        return None
    units = amount.scaleb(digits)
    return int(units) if units == units.to_integral_value() and -(2**63) <= units < 2**63 else None


def from_minor_units(units: int, currency: str) -> Decimal | None:
    """Returns the amount for this number of minor units, with all fraction digits of the currency.

    Returns None if ISO 4217 does not have the currency.
    """
    digits = fraction_digits(currency)
    return None if digits is None else Decimal(units).scaleb(-digits)


def rounded(amount: Decimal, digits: int) -> Decimal:
    """Returns the amount with this number of fraction digits, rounded half up."""
    return amount.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
