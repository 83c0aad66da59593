"""A load in Python: days with a quiet night and a busy noon, which end as soon as too many hits
fail. The settings are `night=20 noon=200 day=60 for=60 failing=0.1`: hits per second, seconds,
and the share of a second's hits.

    componentize-py -d wit/scenario -w shape componentize -p _examples/guests/python day -o day.wasm
"""

import math

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.shaper import (
    Load,
    Load_Rate,
    Segment,
    Verdict,
    Verdict_Hold,
    Verdict_Stop,
    Window,
)

# The straight lines of a day, and the most that a load may have.
LINES, LINES_MAX = 96, 10_000
USUAL = {"night": 20.0, "noon": 200.0, "day": 60.0, "for": 60.0, "failing": 0.1}


class Run:
    """What has to last from one call to the next: each call has a `Shaper` of its own."""

    failing = 0.0
    busiest = 0
    busiest_s = 0.0


class Shaper(exports.Shaper):
    def configure(self, settings: str, seed: int) -> Load:
        given = dict(USUAL)
        for word in settings.split():
            name, _, text = word.partition("=")
            number = number_of(text)
            if name not in USUAL or number is None:
                raise Err(f"{word!r}: write {', '.join(USUAL)}, each with =NUMBER")
            given[name] = number
        if given["day"] < 1:
            raise Err("a day has a second at least")
        day, end = given["day"] * 1e9, round(given["for"] * 1e9)
        if end / day * LINES > LINES_MAX:
            raise Err(f"a load has {LINES_MAX} lines, {LINES} a day: write fewer days")
        Run.failing = given["failing"]
        segments, begin = [], 0
        while begin < end:
            until = min(round(day * (len(segments) + 1) / LINES), end)
            levels = (rate(instant / day, given) for instant in (begin, until))
            segments.append(Segment(begin, until, *levels))
            begin = until
        return Load_Rate(segments)

    def tick(self, window: Window) -> Verdict:
        ended = window.done + window.failed
        if ended > Run.busiest:
            Run.busiest, Run.busiest_s = ended, window.to_ns / 1e9
        if window.failed > Run.failing * ended:
            return Verdict_Stop(f"{window.failed} of {ended} hits failed")
        return Verdict_Hold()

    def report(self) -> str:
        return f"{Run.busiest} hits in the busiest second, the one before {Run.busiest_s:.0f} s"


def rate(days: float, given: dict[str, float]) -> float:
    """Hits per second after so many days. A day begins at midnight."""
    light = (1 - math.cos(2 * math.pi * days)) / 2
    return given["night"] + (given["noon"] - given["night"]) * light


def number_of(text: str) -> float | None:
    """A number from 0 on, or nothing."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None
