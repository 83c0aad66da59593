"""Results as a table of Arrow, and the queries of docs/duckdb.md."""

import json
import re
import subprocess
import sys

import duckdb
import pytest

import encarno
from encarno.program import REPOSITORY


@pytest.fixture
def run(tool, tmp_path, monkeypatch):
    """A run's file, in the folder where the test is, and the program on the PATH."""
    line = "dummy: --delay exponential:2ms --rate 300 --for 3s --error-rate 0.1 -q -o run.enc"
    subprocess.run([tool, *line.split()], cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.setattr("encarno.results.found", lambda: tool)
    monkeypatch.chdir(tmp_path)
    said = subprocess.run([tool, "stats", "--json", "run.enc"], check=True, capture_output=True)
    return json.loads(said.stdout)["total"]


def test_a_file_is_a_table(run):
    table = encarno.read("run.enc")
    assert table.num_rows == run["hits"]
    times = sorted(table["response_ns"].to_pylist())
    assert (times[0], times[-1]) == (run["response_ns"]["min"], run["response_ns"]["max"])
    assert encarno.read("run.enc", columns=["label"]).column_names == ["label"]


def test_what_is_no_result_file_is_named(tool, tmp_path, monkeypatch):
    monkeypatch.setattr("encarno.results.found", lambda: tool)
    with pytest.raises(ValueError, match=r"gone\.enc"):
        encarno.read(tmp_path / "gone.enc")
    monkeypatch.setattr("encarno.results.found", lambda: "/nowhere/encarno")
    with pytest.raises(OSError, match="/nowhere/encarno can't be run"):
        encarno.read(tmp_path / "gone.enc")


def test_without_pyarrow_the_way_out_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        encarno.read("run.enc")


def test_each_query_of_the_page_works(run, tool):
    line = [tool, "convert", "run.enc", "-o", "run.parquet"]
    subprocess.run(line, check=True, capture_output=True)
    line = [tool, *"convert run.enc --partition second --run run-1 -o runs".split()]
    subprocess.run(line, check=True, capture_output=True)
    page = (REPOSITORY / "docs/duckdb.md").read_text()
    blocks = re.findall(r"^```sql\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    queries = [query for block in blocks for query in block.split(";") if query.strip()]
    results = [duckdb.sql(query) for query in queries]
    rows = [result.fetchall() for result in results if result is not None]
    assert len(rows) >= 5
    # The first: hits by label, with quantiles.
    hits = sum(row[1] for row in rows[0])
    failed = sum(row[2] for row in rows[0])
    assert (hits, failed) == (run["hits"], run["failed"])
    # Histograms have errors below 0.1 %.
    (label, *_, quantiles), *others = rows[0]
    assert not others, label
    for name, value in zip(["p50", "p90", "p99"], quantiles, strict=True):
        assert value == pytest.approx(run["response_ns"][name], rel=1e-3), name
    # The second: each second. The last: the run, of the files of its seconds.
    assert sum(row[1] for row in rows[1]) == run["hits"]
    assert rows[-1][0][:2] == ("run-1", run["hits"])
    files = duckdb.sql("SELECT file FROM glob('runs/run=run-1/second=*/*.parquet')").fetchall()
    assert len(files) == len(rows[1])
