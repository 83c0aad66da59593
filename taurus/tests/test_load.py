"""Load: each key of an execution."""

import pytest
from bzt import TaurusConfigError

from encarno.load import FOREVER_S, Load


def load_of(make_executor, notes, **execution):
    execution = {key.replace("_", "-"): value for key, value in execution.items()}
    return Load.of(make_executor(execution), notes)


def levels(load):
    schedule = load.workers().get("workloadschedule", [])
    return [
        (item["levelstart"], item["levelend"], float(item["duration"][:-1])) for item in schedule
    ]


def test_without_anything_a_user_goes_through_once(make_executor, notes):
    load = load_of(make_executor, notes)
    assert load.workers() == {"mode": "closed", "maxworkers": 1, "startingworkers": 1}
    assert load.passes == 1


def test_concurrency_ramps_up_and_holds(make_executor, notes):
    load = load_of(make_executor, notes, concurrency=10, ramp_up="10s", hold_for="1m")
    assert load.workers()["mode"] == "closed"
    assert levels(load) == [(0, 10, 10), (10, 10, 60)]
    assert load.passes == 0


def test_steps_divide_the_ramp_up(make_executor, notes):
    load = load_of(make_executor, notes, concurrency=4, ramp_up="6s", steps=3, hold_for="1s")
    assert levels(load) == [
        (1.333333, 1.333333, 2),
        (2.666667, 2.666667, 2),
        (4, 4, 2),
        (4, 4, 1),
    ]


def test_steps_without_a_ramp_up_are_told(make_executor, notes):
    load_of(make_executor, notes, concurrency=4, steps=3, hold_for="1s")
    assert any("steps" in text for text in notes.said)


@pytest.mark.parametrize("throughput", [0.5, 100, "250.25"])
def test_throughput_may_be_a_fraction(make_executor, notes, throughput):
    load = load_of(make_executor, notes, throughput=throughput, hold_for="4s")
    assert load.workers()["mode"] == "open"
    assert levels(load) == [(float(throughput), float(throughput), 4)]


def test_concurrency_bounds_throughput(make_executor, notes):
    given = load_of(make_executor, notes, throughput=9, concurrency=7, hold_for="4s")
    assert given.workers()["maxworkers"] == 7
    free = load_of(make_executor, notes, throughput=9, hold_for="4s")
    assert free.workers()["maxworkers"] == 1000


def test_throughput_without_a_duration_lasts_for_its_iterations(make_executor, notes):
    load = load_of(make_executor, notes, throughput=5, iterations=3)
    assert levels(load) == [(5, 5, FOREVER_S)]
    assert load.passes == 3


def test_iterations_with_and_without_a_duration(make_executor, notes):
    load = load_of(make_executor, notes, concurrency=2, iterations=5, hold_for="1h")
    assert (levels(load), load.passes) == ([(2, 2, 3600)], 5)
    load = load_of(make_executor, notes, concurrency=2, iterations=5)
    assert (levels(load), load.passes) == ([], 5)
    # Iterations that were asked for aren't cut off by the ramp-up's end.
    load = load_of(make_executor, notes, concurrency=2, iterations=5, ramp_up="3s")
    assert levels(load) == [(0, 2, 3), (2, 2, FOREVER_S)]
    load = load_of(make_executor, notes, concurrency=2, ramp_up="3s")
    assert (levels(load), load.passes) == ([(0, 2, 3)], 0)


@pytest.mark.parametrize("key", ["concurrency", "throughput", "iterations", "steps"])
def test_what_is_no_number_is_named(make_executor, notes, key):
    with pytest.raises(TaurusConfigError, match=key):
        load_of(make_executor, notes, **{key: "many"})
