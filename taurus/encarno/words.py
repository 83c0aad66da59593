"""Translates encarno's messages to the terms of Taurus's YAML."""

import re

_WORDS = (
    # A line of the log begins with a time and a level.
    (re.compile(r"^\S+Z\s+(?:ERROR|WARN|INFO)\s+", re.M), ""),
    (re.compile(r"^encarno: ", re.M), ""),
    # The payload file is made from the scenario, so places in it mean nothing to users.
    (re.compile(r"input ended after \d+ broken record\(s\), the last one: "), ""),
    (re.compile(r"\S*/encarno[-\w]*\.payload, offset \d+: "), ""),
    (re.compile(r": write sharing: per-worker \(input\) or --per-worker"), ""),
    (re.compile(r"--connections|workers\.maxworkers|the number of connections"), "concurrency"),
    (re.compile(r"workers\.(?:workload)?schedule"), "ramp-up and hold-for"),
    (re.compile(r"workers\.data"), "data-sources"),
)


def in_words_of_taurus(text: str) -> str:
    """The text without the terms of the command line and the configuration file."""
    for pattern, words in _WORDS:
        text = pattern.sub(words, text)
    return text.strip()
