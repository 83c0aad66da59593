"""What encarno says, as those who write Taurus's YAML understand it."""

import pytest

from encarno.words import in_words_of_taurus


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "encarno: input ended after 1 broken record(s), the last one: /a/encarno-1.payload, "
            'offset 103: request "x": bad JSONPath "$["',
            'request "x": bad JSONPath "$["',
        ),
        (
            "2026-01-02T03:04:05.678901Z  WARN a worker ends: it took 100000 steps",
            "a worker ends: it took 100000 steps",
        ),
        (
            "hits waited for a free connection: allow more (--connections)",
            "hits waited for a free connection: allow more (concurrency)",
        ),
        (
            "raise the limit (ulimit -Hn) or lower the number of connections",
            "raise the limit (ulimit -Hn) or lower concurrency",
        ),
        (
            "encarno: a.yml:3:5: workers.data.file: there is no file",
            "a.yml:3:5: data-sources.file: there is no file",
        ),
        (
            "data files need workers that read the input in order each: write sharing: per-worker "
            "(input) or --per-worker",
            "data files need workers that read the input in order each",
        ),
    ],
)
def test_words(said, told):
    assert in_words_of_taurus(said) == told
