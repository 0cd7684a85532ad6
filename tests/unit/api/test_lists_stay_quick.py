"""A page of a list costs the same however long the list is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.bench import lists
from tests.bench.report import Report


@pytest.mark.slow
def test_a_first_page_of_many_costs_what_one_of_few_does(tmp_path: Path) -> None:
    small, large = lists.make_root(tmp_path / "small"), lists.make_root(tmp_path / "large")
    lists.fill(small, 1_000)
    lists.fill(large, 20_000)
    assert lists.sorts_in_memory(large.store) == []
    report = Report()
    lists.measure_lists(report, small.store, large.store, rounds=15)
    worst = float(report.figures[-1].value)
    for configuration in (small, large):
        configuration.store.close()
    assert worst <= 2, "a machine under load may add something, a list that is read whole adds twentyfold"


def test_a_section_is_written_beside_the_others(tmp_path: Path) -> None:
    file = tmp_path / "performance.md"
    lists.write_section(file, "One", "first")
    lists.write_section(file, "Two", "second")
    lists.write_section(file, "One", "changed")
    assert file.read_text() == "# Performance\n\n## One\n\nchanged\n\n## Two\n\nsecond\n"
