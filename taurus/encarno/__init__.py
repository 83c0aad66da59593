"""encarno under Taurus: an executor, and a target to try it on."""

from .executor import EncarnoExecutor
from .target import EncarnoTarget

__all__ = ["EncarnoExecutor", "EncarnoTarget"]
