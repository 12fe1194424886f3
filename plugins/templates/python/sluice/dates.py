"""Dates: `yyyy-MM-dd` on the platform's side, whatever the old system used on the other."""

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
    """Reads `yyyy-MM-dd`; only real calendar days."""
    parts = _FORM.fullmatch(text)
    return _civil(*map(int, parts.groups())) if parts else None


def yymmdd(number: int) -> Date | None:
    """Reads YYMMDD as a number, in the 1900s: 930705 is 1993-07-05.

    A number below 100000 has lost the zeros at its front.
    """
    if not 0 <= number <= 999_999:
        return None
    return _civil(1900 + number // 10_000, number // 100 % 100, number % 100)


def months_after(day: Date, months: int) -> Date | None:
    """The same day so many months later, or the last of that month where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year > 9999:
        return None
    return Date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
