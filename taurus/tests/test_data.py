"""Data sources: files as people have them, as files that encarno reads."""

import csv
import logging
from pathlib import Path

import pytest
from bzt import TaurusConfigError
from bzt.engine import Engine, Scenario
from bzt.utils import BetterDict

from encarno.data import data_of


@pytest.fixture
def entry(tmp_path, notes):
    """The entry of one source, its columns, and the rows of its file."""

    def read(content: bytes, **source):
        (tmp_path / "d.csv").write_bytes(content)
        engine = Engine(logging.getLogger("test"))
        engine.artifacts_dir = str(tmp_path)
        engine.file_search_paths = [str(tmp_path)]
        source = {key.replace("_", "-"): value for key, value in source.items()}
        sources = [{"path": "d.csv"} | source]
        scenario = Scenario(engine, BetterDict.from_dict({"data-sources": sources}))
        (found,), columns = data_of([scenario], engine, notes)
        delimiter = "\t" if found["delimiter"] == "tab" else found["delimiter"]
        with open(found["file"], encoding="utf-8", newline="") as file:
            return found, columns, list(csv.reader(file, delimiter=delimiter))

    return read


@pytest.mark.parametrize("delimiter", ["||", "::", "¦", "\t;"])
def test_a_delimiter_of_any_length(entry, delimiter):
    text = delimiter.join(["user", "word"]) + "\n" + delimiter.join(["ann", 'a,b "c"']) + "\n\n"
    found, columns, rows = entry(text.encode(), delimiter=delimiter)
    assert columns == {"user", "word"}
    assert rows == [["user", "word"], ["ann", 'a,b "c"']]
    assert found["delimiter"] == ","
    # Other users of the machine don't read what users are given.
    assert Path(found["file"]).stat().st_mode & 0o777 == 0o600


def test_quotes_may_be_part_of_a_value(entry):
    content = b'a||b\n"x"||"y ""z"""\n'
    assert entry(content, delimiter="||")[2][1] == ["x", 'y "z"']
    assert entry(content, delimiter="||", quoted=False)[2][1] == ['"x"', '"y ""z"""']


def test_other_encodings(entry):
    _, columns, rows = entry("größe;b\nü;1\n".encode("latin-1"), encoding="latin-1")
    assert columns == {"größe", "b"} and rows[1] == ["ü", "1"]
    with pytest.raises(TaurusConfigError, match=r"d\.csv"):
        entry("größe;b\n".encode("latin-1"))


def test_a_file_that_can_be_read_is_used_as_it_is(entry, tmp_path):
    found, columns, _ = entry(b"\xef\xbb\xbfa,b\n1,2\n")
    assert found["file"] == str(tmp_path / "d.csv")
    assert columns == {"a", "b"}
