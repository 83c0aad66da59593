"""Files that only the user who runs the test may read.

What a run writes has headers, bodies, rows of data and answers in it, and with
them passwords and tokens.
"""

import os

from bzt.engine import Engine


def private_artifact(engine: Engine, prefix: str, suffix: str) -> str:
    """The path of a new file among the artifacts, empty, for its owner alone.

    Who writes to it later, also encarno, keeps its mode.
    """
    path = engine.create_artifact(prefix, suffix)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    os.chmod(path, 0o600)
    return path
