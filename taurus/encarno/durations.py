"""Durations, as Taurus writes them."""

from bzt import TaurusConfigError, TaurusException
from bzt.utils import dehumanize_time


def duration_of(value: object, place: str = "") -> str:
    """A duration in the format of encarno's configuration."""
    seconds = f"{seconds_of(value, place):.6f}".rstrip("0").rstrip(".")
    return f"{seconds}s"


def seconds_of(value: object, place: str) -> float:
    """The seconds of a duration in Taurus's format. Errors name the setting `place`."""
    try:
        seconds = dehumanize_time(value)
    except (TaurusException, TypeError, ValueError):
        seconds = -1
    if seconds < 0:
        advice = "write it as 1.5s, 300ms or 2m"
        raise TaurusConfigError(f"{place}: {value!r} is no duration: {advice}")
    return seconds
