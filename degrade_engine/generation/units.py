"""Seconds and bytes in words."""

from __future__ import annotations


def clock(seconds: float) -> str:
    """3725 s as "1:02:05", 65 s as "1:05"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def duration(seconds: float) -> str:
    """Such as "12 minutes", "3.1 hours" or "2.5 days"."""
    if seconds < 60:
        return "less than a minute"
    for unit, length, most in (("minutes", 60.0, 90.0), ("hours", 3600.0, 48.0)):
        if seconds / length < most:
            return f"{seconds / length:.{1 if unit == 'hours' else 0}f} {unit}"
    return f"{seconds / 86400:.1f} days"


def size(count: int) -> str:
    """Bytes as kB, MB, GB or TB."""
    unit = next((n for n in range(1, 4) if count < 1000 ** (n + 1)), 4)
    number = count / 1000**unit
    return f"{number:.{0 if number >= 10 else 1}f} {('kB', 'MB', 'GB', 'TB')[unit - 1]}"
