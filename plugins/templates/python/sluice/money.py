"""Money: exact decimals, never floats."""

import re
from decimal import ROUND_HALF_UP, Decimal, getcontext

from .currencies import fraction_digits

# Enough digits for the product of any two amounts, so that results stay exact.
getcontext().prec = 60

_FORM = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_UNITS_LIMIT = 2**96
_MAX_DIGITS = 28


def decimal(text: str) -> Decimal | None:
    """Returns the number of a text, None if the text is no number or has more than 28 digits."""
    if not _FORM.fullmatch(text):
        return None
    number = Decimal(text)
    exponent = number.as_tuple().exponent
    if not -_MAX_DIGITS <= exponent <= _MAX_DIGITS:
        return None
    whole = number if exponent > 0 else number.scaleb(-exponent)
    return number if abs(whole) < _UNITS_LIMIT else None


def minor_units(amount: Decimal, currency: str) -> int | None:
    """Returns the amount in the minor unit of the currency.

    Returns None if the amount has more fraction digits than the currency, or ISO 4217 does not have the currency.
    """
    digits = fraction_digits(currency)
    if digits is None:
        return None
    units = amount.scaleb(digits)
    return int(units) if units == units.to_integral_value() else None


def from_minor_units(units: int, currency: str) -> Decimal | None:
    """Returns the amount for this number of minor units, with all fraction digits of the currency.

    Returns None if ISO 4217 does not have the currency.
    """
    digits = fraction_digits(currency)
    return None if digits is None else Decimal(units).scaleb(-digits)


def rounded(amount: Decimal, digits: int) -> Decimal:
    """Returns the amount with this number of fraction digits, rounded half up."""
    return amount.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
