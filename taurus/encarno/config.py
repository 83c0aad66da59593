"""Makes encarno's configuration file from a Taurus execution."""

import os
import re
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import yaml
from bzt import TaurusConfigError
from bzt.engine import ScenarioExecutor

from .blocks import included_names
from .capacity import section_of
from .component import component_of, decided_by
from .data import data_of
from .durations import duration_of
from .fleet import Fleet
from .load import EXECUTION_KEYS, Load
from .notes import Notes
from .payload import write_payload
from .private import private_artifact
from .protocols import (
    NIB,
    example_of,
    has_headers,
    has_one_address,
    protocol_of,
    sends_calls,
    sends_http,
)
from .scenario import (
    OWN_KEYS,
    REDIRECTS_MAX,
    SCENARIO_KEYS,
    TIMEOUT,
    ScenarioTranslator,
    think_of,
)
from .variables import plain, text_of

SETTING_KEYS = OWN_KEYS | frozenset("class path".split())
# The formats that can be written besides the native file, from which Taurus's figures come.
OUTPUT_FORMATS = {
    "native": {},
    "bin": {"binaryfile": ".bin", "stringsfile": ".ostr"},
    "ldjson": {"ldjsonfile": ".ldjson"},
    "phout": {"phoutfile": ".phout"},
}
TRACE_NONE = 1000
# The options of protocols that name files.
_OPTIONS_WITH_FILES = ("wit", "proto", "proto-path", "descriptors")
# Keys for making requests, which have no effect on a script.
_REQUEST_KEYS = ("keepalive", "on-fail", "requests", "cookies", "authorization")


@dataclass(frozen=True)
class Input:
    """The input of a run: a file, and what its records need."""

    file: str
    scripted: bool
    large: bool
    lasting: bool
    data: list[dict]


# The files of scenarios. Each is written once, even if several executions use it.
_written: WeakKeyDictionary[object, dict[tuple[str, str], Input]] = WeakKeyDictionary()


