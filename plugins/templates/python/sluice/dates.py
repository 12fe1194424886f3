"""Dates: reading the formats of old systems and the platform's `yyyy-MM-dd`."""

import calendar
import re
from datetime import date as Date

_FORM = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)


def _civil(year: int, month: int, day: int) -> Date | None:
    try:
        return Date(year, month, day)
    except ValueError:
        return None


def date(text: str) -> Date | None:
    """Reads `yyyy-MM-dd`, from 0001-01-01 on.

    Returns None if the text has another form or is no calendar day.
    """
    parts = _FORM.fullmatch(text)
    return _civil(*map(int, parts.groups())) if parts else None


def yymmdd(number: int) -> Date | None:
    """Reads YYMMDD in the 1900s from a number: 930705 is 1993-07-05.

    Leading zeros may be missing: 10203 is 1901-02-03. Returns None if the number is no calendar day.
    """
    if not 0 <= number <= 999_999:
        return None
    return _civil(1900 + number // 10_000, number // 100 % 100, number % 100)


def months_after(day: Date, months: int) -> Date | None:
    """Returns the same day this number of months later, or the last day of that month if it has no such day.

    Returns None beyond the year 9999.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year > 9999:
        return None
    return Date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
