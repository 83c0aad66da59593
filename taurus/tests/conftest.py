"""What the tests share: an engine of Taurus's with a folder of its own, and the program."""

import json
import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from bzt.engine import Engine
from bzt.utils import BetterDict

from encarno import EncarnoExecutor
from encarno.config import ConfigWriter
from encarno.notes import Notes
from encarno.payload import write_payload
from encarno.scenario import ScenarioTranslator
from encarno.tool import EncarnoTool

TAURUS = Path(__file__).resolve().parents[1]
RAW = {"follow-redirects": False, "default-address": "http://h"}


@pytest.fixture(scope="session")
def tool() -> str:
    """The program that is under test."""
    found = EncarnoTool(config={"path": os.environ.get("ENCARNO")})
    assert found.check_if_installed(), "build it before: make"
    return found.tool_path


@pytest.fixture
def make_executor(tmp_path):
    """An executor of that execution and those scenarios, as Taurus makes it."""

    def make(execution: dict, scenario: dict | None = None, settings: dict | None = None):
        engine = Engine(logging.getLogger("test"))
        engine.artifacts_dir = str(tmp_path)
        engine.provisioning = SimpleNamespace(extend_configs=False)
        engine.file_search_paths = [str(tmp_path)]
        scenarios = {"s": scenario or {"requests": ["http://h/"]}}
        engine.config.merge({"scenarios": scenarios, "provisioning": "local"})
        executor = EncarnoExecutor()
        executor.engine = engine
        executor.settings = BetterDict.from_dict(settings or {})
        executor.execution = BetterDict.from_dict({"scenario": "s"} | execution)
        return executor

    return make


@pytest.fixture
def configure(make_executor, notes):
    """The configuration of that scenario, as encarno reads it."""

    def write(scenario=None, execution=None, settings=None):
        scenario = RAW | {"requests": ["/"]} | (scenario or {})
        executor = make_executor(execution or {}, scenario, settings)
        with open(ConfigWriter(executor, notes).write(), encoding="utf-8") as file:
            return yaml.safe_load(file)

    return write


@pytest.fixture
def notes():
    """Warnings, kept."""
    log = logging.getLogger("notes")
    kept = Notes(log)
    kept.said = kept._said
    return kept


@pytest.fixture
def translate(tmp_path, notes):
    """Records of a scenario, read back from the payload file: (metadata, bytes)."""

    def read(scenario, known=(), include=None):
        def find(name):
            return str(tmp_path / name)

        translator = ScenarioTranslator(scenario, find, notes, frozenset(known), include)
        path = tmp_path / "payload"
        count = write_payload(str(path), translator.records())
        data, records = path.read_bytes(), []
        while data:
            line, _, data = data.partition(b"\n")
            metadata = json.loads(line)
            length = metadata.pop("plen")
            assert data[length : length + 1] == b"\n"
            records.append((metadata, data[:length]))
            data = data[length + 1 :]
        assert len(records) == count
        return records

    return read


def one(translate, request, **scenario):
    """The record of a request, without what Taurus does by default."""
    scenario = {"default-address": "http://h:81", "follow-redirects": False} | scenario
    records = translate(scenario | {"requests": [request]})
    assert len(records) == 1
    return records[0]