class ConfigWriter:
    """Writes the files for a run into the folder of artifacts."""

    def __init__(self, executor: ScenarioExecutor, notes: Notes) -> None:
        self._executor = executor
        self._engine = executor.engine
        self._scenario = plain(executor.get_scenario().data)
        self._settings = plain(executor.settings)
        self._notes = notes
        self._load = Load.of(executor, notes)
        self._driver = protocol_of(self._scenario, self._settings)
        self._fleet = Fleet(executor.engine, self._own)
        self._included: dict[str, dict] = {}
        self._include_all(self._scenario)
        self.results = ""
        # The file that grows while the run goes on: the results themselves, unless agents
        # send them.
        self.followed = ""
        self.summary = private_artifact(self._engine, "encarno_summary", ".json")
        # Whether the records need more than sending.
        self.scripted = False
        self.trace = ""
        # The file for the result of a capacity; empty if none is measured.
        self.capacity = ""

    def write(self) -> str:
        """Writes the configuration, and returns its path."""
        label = self._executor.label
        self._notes.unknown_keys("execution", self._executor.execution, EXECUTION_KEYS)
        self._notes.unknown_keys(f"scenario {label!r}", self._scenario, SCENARIO_KEYS)
        self._notes.unknown_keys("encarno's settings", self._settings, SETTING_KEYS)
        config = {
            "protocol": self._protocol(),
            "input": {},
            "output": self._output(),
            "workers": self._load.workers(),
            # The console shows the states of workers from these log lines.
            "run": {"health": True, "summaryfile": self.summary},
        }
        config["workers"]["values"] = self._values()
        if self._driver == NIB:
            find = self._engine.find_file
            config[NIB] = component_of(NIB, self._own(NIB), find, self._notes)
        component = self._component()
        decides = decided_by(component["wasm"]) if component else ""
        script = self._executor.get_script_path()
        if decides == "users":
            self._use_users(config)
        elif script:
            self._use_script(config, script)
        else:
            self._use_requests(config)
        if component:
            config["scenario"] = component
            self._leave_to_component(config, decides)
        self._use_capacity(config)
        for own in (self._settings.get("config"), self._scenario.get("config")):
            _merge(config, own or {})
        self.results = self.followed = config["output"]["nativefile"]
        if self._fleet:
            self._use_fleet(config)
        self.summary = config["run"].get("summaryfile", "")
        path = private_artifact(self._engine, "encarno", ".yml")
        with open(path, "w", encoding="utf-8") as file:
            yaml.safe_dump(config, file, allow_unicode=True, sort_keys=False)
        return path

    @property
    def folder(self) -> str | None:
        """The folder in which encarno has to be started; `None` if it doesn't matter."""
        return self._engine.artifacts_dir if self._fleet else None

    def command(self, config_file: str) -> list[str]:
        """The words of encarno's command line that make the run."""
        # encarno ends when Taurus is gone, even if it was killed.
        parent = ["--parent", str(os.getpid())]
        if not self._fleet:
            return ["run", *parent, config_file]
        results = [f"--growing={self.followed}", f"--output={self.results}"]
        return [*self._fleet.command(), *parent, *results, os.path.basename(config_file)]

    def _use_fleet(self, config: dict) -> None:
        """The results and the figures are the coordinator's, and agents write none."""
        if self.capacity:
            raise TaurusConfigError("capacity: it is measured by one machine: leave agents out")
        if "scenario" in config:
            raise TaurusConfigError(
                "scenario-component: each agent knows only its own hits: leave agents out"
            )
        del config["output"]["nativefile"]
        config["run"].pop("health", None)
        self._fleet.bring_near(config)
        self.followed = private_artifact(self._engine, "encarno_growing", ".enc")

    def _use_capacity(self, config: dict) -> None:
        """Measures a capacity if the execution asks for it: only its trials set the load."""
        asked = self._executor.execution.get("capacity") or self._own("capacity")
        if not asked:
            return
        self.capacity = private_artifact(self._engine, "encarno_capacity", ".json")
        config["capacity"] = section_of(plain(asked), self._load, self.capacity, self._notes)
        config["run"] = {}
        config["input"].pop("iterationlimit", None)
        for key in self._load.workers():
            config["workers"].pop(key, None)

    def _component(self) -> dict:
        """The section of the component that decides something; empty if there is none."""
        key = "scenario-component"
        asked = self._executor.execution.get(key) or self._own(key)
        if not asked:
            return {}
        return component_of(key, plain(asked), self._engine.find_file, self._notes)

    def _leave_to_component(self, config: dict, decides: str) -> None:
        """Leaves out what a component decides."""
        config["input"].pop("iterationlimit", None)
        load = self._load
        without_effect = {"iterations": load.iterations}
        workers = config["workers"]
        if decides == "load":
            without_effect |= {"throughput": load.throughput, "ramp-up": load.ramp_up}
            for key in load.workers():
                workers.pop(key, None)
            workers.pop("maxworkers", None)
            if load.concurrency:
                workers["maxworkers"] = load.concurrency
            if load.hold:
                workers["duration"] = duration_of(load.hold)
        elif decides == "order" and "sharing" in config["input"]:
            config["input"]["sharing"] = "shared"
        for key, value in without_effect.items():
            if value:
                self._notes.warn(f"{key}: the scenario-component decides that: it has no effect")

    def _use_users(self, config: dict) -> None:
        """Virtual users say what they send, and when."""
        for key in ("requests", "script"):
            if self._scenario.get(key):
                raise TaurusConfigError(f"{key}: users of a component say what they send")
        if self._load.throughput:
            raise TaurusConfigError(
                "throughput: users of a component decide when they send: write concurrency"
            )
        config["protocol"] |= self._address()
        headers = self._headers()
        config["input"] = {"headers": headers} if headers else {}

    def _use_requests(self, config: dict) -> None:
        made = self._input()
        self.scripted = made.scripted
        config["input"] = {"payloadfile": made.file}
        if has_headers(self._driver) and (headers := self._headers()):
            config["input"]["headers"] = headers
        passes = self._load.passes
        if made.scripted:
            # Each user goes through the whole scenario.
            config["input"]["sharing"] = "per-worker"
            if passes:
                config["workers"]["maxworkers"] = self._load.users
            if self._keeps_cookies(made):
                config["workers"]["cookies"] = True
            if made.lasting:
                config["workers"]["sameuser"] = True
            if made.data:
                config["workers"]["data"] = [dict(entry) for entry in made.data]
        else:
            passes *= self._load.users
        if passes:
            config["input"]["iterationlimit"] = passes

    def _keeps_cookies(self, made: Input) -> bool:
        if "store-cookie" in self._scenario:
            return bool(self._scenario["store-cookie"])
        if not sends_http(self._driver):
            return False
        listed = not isinstance(self._scenario.get("requests"), str)
        if listed and made.large:
            self._notes.warn(
                "store-cookie: a request above 1 MiB can't carry cookies: they are off here"
            )
        return listed and not made.large

    def _input(self) -> Input:
        written = _written.setdefault(self._engine, {})
        name = (self._executor.label, self._driver)
        if name not in written:
            scenarios = [self._executor.get_scenario(name) for name in (None, *self._included)]
            data, columns = data_of(scenarios, self._engine, self._notes)
            translator = ScenarioTranslator(
                self._scenario | {"protocol": self._driver, "variables": self._values()},
                self._engine.find_file,
                self._notes,
                columns,
                self._include,
            )
            path = private_artifact(self._engine, "encarno", ".payload")
            count = write_payload(path, translator.records())
            self._executor.log.info("%d records in %s", count, path)
            scripted = bool(translator.scripted or data or self._own_script())
            written[name] = Input(path, scripted, translator.large, translator.lasting, data)
        return written[name]

    def _own_script(self) -> bool:
        """Whether encarno's own keys ask for scripting."""
        rules = (self._scenario.get("config") or {}).get("rules")
        return bool(rules or self._scenario.get("enable-regex"))

    def _include(self, name: str) -> dict:
        if name not in self._included:
            self._included[name] = plain(self._executor.get_scenario(name).data)
            place = f"scenario {name!r}"
            self._notes.unknown_keys(place, self._included[name], SCENARIO_KEYS)
        return self._included[name]

    def _include_all(self, scenario: dict) -> None:
        """Collects all scenarios that this one includes, directly or indirectly."""
        for name in included_names(scenario.get("requests")):
            if name not in self._included:
                self._include_all(self._include(name))

    def _values(self) -> dict[str, str]:
        """The first values of variables. Those of the main scenario override the others."""
        values: dict = {}
        for scenario in (*self._included.values(), self._scenario):
            values |= scenario.get("variables") or {}
        return {text_of(name): text_of(value) for name, value in values.items()}

    def _use_script(self, config: dict, script: str) -> None:
        """Uses an existing file as it is."""
        if not os.path.isfile(script):
            raise TaurusConfigError(f"script: there is no file {script}")
        for key in _REQUEST_KEYS:
            if key in self._scenario:
                self._notes.warn(f"{key}: a script is sent as it is: {key} has no effect")
        config["input"] = {"payloadfile": script}
        strings = self._own("input-strings")
        if strings:
            config["input"]["stringsfile"] = self._engine.find_file(text_of(strings))
        if self._load.passes:
            config["input"]["iterationlimit"] = self._load.passes
        if self._scenario.get("enable-regex", False):
            config["input"]["enableregexes"] = True
        if headers := self._headers():
            config["input"]["headers"] = headers
        config["protocol"] |= self._address()
        rule = {
            "think": think_of(self._scenario.get("think-time"), self._notes),
            "follow": REDIRECTS_MAX if self._scenario.get("follow-redirects", False) else 0,
        }
        rule = {key: value for key, value in rule.items() if value}
        if rule:
            config["rules"] = [{"label": ""} | rule]
        data, _ = data_of([self._executor.get_scenario()], self._engine, self._notes)
        if data:
            config["workers"]["data"] = data
        if self._scenario.get("store-cookie", False):
            config["workers"]["cookies"] = True

    def _protocol(self) -> dict:
        driver = self._driver
        protocol: dict = {} if driver == NIB else {"driver": driver}
        if options := self._options():
            protocol["options"] = options
        if driver == "dummy":
            return protocol
        timeout = self._scenario.get("timeout") or TIMEOUT
        protocol["timeout"] = duration_of(timeout, "timeout")
        if has_one_address(driver):
            protocol |= self._address()
            if "address" not in protocol:
                raise TaurusConfigError(
                    f"default-address: {driver} needs a URL, such as {example_of(driver)}"
                )
        elif sends_calls(driver):
            protocol |= self._server()
        for key, own in (("streams", "streams"), ("tlsconf", "tls-config")):
            if value := self._own(own):
                protocol[key] = value
        return protocol

    def _address(self) -> dict:
        address = text_of(self._scenario.get("default-address"))
        scheme = "" if "://" in address else "http://"
        return {"address": f"{scheme}{address}".rstrip("/")} if address else {}

    def _headers(self) -> dict[str, str]:
        headers = self._scenario.get("headers") or {}
        return {text_of(name): text_of(value) for name, value in headers.items()}

    def _server(self) -> dict:
        """The server that is asked for its methods."""
        scheme, found, rest = text_of(self._scenario.get("default-address")).partition("://")
        return {"address": f"{scheme}://{rest.partition('/')[0]}"} if found else {}

    def _options(self) -> dict[str, str]:
        """The protocol's own options. Some of them name files."""
        asked = self._own("options") or {}
        if not isinstance(asked, dict):
            raise TaurusConfigError("options: write names with values, such as {window: 65535}")
        options = {text_of(name): text_of(value) for name, value in asked.items()}
        for key in _OPTIONS_WITH_FILES:
            value = self._own(key) or options.get(key)
            names = value if isinstance(value, list) else [value] if value else []
            if names:
                options[key] = ",".join(self._engine.find_file(text_of(name)) for name in names)
        return options

    def _output(self) -> dict:
        name = text_of(self._own("output-format") or "native")
        if name not in OUTPUT_FORMATS:
            known = ", ".join(OUTPUT_FORMATS)
            raise TaurusConfigError(f"output-format: {name!r} isn't one of {known}")
        output = {"nativefile": private_artifact(self._engine, "encarno_results", ".enc")}
        for key, suffix in OUTPUT_FORMATS[name].items():
            output[key] = private_artifact(self._engine, "encarno_results", suffix)
        level = self._own("trace-level")
        try:
            level = TRACE_NONE if level is None else int(level)
        except (TypeError, ValueError) as error:
            raise TaurusConfigError(f"trace-level: {level!r} isn't a number") from error
        if level < TRACE_NONE:
            self.trace = private_artifact(self._engine, "encarno_trace", ".txt")
            output |= {"reqrespfile": self.trace, "reqrespfilelevel": level}
        return output

    def _own(self, key: str) -> object:
        """The value of encarno's own key: the scenario's, or else the module's."""
        value = self._scenario.get(key)
        return self._settings.get(key) if value is None else value


def _merge(into: dict, other: dict) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def health_of(line: str) -> dict[str, str]:
    """The figures of a health line: waiting, working, sleeping, busy, lag, reqs."""
    _, found, rest = line.partition("Workers: ")
    return dict(re.findall(r"(\w+): ([^,\s]+)", rest)) if found else {}
