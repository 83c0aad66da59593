"""A capacity under Taurus, and where Taurus shows it."""

import json
import math

from bzt_run import Bzt, free_port

from encarno.capacity import figures_of, rows_of

QUICK = {"trial": "500ms..600ms", "precision": "20%"}
LAMBDA, SIGMA, KAPPA = 200, 0.1, 0.01


def interval(value, low, high):
    return {"value": value, "low": low, "high": high}


def test_the_figures_of_a_result():
    outcome = {
        "status": "regular",
        "usl": {
            "lambda": interval(101.94, 97.69, 106.3),
            "sigma": interval(0.031, 0.028, 0.035),
            "kappa": interval(4.9e-4, 4.7e-4, None),
            "scatter": 0.01,
        },
        "peak": {"throughput": interval(1368.2, 1356, 1381), "workers": interval(44, 43, 45)},
        "highest": {"throughput": 1360.0, "workers": 43},
        "goal": {"goal": "p99<60ms", "holds": 342.0, "fails": 357.0},
    }
    figures = figures_of(outcome)
    assert figures["kappa"] == "0.00049" and "kappa_high" not in figures
    assert (figures["peak"], figures["peak_low"], figures["peak_high"]) == (
        "1368.2",
        "1356",
        "1381",
    )
    assert (figures["goal_holds"], figures["goal_fails"]) == ("342", "357")
    assert rows_of(outcome)[1:] == [
        ("λ: hits/s of one worker", "101.9", "97.69", "106.3"),
        ("σ: contention", "0.031", "0.028", "0.035"),
        ("κ: coherency", "0.00049", "0.00047", "?"),
        ("peak, hits/s", "1368", "1356", "1381"),
        ("peak, workers", "44", "43", "45"),
        ("rate with p99<60ms, hits/s", "", "holds at 342", "fails at 357"),
    ]
    refused = {"status": "incomplete", "usl": None, "peak": None}
    refused |= {"highest": outcome["highest"], "goal": None}
    assert figures_of(refused).keys() == {"status", "highest", "highest_workers"}
    assert rows_of(refused)[1:] == [
        ("peak, hits/s", "", "at least 1360", ""),
        ("peak, workers", "", "at least 43", ""),
    ]


def test_the_final_statistics_carry_the_capacity(tool, tmp_path):
    listen = f"127.0.0.1:{free_port()}"
    capacity = QUICK | {"workers": "1..24", "goal": "p99<2s errors<1%", "within": "50%"}
    config = {
        "execution": [{"executor": "encarno", "scenario": "usl", "capacity": capacity}],
        "scenarios": {"usl": {"default-address": f"http://{listen}", "requests": ["/"]}},
        "services": [
            {"module": "encarno-target", "listen": listen, "usl": f"{LAMBDA},{SIGMA},{KAPPA}"}
        ],
    }
    bzt = Bzt(tmp_path, tool, config)
    assert bzt.wait() == 0, bzt.said()
    bzt.compare()
    (result,) = bzt.artifacts.glob("encarno_capacity*.json")
    outcome = json.loads(result.read_text())
    figures = {f"capacity_{name}": text for name, text in figures_of(outcome).items()}
    row, totals = bzt.rows()[""], bzt.totals()
    for name, text in figures.items():
        assert row[name] == totals[name] == text
    # A slow machine only makes the system slower, and so short trials scatter.
    peak = LAMBDA / (SIGMA - KAPPA + 2 * math.sqrt(KAPPA * (1 - SIGMA)))
    assert 0 < float(row["capacity_highest"]) < 1.5 * peak
    assert float(row["capacity_lambda_low"]) < 1.5 * LAMBDA
    assert float(row["capacity_goal_holds"]) > 0
    said = bzt.said()
    assert "Capacity of usl:" in said
    for words in ("hits/s of one worker", "contention", "coherency", "peak, workers", "p99<2s"):
        assert words in said


def test_two_capacities_have_figures_of_their_own(tool, tmp_path):
    delays = {"twenty": "20ms", "fifty": "50ms"}
    config = {
        "execution": [
            {"executor": "encarno", "scenario": name, "capacity": QUICK | {"workers": "1..2"}}
            for name in delays
        ],
        "scenarios": {
            name: {
                "protocol": "dummy",
                "config": {"protocol": {"delay": delay}},
                "requests": [f"/{name}"],
            }
            for name, delay in delays.items()
        },
    }
    bzt = Bzt(tmp_path, tool, config)
    assert bzt.wait() == 0, bzt.said()
    row = bzt.rows()[""]
    for prefix, delay_ms in (("capacity", 20), ("capacity2", 50)):
        # Two numbers of workers make no curve.
        assert row[f"{prefix}_status"] == "incomplete"
        assert f"{prefix}_peak" not in row
        assert 0 < float(row[f"{prefix}_highest"]) < 2 * 1000 / delay_ms * 1.1
    for name in delays:
        assert f"Capacity of {name}:" in bzt.said()
