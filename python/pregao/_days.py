"""Days, ranges of days and moments, and the business days of B3."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

# A day (`2020-04-01`), a month (`2020-04`), a year (`2020`), or a date.
Day = str | int | datetime.date
# A time with its offset from UTC, or a date: the end of that day in UTC.
Moment = str | datetime.date

_PERIOD = re.compile(r"([0-9]{4})(?:-([0-9]{2}))?(?:-([0-9]{2}))?")
_ONE_DAY = datetime.timedelta(days=1)


class Days(NamedTuple):
    """A range of days, both ends included. None is an open end."""

    first: datetime.date | None
    last: datetime.date | None

    def __contains__(self, day: object) -> bool:
        return (
            isinstance(day, datetime.date)
            and (self.first is None or self.first <= day)
            and (self.last is None or day <= self.last)
        )

    def __str__(self) -> str:
        if self.first is not None and self.first == self.last:
            return f"on {self.first}"
        ends = [f"from {self.first}" if self.first else "", f"to {self.last}" if self.last else ""]
        return " ".join(filter(None, ends)) or "on any day"


def days(start: Day | None, end: Day | None, on: Day | None) -> Days:
    """Returns the range from the first day of `start` to the last of `end`, or the period `on`."""
    if on is not None:
        if start is not None or end is not None:
            raise ValueError("give either on, or start and end")
        return Days(*period(on))
    first = None if start is None else period(start)[0]
    last = None if end is None else period(end)[1]
    if first and last and first > last:
        raise ValueError(f"{first} is after {last}")
    return Days(first, last)


def period(day: Day) -> tuple[datetime.date, datetime.date]:
    """Returns the first and the last day of a day, month or year."""
    if isinstance(day, datetime.datetime):
        if day.time() != datetime.time():
            raise ValueError(f"{day} is a time, and a day was expected")
        day = day.date()
    if isinstance(day, datetime.date):
        return day, day
    text = str(day)
    match = _PERIOD.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a day (2020-04-01), a month (2020-04) or a year (2020)")
    year, month, number = (int(part) if part else None for part in match.groups())
    try:
        if number:
            one = datetime.date(year or 0, month or 0, number)
            return one, one
        first = datetime.date(year or 0, month or 1, 1)
        next_month = datetime.date(first.year + (first.month == 12), first.month % 12 + 1, 1)
        return first, next_month - _ONE_DAY if month else datetime.date(first.year, 12, 31)
    except ValueError as error:
        raise ValueError(f"{text!r} is no date: {error}") from None


def moment(value: Moment) -> datetime.datetime:
    """Returns a moment in UTC. A date means its last millisecond in UTC. A time needs an offset."""
    if isinstance(value, datetime.datetime):
        time = value
    elif isinstance(value, datetime.date) or _PERIOD.fullmatch(value):
        first, last = period(value)
        if first != last:
            raise ValueError(f"{value!r} is no moment: 2026-11-20T09:00:00Z, or a day, which means its end in UTC")
        time = datetime.datetime.combine(last, datetime.time(23, 59, 59, 999000), datetime.timezone.utc)
    else:
        time = parse_time(value)
    if time.tzinfo is None:
        raise ValueError(f"{value} has no offset from UTC: write 2026-11-20T09:00:00-03:00, or Z for UTC")
    return time.astimezone(datetime.timezone.utc)


def parse_time(text: str) -> datetime.datetime:
    """Returns a time of RFC 3339. Python 3.10 reads neither `Z` nor fractions of any length."""
    match = re.fullmatch(r"(.*?[0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.([0-9]+))?(Z|[+-][0-9:]+)?", text)
    if not match:
        raise ValueError(f"{text!r} is no time such as 2026-11-20T09:00:00Z")
    seconds, fraction, offset = match.groups()
    fraction = f".{(fraction + '000000')[:6]}" if fraction else ""
    return datetime.datetime.fromisoformat(f"{seconds}{fraction}{'+00:00' if offset == 'Z' else offset or ''}")


# --- the calendar of B3, as the program has it ------------------------------------------------------

# Holidays by month and day, with the years in which the exchange was closed for them.
_HOLIDAYS: dict[tuple[int, int], Callable[[int], bool]] = {
    (1, 1): lambda year: True,
    (1, 25): lambda year: year < 2022,
    (4, 21): lambda year: True,
    (5, 1): lambda year: True,
    (7, 9): lambda year: year < 2022 and year != 2020,
    (9, 7): lambda year: True,
    (10, 12): lambda year: True,
    (11, 2): lambda year: True,
    (11, 15): lambda year: True,
    (11, 20): lambda year: year >= 2007 and year not in (2020, 2022, 2023),
    (12, 24): lambda year: True,
    (12, 25): lambda year: True,
    (12, 31): lambda year: True,
}
# Days after Easter: Carnival, Good Friday, Corpus Christi.
_MOVABLE = (-48, -47, -2, 60)
_ASH_WEDNESDAY = -46
_FRIDAY = 4


def is_business_day(day: datetime.date) -> bool:
    """Whether B3 trades on a day."""
    if day.weekday() > _FRIDAY:
        return False
    holiday = _HOLIDAYS.get((day.month, day.day))
    if holiday is not None and holiday(day.year):
        return False
    if day.month == 12 and day.day >= 29 and day.weekday() == _FRIDAY:
        return False  # The last business day of the year, if it is a Friday.
    return (day - easter(day.year)).days not in _MOVABLE


def business_days(first: datetime.date, last: datetime.date) -> Iterator[datetime.date]:
    """Yields the days on which B3 trades, from `first` to `last`."""
    for number in range(first.toordinal(), last.toordinal() + 1):
        day = datetime.date.fromordinal(number)
        if is_business_day(day):
            yield day


def ash_wednesday(year: int) -> datetime.date:
    """Returns the day on which trading opens at 13:00."""
    return easter(year) + datetime.timedelta(days=_ASH_WEDNESDAY)


def easter(year: int) -> datetime.date:
    """Returns Easter Sunday, by the algorithm of Meeus, Jones and Butcher."""
    golden, century, of_century = year % 19, year // 100, year % 100
    moon = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (of_century // 4) - moon - of_century % 4) % 7
    correction = (golden + 11 * moon + 22 * weekday) // 451
    month, day = divmod(moon + weekday - 7 * correction + 114, 31)
    return datetime.date(year, month, day + 1)
