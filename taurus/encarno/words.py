"""What encarno says, in the words of those who write Taurus's YAML."""

import re

# Lines of a log begin with an instant and a level.
_LOG = re.compile(r"^\S*T\S*Z?\s+(ERROR|WARN|INFO)\s+", re.M)
_WORDS = (
    (re.compile(r"^encarno: ", re.M), ""),
    # The payload file is made of the scenario: its places say nothing.
    (re.compile(r"input ended after \d+ broken record\(s\), the last one: "), ""),
    (re.compile(r"\S*encarno[-\w]*\.payload\S*(?: at| offset|:)? ?\d*:? "), ""),
    (re.compile(r": write sharing: per-worker \(input\) or --per-worker"), ""),
    (re.compile(r"--connections|workers\.maxworkers|maxworkers"), "concurrency"),
    (re.compile(r"workers\.(?:workload)?schedule"), "ramp-up and hold-for"),
    (re.compile(r"workers\.data"), "data-sources"),
    (re.compile(r"\bnumber of connections\b"), "concurrency"),
    (re.compile(r"\(more\) connections\b"), "concurrency"),
)


def in_words_of_taurus(text: str) -> str:
    """The text without what only the command line and the configuration file know."""
    text = _LOG.sub("", text)
    for pattern, words in _WORDS:
        text = pattern.sub(words, text)
    return text.strip()
