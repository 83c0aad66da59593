"""Translates Taurus's load (concurrency, throughput, ramp-up, …) to encarno's workers."""

from dataclasses import dataclass

from bzt import TaurusConfigError
from bzt.engine import ScenarioExecutor

from .durations import seconds_of
from .notes import Notes

EXECUTION_KEYS = frozenset(
    "executor scenario concurrency throughput ramp-up hold-for iterations steps "
    "delay start-at env files capacity scenario-component".split()
)
# The length of a run that something else ends. A schedule has ten years at most.
FOREVER_S = 365 * 86400.0
# The same as in `encarno hit`.
OPEN_WORKERS_MAX = 1000


@dataclass(frozen=True)
class Load:
    """The load that an execution asks for; 0 = not given."""

    concurrency: int
    throughput: float
    ramp_up: float
    hold: float
    iterations: int
    steps: int

    @classmethod
    def of(cls, executor: ScenarioExecutor, notes: Notes) -> "Load":
        raw = executor.get_raw_load()
        # get_load() would turn a throughput of 0.5 into 0.
        load = cls(
            concurrency=int(_number("concurrency", raw.concurrency)),
            throughput=_number("throughput", raw.throughput),
            ramp_up=seconds_of(raw.ramp_up or 0, "ramp-up"),
            hold=seconds_of(raw.hold or 0, "hold-for"),
            iterations=int(_number("iterations", raw.iterations)),
            steps=int(_number("steps", raw.steps)),
        )
        if load.steps and not load.ramp_up:
            notes.warn("steps: there is no ramp-up to be done in steps: it has no effect")
        return load

    @property
    def passes(self) -> int:
        """How often each user goes through the scenario; 0 = as often as possible."""
        return self.iterations or (0 if self.hold or self.ramp_up else 1)

    @property
    def users(self) -> int:
        return max(self.concurrency, 1)

    @property
    def _timed(self) -> bool:
        """Whether time ends the run. As in Taurus, a ramp-up alone doesn't end the iterations
        of a run."""
        return bool(self.hold or (self.ramp_up and not self.iterations))

    def workers(self) -> dict:
        """The section `workers` of the configuration."""
        if self.throughput:
            schedule = self._levels(self.throughput)
            workers_max = self.concurrency or OPEN_WORKERS_MAX
            return {"mode": "open", "workloadschedule": schedule, "maxworkers": workers_max}
        workers: dict = {"mode": "closed", "maxworkers": self.users}
        if self._timed or self.ramp_up:
            workers["workloadschedule"] = self._levels(self.users)
        else:
            workers["startingworkers"] = self.users
        return workers

    def _levels(self, level: float) -> list[dict]:
        levels = []
        if self.ramp_up and self.steps:
            for step in range(1, self.steps + 1):
                part = round(level * step / self.steps, 6)
                levels.append(_level(part, part, self.ramp_up / self.steps))
        elif self.ramp_up:
            levels.append(_level(0, level, self.ramp_up))
        hold = self.hold if self._timed else FOREVER_S
        if hold:
            levels.append(_level(level, level, hold))
        return levels


def _level(start: float, end: float, duration_s: float) -> dict:
    return {"levelstart": start, "levelend": end, "duration": f"{duration_s:.6f}s"}


def _number(key: str, value: object) -> float:
    try:
        number = float(value or 0)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < float("inf"):
        raise TaurusConfigError(f"{key}: {value!r} isn't a number from 0 on")
    return number
