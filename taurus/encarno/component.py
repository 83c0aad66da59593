"""Wasm components: a protocol, or a scenario that decides the load, the order or the users."""

from collections.abc import Callable
from pathlib import Path

from bzt import TaurusConfigError

from .notes import Notes
from .variables import text_of

_KEYS = frozenset("wasm sha256 settings".split())
# What a scenario component exports, and what it decides. A component has the names of its
# exports as they are.
_DECIDES = {"shaper": "load", "chooser": "order", "users": "users"}


def component_of(key: str, asked: object, find: Callable[[str], str], notes: Notes) -> dict:
    """The section of encarno's configuration for a component."""
    if not isinstance(asked, dict) or not asked.get("wasm"):
        raise TaurusConfigError(f"{key}: write keys, such as {{wasm: FILE}}")
    notes.unknown_keys(key, asked, _KEYS)
    section = {name: text_of(asked[name]) for name in sorted(_KEYS & asked.keys())}
    return section | {"wasm": find(section["wasm"])}


def decided_by(path: str) -> str:
    """What a scenario component decides: `load`, `order` or `users`."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise TaurusConfigError(f"scenario-component: {path}: {error.strerror}") from error
    for interface, decides in _DECIDES.items():
        if f"encarno:scenario/{interface}@".encode() in content:
            return decides
    raise TaurusConfigError(
        f"scenario-component: {path} is no scenario: it exports none of {', '.join(_DECIDES)}"
    )
