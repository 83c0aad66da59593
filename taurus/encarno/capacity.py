"""Measures a capacity instead of sending a load: its settings and its result."""

import json

from bzt import TaurusConfigError

from .load import Load
from .notes import Notes
from .variables import text_of

KEYS = frozenset("workers goal within connections precision trial".split())
# The exit statuses with results: everything is known; a bound is missing or the curve isn't
# reliable; the generator was the limit.
ENDED_WITH_RESULTS = (0, 2, 3)


def section_of(asked: object, load: Load, result: str, notes: Notes) -> dict:
    """The section `capacity` of encarno's configuration. The file `result` gets the result."""
    if not isinstance(asked, dict):
        raise TaurusConfigError("capacity: write keys, such as {goal: 'p99<50ms', workers: 1..200}")
    notes.unknown_keys("capacity", asked, KEYS)
    for name, value in (
        ("throughput", load.throughput),
        ("ramp-up", load.ramp_up),
        ("hold-for", load.hold),
        ("iterations", load.iterations),
    ):
        if value:
            notes.warn(f"{name}: the trials of a capacity say how much is sent: it has no effect")
    section = {key: _value(key, asked[key]) for key in sorted(KEYS & asked.keys())}
    if load.concurrency:
        section.setdefault("workers", f"1..{load.concurrency}")
    return section | {"jsonfile": result}


def _value(key: str, value: object) -> object:
    if key != "connections":
        return text_of(value)
    try:
        return int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError) as error:
        raise TaurusConfigError(f"capacity.connections: {value!r} isn't a number") from error


def outcome_of(path: str) -> dict:
    """The result; empty if the measurement was stopped before it began."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def lines_of(outcome: dict) -> list[str]:
    """The result as lines of text."""
    lines = []
    if peak := outcome.get("peak"):
        workers, rate = peak["workers"], peak["throughput"]
        lines.append(f"peak: {_interval(rate, '/s')} at {_interval(workers, ' workers')}")
    elif highest := outcome.get("highest"):
        rate = f"{highest['throughput']:.1f}/s"
        lines.append(f"peak: at least {rate}, at {highest['workers']} workers")
    if goal := outcome.get("goal"):
        bounds = [
            f"{word} at {goal[word]:.1f}/s" for word in ("holds", "fails") if goal[word] is not None
        ]
        lines.append(f"goal {goal['goal']}: {', '.join(bounds) or 'not searched for'}")
    return lines


def _interval(interval: dict, unit: str) -> str:
    ends = ("?" if interval[end] is None else f"{interval[end]:.1f}" for end in ("low", "high"))
    return f"{interval['value']:.1f}{unit} [{', '.join(ends)}]"
