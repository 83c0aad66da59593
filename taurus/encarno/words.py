"""What encarno says, in the words of those who write Taurus's YAML."""

import re

_WORDS = (
    # A line of the log begins with an instant and a level.
    (re.compile(r"^\S+Z\s+(?:ERROR|WARN|INFO)\s+", re.M), ""),
    (re.compile(r"^encarno: ", re.M), ""),
    # The payload file is made of the scenario: places in it say nothing.
    (re.compile(r"input ended after \d+ broken record\(s\), the last one: "), ""),
    (re.compile(r"\S*/encarno[-\w]*\.payload, offset \d+: "), ""),
    (re.compile(r": write sharing: per-worker \(input\) or --per-worker"), ""),
    (re.compile(r"--connections|workers\.maxworkers|the number of connections"), "concurrency"),
    (re.compile(r"workers\.(?:workload)?schedule"), "ramp-up and hold-for"),
    (re.compile(r"workers\.data"), "data-sources"),
)


def in_words_of_taurus(text: str) -> str:
    """The text without what only the command line and the configuration file know."""
    for pattern, words in _WORDS:
        text = pattern.sub(words, text)
    return text.strip()
