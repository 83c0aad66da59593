"""What the tests share: an engine of Taurus's with a folder of its own, and the program."""

import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from bzt.engine import Engine
from bzt.utils import BetterDict

from encarno import EncarnoExecutor
from encarno.notes import Notes
from encarno.tool import EncarnoTool

TAURUS = Path(__file__).resolve().parents[1]


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
def notes():
    """Warnings, kept."""
    log = logging.getLogger("notes")
    kept = Notes(log)
    kept.said = kept._said
    return kept
