"""Files that only the user who runs the test may read.

The files of a run contain headers, bodies, rows of data and answers, and so passwords and
tokens.
"""

import os

from bzt.engine import Engine


def private_artifact(engine: Engine, prefix: str, suffix: str) -> str:
    """Creates an empty artifact that only its owner may read, and returns its path.

    Programs that write to the file later, such as encarno, keep its mode.
    """
    path = engine.create_artifact(prefix, suffix)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    os.chmod(path, 0o600)
    return path
