"""`${name}` in texts and bytes."""

import re
from collections.abc import Iterable
from typing import Any

CONTENT_LENGTH = "${:content-length:}"
_NAME = re.compile(r"\$\{([A-Za-z_][\w.-]*)\}")
_CALL = re.compile(r"\$\{(__\w+)")


def names_in(texts: Iterable[str]) -> list[str]:
    """The names of variables, each once, in their order."""
    return list(dict.fromkeys(name for text in texts for name in _NAME.findall(text)))


def calls_in(text: str) -> list[str]:
    """The names of JMeter's functions."""
    return _CALL.findall(text)


def text_of(value: object) -> str:
    """A YAML scalar as text: true stays true."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def plain(value: object) -> Any:
    """Taurus's dictionaries as Python's: their get() has effects. null = not given."""
    if isinstance(value, dict):
        return {text_of(key): plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
