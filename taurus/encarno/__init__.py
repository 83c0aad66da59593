"""encarno under Taurus, an executor and a target to try it on; and results for notebooks."""

from .results import read

__all__ = ["EncarnoExecutor", "EncarnoTarget", "FinalStats", "read"]


def __getattr__(name: str):
    # A notebook that reads results needs no Taurus.
    if name == "EncarnoExecutor":
        from .executor import EncarnoExecutor

        return EncarnoExecutor
    if name == "FinalStats":
        from .final_stats import FinalStats

        return FinalStats
    if name == "EncarnoTarget":
        from .target import EncarnoTarget

        return EncarnoTarget
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
