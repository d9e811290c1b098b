"""The guard against slower kernels: instructions per packet are those that are committed."""

import pytest

from bench import counted, instructions
from bench.instructions import CountError, Difference, Figures


def test_kernels_take_the_committed_instructions():
    differences = instructions.compare(instructions.load(), instructions.count())
    advice = "if this is wanted: python -m bench instructions --update"
    assert differences == [], "\n".join([*map(str, differences), advice])


def test_small_changes_are_none():
    committed = Figures("numba 1", {"split": 100.0})
    assert instructions.compare(committed, Figures("numba 1", {"split": 102.9})) == []
    assert instructions.compare(committed, Figures("numba 1", {"split": 97.1})) == []


@pytest.mark.parametrize("now", [103.1, 96.9])
def test_a_change_either_way_is_reported(now):
    found = instructions.compare(Figures("numba 1", {"split": 100.0}), Figures("numba 1", {"split": now}))
    assert found == [Difference("split", 100.0, now)]
    assert str(found[0]) == f"split: {now} instructions, committed 100.0 ({now - 100:+.1f} %)"


def test_another_compiler_may_differ_more():
    committed = Figures("numba 1", {"split": 100.0})
    assert instructions.compare(committed, Figures("numba 2", {"split": 114.0})) == []
    assert len(instructions.compare(committed, Figures("numba 2", {"split": 116.0}))) == 1


def test_cases_that_come_or_go_are_reported():
    found = instructions.compare(Figures("", {"old": 1.0}), Figures("", {"new": 2.0}))
    assert list(map(str, found)) == [
        "old: is not counted any more",
        "new: 2.0 instructions, nothing is committed",
    ]


def test_figures_are_the_difference_of_two_runs():
    counts = {f"{case.name}/{part}": 5000 for case in counted.cases() for part in (1, 2)}
    case = next(counted.cases())
    counts[f"{case.name}/2"] += 3 * case.counted
    figures = instructions.per_packet(counts)
    assert figures.pop(case.name) == 3.0
    assert set(figures.values()) == {0.0}


def test_a_missing_run_is_told():
    with pytest.raises(CountError, match="wrote nothing about"):
        instructions.per_packet({})


def test_committed_figures_survive_a_save(tmp_path):
    figures = Figures("numba 1", {"split": 100.25})
    instructions.save(figures, tmp_path / "figures.json")
    assert instructions.load(tmp_path / "figures.json") == figures
