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


def figures_of(outcome: dict) -> dict[str, str]:
    """The result as figures with names, for Taurus's files. What isn't known is left out."""
    figures = {}
    for name, interval in _intervals(outcome):
        for suffix, end in (("", "value"), ("_low", "low"), ("_high", "high")):
            figures[name + suffix] = interval[end]
    if highest := outcome.get("highest"):
        figures["highest"] = highest["throughput"]
        figures["highest_workers"] = highest["workers"]
    if goal := outcome.get("goal"):
        figures["goal_holds"], figures["goal_fails"] = goal["holds"], goal["fails"]
    # Texts, because Taurus would write a number with five digits after the point.
    known = {name: f"{value:.6g}" for name, value in figures.items() if value is not None}
    return {"status": outcome["status"]} | known


def rows_of(outcome: dict) -> list[tuple[str, str, str, str]]:
    """The result as the rows of a table."""
    rows = [("capacity", "value", "95 % from", "to")]
    for name, interval in _intervals(outcome):
        rows.append((_SHOWN[name], *(_shown(interval[end]) for end in ("value", "low", "high"))))
    highest = outcome.get("highest")
    if highest and not outcome.get("peak"):
        rows.append((_SHOWN["peak"], "", f"at least {_shown(highest['throughput'])}", ""))
        rows.append((_SHOWN["peak_workers"], "", f"at least {highest['workers']}", ""))
    if goal := outcome.get("goal"):
        kept = f"rate with {goal['goal']}, hits/s"
        holds, fails = (_shown(goal[end]) for end in ("holds", "fails"))
        rows.append((kept, "", f"holds at {holds}", f"fails at {fails}"))
    return rows


_SHOWN = {
    "lambda": "λ: hits/s of one worker",
    "sigma": "σ: contention",
    "kappa": "κ: coherency",
    "peak": "peak, hits/s",
    "peak_workers": "peak, workers",
}


def _intervals(outcome: dict) -> list[tuple[str, dict]]:
    """The values that have an interval, with their names."""
    intervals = list((outcome.get("usl") or {}).items())
    if peak := outcome.get("peak"):
        intervals += [("peak", peak["throughput"]), ("peak_workers", peak["workers"])]
    return [(name, interval) for name, interval in intervals if name in _SHOWN]


def _shown(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"
