"""Runs on agents: how encarno is started, and which files agents get."""

import os
from collections.abc import Callable

from bzt import TaurusConfigError
from bzt.engine import Engine

from .variables import text_of

FLEET_KEYS = frozenset("agents nats kubernetes collect".split())
_NATS = {"url": "nats", "group": "group", "credentials": "nats-credentials", "ca": "nats-ca"}
# The options whose values are files, and those whose values are folders for what comes back.
_READ = ("kubeconfig", "nats-credentials", "nats-ca")
_WRITTEN = ("pod-logs",)
# Options of protocols whose values are files, or lists of files with commas.
_OF_PROTOCOLS = ("wit", "proto", "proto-path", "descriptors")


class Fleet:
    """The agents of a run."""

    def __init__(self, engine: Engine, own: Callable[[str], object]) -> None:
        self._engine = engine
        self._links: dict[str, str] = {}
        pods = own("kubernetes")
        options = dict(_map_of("kubernetes", pods))
        agents = own("agents")
        if agents and options.get("agents"):
            raise TaurusConfigError("agents: kubernetes has the key agents, too: write it once")
        if agents:
            options["agents"] = agents
        nats = own("nats")
        nats = {"url": nats} if isinstance(nats, str) else _map_of("nats", nats)
        for key, value in nats.items():
            if key not in _NATS:
                raise TaurusConfigError(f"nats: {key!r} isn't one of {', '.join(_NATS)}")
            options[_NATS[key]] = value
        if collect := own("collect"):
            options["collect"] = collect
        if options and not options.get("agents"):
            raise TaurusConfigError("agents: how many? Write a number, or local:2 to try it")
        if options and engine.is_functional_mode():
            options["collect"] = "hits"
        self._options = options
        self._command = ["kube", "run"] if pods else ["run"]

    def __bool__(self) -> bool:
        """Whether there are agents."""
        return bool(self._options)

    def command(self) -> list[str]:
        """The words of encarno's command line for the agents, and the command itself."""
        words = list(self._command)
        for name, value in self._options.items():
            for text in _texts_of(value):
                if name in _READ:
                    text = self._engine.find_file(text)
                elif name in _WRITTEN:
                    text = os.path.abspath(text)
                words += [f"--{name}", text]
        return words

    def bring_near(self, config: dict) -> None:
        """Links the files of a configuration into the folder of artifacts, and names the links:
        agents get files of the folder where the run is started."""
        places = [
            (config.get("input"), ("payloadfile", "stringsfile")),
            (config.get("nib"), ("wasm",)),
            (config.get("protocol", {}).get("options"), _OF_PROTOCOLS),
            (config.get("protocol", {}).get("tlsconf"), ("cafile", "certificatefile", "keyfile")),
            *((data, ("file",)) for data in config.get("workers", {}).get("data", ())),
        ]
        for place, keys in places:
            for key in keys:
                if place and place.get(key):
                    several = keys is _OF_PROTOCOLS
                    paths = text_of(place[key]).split(",") if several else [text_of(place[key])]
                    place[key] = ",".join(self._near(path.strip()) for path in paths)

    def _near(self, path: str) -> str:
        """The name of a file, or of a link to it, in the folder of artifacts. Another text, such
        as that of a certificate, stays as it is."""
        if not os.path.exists(path):
            return path
        path = os.path.abspath(path)
        folder, name = os.path.split(path)
        if folder == os.path.abspath(self._engine.artifacts_dir):
            return name
        if path not in self._links:
            link = self._engine.create_artifact(*os.path.splitext(name))
            os.symlink(path, link)
            self._links[path] = os.path.basename(link)
        return self._links[path]


def _map_of(key: str, value: object) -> dict:
    if value and not isinstance(value, dict):
        raise TaurusConfigError(f"{key}: write keys, such as {{namespace: load, agents: 8}}")
    return value or {}


def _texts_of(value: object) -> list[str]:
    """The values of an option that may be given several times."""
    if isinstance(value, dict):
        return [f"{name}={text_of(item)}" if item else name for name, item in value.items()]
    return [text_of(item) for item in (value if isinstance(value, list) else [value])]
