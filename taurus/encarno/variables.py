"""Finds and replaces `${name}` in texts."""

import re
from collections.abc import Iterable
from typing import Any

CONTENT_LENGTH = "${:content-length:}"
_NAME = re.compile(r"\$\{([A-Za-z_][\w.-]*)\}")
_CALL = re.compile(r"\$\{(__\w+)")


def names_in(texts: Iterable[str]) -> list[str]:
    """The names of the variables, each once, in their order."""
    return list(dict.fromkeys(name for text in texts for name in _NAME.findall(text)))


def calls_in(text: str) -> list[str]:
    """The names of JMeter's functions."""
    return _CALL.findall(text)


def with_values(text: str, values: dict[str, str]) -> str:
    """The text with the values of the variables that are known now."""
    return _NAME.sub(lambda found: values.get(found[1], found[0]), text)


def starts_with_variable(url: str) -> bool:
    return bool(_NAME.match(url))


def text_of(value: object) -> str:
    """A YAML scalar as text. True becomes "true"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def plain(value: object, nulls: bool = False) -> Any:
    """Taurus's dictionaries as Python's, because get() of Taurus's changes them. null means not
    given, except in bodies, where it is a value."""
    if isinstance(value, dict):
        return {
            text_of(key): plain(item, nulls or key == "body")
            for key, item in value.items()
            if nulls or item is not None
        }
    if isinstance(value, list | tuple):
        return [plain(item, nulls) for item in value]
    return value
