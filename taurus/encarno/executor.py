"""The executor, which starts encarno, follows its results and ends it."""

import json
import os
import signal
import subprocess

import psutil
from bzt import TaurusConfigError, ToolError
from bzt.engine import HavingInstallableTools, ScenarioExecutor
from bzt.modules.aggregator import ConsolidatingAggregator
from bzt.modules.console import ExecutorWidget

from .blocks import files_of, included_names
from .capacity import ENDED_WITH_RESULTS, outcome_of
from .config import ConfigWriter, health_of
from .functional import FunctionalReader
from .notes import Notes
from .private import private_artifact
from .protocols import NIB
from .reader import SecondsReader
from .surroundings import prepare_surroundings
from .tail import Tail
from .tool import EncarnoTool, path_of
from .variables import plain
from .words import in_words_of_taurus

# The seconds after each signal. The first signal lets running hits end, the second doesn't.
_PATIENCE_S = (5.0, 5.0)
# With agents, their results are merged, and pods are removed.
_PATIENCE_WITH_AGENTS_S = (30.0, 30.0)
_LOG_BYTES = 4096
_CHECK_SECONDS_MAX = 600
# The exit statuses with results: success, a condition of encarno's own configuration, or every
# hit failed. Taurus's own criteria judge the results.
_ENDED_WITH_RESULTS = (0, 7, 99)


