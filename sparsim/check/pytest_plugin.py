"""A plugin for pytest that turns recorded cases into tests: `pytest -p sparsim.check.pytest_plugin DIR`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sparsim.check.check_case import run_case
from sparsim.check.recorded_case import is_answer, recorded_case

_LISTED = 20  # deviations of a case that a failure names


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sparsim", "recorded stats files of Timeloop")
    group.addoption(
        "--stats-tolerance", type=float, default=0.0, help="largest relative difference that is accepted"
    )
    group.addoption("--stats-accounting", help="accounting convention, as in sparsim check --accounting")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.File | None:
    return _StatsFile.from_parent(parent, path=file_path) if is_answer(file_path) else None


class _StatsFile(pytest.File):
    def collect(self) -> Iterator[pytest.Item]:
        yield _CaseItem.from_parent(self, name=self.path.parent.name)


class DeviationError(Exception):
    """A recorded case deviates from what the model computes."""


class _CaseItem(pytest.Item):
    def runtest(self) -> None:
        options = self.config.option
        case = recorded_case(self.path, self.path.parent)
        outcome = run_case(case, options.stats_accounting, options.stats_tolerance)
        if outcome.bad_input:
            raise DeviationError(outcome.bad_input)
        deviating = outcome.comparison.by_verdict("deviating")
        if deviating:
            named = "\n".join(str(difference) for difference in deviating[:_LISTED])
            raise DeviationError(f"{len(deviating)} fields deviate:\n{named}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        if isinstance(excinfo.value, DeviationError):
            return f"{self.path}: {excinfo.value}"
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"recorded case {self.name}"
