"""Taurus's final statistics, with the capacities that were measured."""

from bzt.modules.aggregator import DataPoint
from bzt.modules.reporting import FinalStatus
from terminaltables3 import AsciiTable

from .capacity import figures_of, rows_of
from .executor import EncarnoExecutor


class FinalStats(FinalStatus):
    """The reporter `final-stats`. Without a capacity it is Taurus's own."""

    def post_process(self) -> None:
        executors = [
            executor
            for executor in self.engine.provisioning.executors
            if isinstance(executor, EncarnoExecutor) and executor.capacity
        ]
        for number, executor in enumerate(executors, 1):
            self._add_figures(executor.capacity, f"capacity{number if number > 1 else ''}")
        super().post_process()
        for executor in executors:
            table = AsciiTable(rows_of(executor.capacity))
            for column in range(1, 4):
                table.justify_columns[column] = "right"
            self.log.info("Capacity of %s:\n%s", executor.label, table.table)

    def _add_figures(self, outcome: dict, prefix: str) -> None:
        """Adds the figures to those of all hits, which are written to the XML and CSV files."""
        total = self.last_sec and self.last_sec[DataPoint.CUMULATIVE].get("")
        if total is not None:
            total.update({f"{prefix}_{name}": text for name, text in figures_of(outcome).items()})
