"""What was tested, with which client, and how it went: as JSON or as a Markdown table."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Row:
    """One contract, tried with one client."""

    capability: str
    contract: str
    client: str
    version: str
    result: str


class Table:
    """The pytest plugin that collects the rows, also from the processes of pytest-xdist, and writes them at the end."""

    def __init__(self, path: Path, hub: str) -> None:
        self._path = path
        self._hub = hub
        self._rows: list[Row] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the call of a test that ran, and whatever else did not pass."""
        told = dict(report.user_properties)
        if "contract" in told and (report.when == "call" or not report.passed):
            result = report.longrepr[2] if report.skipped else report.outcome
            version = told.get("version", "")
            self._rows.append(Row(told["capability"], told["contract"], told["client"], version, result))

    def pytest_sessionfinish(self) -> None:
        """Write the table; the suffix of the file says in which form."""
        if self._path.suffix == ".json":
            told = {"hub": self._hub, "rows": [asdict(row) for row in self._rows]}
            text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
        else:
            head = list(Row.__annotations__)
            cells = [[value.replace("|", "\\|") for value in asdict(row).values()] for row in self._rows]
            lines = [f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *cells]]
            text = "\n".join([f"Hub: {self._hub}", "", *lines, ""])
        self._path.write_text(text)