class EncarnoExecutor(ScenarioExecutor, HavingInstallableTools):
    """The executor `encarno`."""

    def __init__(self) -> None:
        super().__init__()
        self.tool: EncarnoTool | None = None
        self.process: psutil.Popen | None = None
        self.config_file = ""
        self._command: list[str] = []
        # Where encarno is started with agents; `None` without them.
        self._folder: str | None = None
        # The file that grows while the run goes on.
        self._followed = ""
        self._summary = ""
        self._capacity = ""
        # The result of a capacity, as in encarno's JSON; empty if none was measured.
        self.capacity: dict = {}
        self._stopped = False

    def prepare(self) -> None:
        super().prepare()
        prepare_surroundings()
        self.install_required_tools()
        writer = ConfigWriter(self, Notes(self.log))
        self.config_file = writer.write()
        self._followed = writer.followed
        self._summary = writer.summary
        self._capacity = writer.capacity
        self._command = writer.command(self.config_file)
        self._folder = writer.folder
        self._check_input(writer)
        # Both files are read while they grow, and shown if something fails.
        self.stdout = open(private_artifact(self.engine, "encarno", ".out"), "w")  # noqa: SIM115
        self.stderr = open(private_artifact(self.engine, "encarno", ".err"), "w")  # noqa: SIM115
        self.reader = self._make_reader()

    def _check_input(self, writer: ConfigWriter) -> None:
        """Checks the input, so that errors are reported before the run."""
        if not writer.scripted:
            return
        checked = subprocess.run(
            [self.tool.tool_path, "run", "--check", self.config_file],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=os.environ | {"ENCARNO_LOG": "error"},
            timeout=_CHECK_SECONDS_MAX,
            check=False,
        )
        if checked.returncode:
            raise TaurusConfigError(in_words_of_taurus(checked.stderr))

    def _make_reader(self) -> Tail:
        aggregator = self.engine.aggregator
        if self.engine.is_functional_mode():
            reader: Tail = FunctionalReader(self.log, self.label)
            aggregator.add_underling(reader)
            return reader
        reader = SecondsReader(self.log)
        if isinstance(aggregator, ConsolidatingAggregator):
            aggregator.add_underling(reader)
        return reader

    def install_required_tools(self) -> None:
        self.tool = self._get_tool(EncarnoTool, config=path_of(self.engine, self.settings))
        if not self.tool.check_if_installed():
            self.tool.install()

    def startup(self) -> None:
        self.env.set({"NO_COLOR": "1"})
        self.process = self._execute([self.tool.tool_path, *self._command], cwd=self._folder)
        errors = private_artifact(self.engine, "encarno_tail", ".err")
        self.reader.follow(self.tool.tool_path, self._followed, self.process.pid, errors)

    def check(self) -> bool:
        code = self.process.poll()
        if code is not None:
            if code not in (ENDED_WITH_RESULTS if self._capacity else _ENDED_WITH_RESULTS):
                raise ToolError(
                    f"encarno ended with exit code {code}", self.get_error_diagnostics()
                )
            return True
        if self.widget and self._folder:
            self._show_agents(self._last_line("came in"))
        elif self.widget:
            self._show(health_of(self._last_line("Workers: ")))
        return False

    def shutdown(self) -> None:
        """Ends encarno. The results until then are kept."""
        if self.process is None or self.process.poll() is not None:
            return
        self._stopped = True
        for patience in _PATIENCE_WITH_AGENTS_S if self._folder else _PATIENCE_S:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(patience)
                return
            except psutil.TimeoutExpired:
                continue
        self.log.warning("encarno doesn't end: it is killed")
        self.process.kill()
        self.process.wait()

    def post_process(self) -> None:
        try:
            # If Taurus was interrupted while encarno started, it wasn't shut down yet.
            self.shutdown()
            if self.reader:
                self._finish_reading()
            self._tell_verdict()
            self._tell_capacity()
            if self._folder:
                # The results have all of it.
                os.unlink(self._followed)
        finally:
            super().post_process()

    def _finish_reading(self) -> None:
        try:
            self.reader.finish()
        except ToolError as error:
            # A run that was stopped at its start may have no results to follow.
            if not self._stopped or self.reader.hits:
                raise
            self.log.info("nothing was recorded: %s", error)

    def has_results(self) -> bool:
        # It isn't a failure if a run was stopped before its first hit.
        return self._stopped or bool(self.reader and self.reader.hits)

    def get_widget(self) -> ExecutorWidget:
        if not self.widget:
            self.widget = ExecutorWidget(self, f"encarno: {self.label}")
        return self.widget

    def resource_files(self) -> list[str]:
        scenario = plain(self.get_scenario().data)
        files = [self.get_script_path(), scenario.get("input-strings")]
        files += [(scenario.get(key) or {}).get("wasm") for key in (NIB, "scenario-component")]
        files += files_of(scenario.get("requests"))
        scenarios = [self.get_scenario()]
        for name in dict.fromkeys(included_names(scenario.get("requests"))):
            scenarios.append(self.get_scenario(name))
            files += files_of(plain(scenarios[-1].data).get("requests"))
        for entry in scenarios:
            files += [source["path"] for source in entry.get_data_sources()]
        return [file for file in files if file]

    def get_error_diagnostics(self) -> list[str]:
        diagnostics = []
        for name, file in (("output", self.stdout), ("log", self.stderr)):
            text = _end_of(file.name) if file else ""
            if text:
                diagnostics.append(f"encarno's {name}:\n{in_words_of_taurus(text)}")
        return diagnostics

    def _last_line(self, words: str) -> str:
        """The last line of the log with these words."""
        lines = [line for line in _end_of(self.stderr.name).splitlines() if words in line]
        return lines[-1] if lines else ""

    def _show_agents(self, line: str) -> None:
        if line:
            text = [f"{self!r}: ", ("stat-txt", in_words_of_taurus(line))]
            self.widget.widgets[0].set_text(text)

    def _show(self, health: dict[str, str]) -> None:
        if not health:
            return
        waiting, lag = health.get("waiting", "0"), health.get("lag", "0s")
        text = [
            f"{self!r}: ",
            ("graph fail" if waiting != "0" else "stat-txt", f"{waiting} wait"),
            f", {health.get('busy', '0')} busy",
        ]
        if self.get_raw_load().throughput:
            sleeping = health.get("sleeping", "0")
            text += [", ", ("graph vc" if sleeping == "0" else "stat-txt", f"{sleeping} sleep")]
            text += [", ", ("stat-txt", f"{lag} lag")]
        self.widget.widgets[0].set_text(text)

    def _tell_capacity(self) -> None:
        """Keeps the capacity for the final statistics, and logs why it isn't whole."""
        if not self._capacity:
            return
        self.capacity = outcome_of(self._capacity)
        for reason in self.capacity.get("reasons", ()):
            self.log.warning("Capacity: %s", in_words_of_taurus(reason))
        if self.capacity:
            self.log.info("Capacity, all of it: %s", self._capacity)

    def _tell_verdict(self) -> None:
        """Logs the totals, and warns if the generator was a limit."""
        try:
            with open(self._summary, encoding="utf-8") as file:
                summary = json.load(file)
        except (OSError, ValueError):
            # A run that couldn't be set up, or was killed, has no summary.
            return
        hits = summary["hits"]
        parts = ["done", "failed", "dropped", *(["lost"] if hits["lost"] else [])]
        account = " + ".join(f"{name} {hits[name]}" for name in parts)
        self.log.info("scheduled %s = %s", hits["scheduled"], account)
        verdict = summary["verdict"]
        if verdict["judgement"] == "generator_limited":
            reasons = in_words_of_taurus("; ".join(verdict["reasons"]))
            self.log.warning("THE GENERATOR WAS A LIMIT: %s", reasons)
        for criterion in summary["criteria"]:
            if criterion["failed"]:
                self.log.warning("%s (it is %s)", criterion["condition"], criterion["shown"])
        if summary["stopped_by"]:
            self.log.warning("stopped by %s", summary["stopped_by"])


def _end_of(path: str) -> str:
    """The last lines of a file that may be growing."""
    with open(path, "rb") as file:
        file.seek(max(os.fstat(file.fileno()).st_size - _LOG_BYTES, 0))
        return file.read().decode(errors="replace").strip()
