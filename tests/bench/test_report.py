"""What is made of windows: files, tables, pictures, the report."""

import csv
import io

import pytest
from rich.console import Console

from bench import plots, report, table, words
from bench.figures import Window, rows
from bench.result import Result, ResultError, load, merged


@pytest.fixture
def result():
    windows = []
    for number in range(3):
        for backend, value in (("vio4wd", 3.0), ("testpmd", 2.0)):
            for scenario, count in (("pvp", ""), ("relays", "1 attached, "), ("relays", "8 attached, ")):
                case = f"64 B split, {count}VM→VF"
                extra = {"guest drop": 0.25}
                drift = value + number / 10 + len(count) / 10
                windows.append(Window(scenario, case, backend, drift, "Mpps", 90.0, 95.0, extra))
    windows.append(Window("pvp", "64 B split, VM→VF", "vio4wd", 9.0, "Mpps", 90.0, 400.0))
    windows.append(Window("startup", "warm, first packet", "vio4wd", 1.234, "s"))
    return Result({"processor": "one"}, {"windows": "3"}, windows)


def test_json_holds_all_of_it(result, tmp_path):
    result.save(tmp_path / "result.json")
    assert load(tmp_path / "result.json") == result
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_runs_are_merged(result):
    other = Result({"processor": "one"}, {"windows": "5"}, result.windows[:1])
    both = merged([result, other])
    assert both.windows == result.windows + result.windows[:1]
    assert both.machine == {"processor": "one"}
    assert both.settings == {"windows": "3; 5"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 0}', '{"format": 1, "windows": [{}]}'])
def test_other_files_are_refused_in_one_line(text, tmp_path):
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(ResultError, match=r"result\.json: .+") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_csv_has_a_line_for_each_window(result, tmp_path):
    result.save_csv(tmp_path / "result.csv")
    with (tmp_path / "result.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(result.windows)
    assert lines[0]["placement"] == "near"
    assert lines[0]["guest drop"] == "0.25"
    assert lines[-1] == {
        "scenario": "startup",
        "case": "warm, first packet",
        "backend": "vio4wd",
        "placement": "any",
        "value": "1.234",
        "unit": "s",
        "before": "",
        "after": "",
        "guest drop": "",
    }


def test_report_has_tables_with_ratios(result):
    text = report.document(result, {"pvp": "benchmarks/pvp.svg"}, "A note.")
    lines = text.splitlines()
    assert "| processor | one |" in lines
    assert "(1 of 20)" in text
    assert (
        "| 64 B split, VM→VF | near | 3.10 [3.00-3.20] 3 | guest drop 25 % "
        "| 2.10 [2.00-2.20] 3 | guest drop 25 % | 1.48 |"
    ) in lines
    assert "![pvp](benchmarks/pvp.svg)" in lines
    assert "## startup: s, less is better" in lines
    assert lines[-1] == "A note."


def test_relays_are_compared_with_one_alone(result):
    members = [row for row in rows(result.windows) if row.scenario == "relays"]
    assert words.columns(members)[-1] == "by one alone"
    assert [words.cells(row, members)[-1] for row in members] == ["1.00", "1.00"]


def test_tables_of_the_terminal(result):
    console = Console(file=io.StringIO(), width=200)
    table.show(result.windows, console)
    text = console.file.getvalue()
    assert "pvp: Mpps, more is better" in text
    assert "1 windows were thrown away" in text


def test_pictures_are_the_same_for_the_same_figures(result, tmp_path):
    first = plots.draw(rows(result.windows), tmp_path / "first")
    again = plots.draw(rows(result.windows), tmp_path / "again")
    assert list(first) == ["pvp", "relays", "startup"]
    for scenario, path in first.items():
        assert path.read_bytes() == again[scenario].read_bytes()
    assert "64 B split, VM→VF" in first["pvp"].read_text()


def test_the_command_writes_report_and_pictures(result, tmp_path, capsys):
    result.save(tmp_path / "result.json")
    docs = tmp_path / "docs"
    docs.mkdir()
    assert report.main([str(tmp_path / "result.json"), f"--docs={docs}"]) == 0
    assert capsys.readouterr().out.strip() == str(docs / "benchmarks.md")
    for scenario in ("pvp", "relays", "startup"):
        assert f"(benchmarks/{scenario}.svg)" in (docs / "benchmarks.md").read_text()
        assert (docs / "benchmarks" / f"{scenario}.svg").exists()


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    assert report.main([str(tmp_path / "none.json")]) == 1
    assert capsys.readouterr().err == f"{tmp_path}/none.json: No such file or directory\n"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.00"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (9.999, "10.00")]
)
def test_figures_have_three_digits(value, text):
    assert words.figure(value) == text
