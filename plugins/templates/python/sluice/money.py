"""Money: exact decimals, never a float."""

import re
from decimal import ROUND_HALF_UP, Decimal, getcontext

from .currencies import fraction_digits

# Enough for the product of any two amounts: what is exact stays exact.
getcontext().prec = 60

_FORM = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_MOST = 2**96
_MOST_DIGITS = 28


def decimal(text: str) -> Decimal | None:
    """The number that these digits spell; None when it is none, or has more than 28 digits."""
    if not _FORM.fullmatch(text):
        return None
    number = Decimal(text)
    exponent = number.as_tuple().exponent
    if not -_MOST_DIGITS <= exponent <= _MOST_DIGITS:
        return None
    whole = number if exponent > 0 else number.scaleb(-exponent)
    return number if abs(whole) < _MOST else None


def minor_units(amount: Decimal, currency: str) -> int | None:
    """The amount in the currency's minor unit.

    None when it has more fraction digits than the currency, or ISO 4217 does not know the currency.
    """
    digits = fraction_digits(currency)
    if digits is None:
        return None
    units = amount.scaleb(digits)
    return int(units) if units == units.to_integral_value() else None


def from_minor_units(units: int, currency: str) -> Decimal | None:
    """The amount that is so many of the currency's minor units, with all its fraction digits."""
    digits = fraction_digits(currency)
    return None if digits is None else Decimal(units).scaleb(-digits)


def rounded(amount: Decimal, digits: int) -> Decimal:
    """With so many fraction digits, rounded half up as one does by hand."""
    return amount.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
