"""Records of `define bench` as tables and as a page."""

import json

import pytest

from define.errors import InputError
from define.report import performance


def test_a_table_shows_medians_ratios_and_spread(bench_record):
    grid, _ = performance.grids(bench_record)
    assert grid.texts() == [
        ["base", "20.00", "15.00 to 25.00", "1.000", "-", "2,000"],
        # Ratios 2, 2.5 and 3; 40 tokens in 50 ms.
        ["slow", "50.00", "35.00 to 70.00", "2.500", "2.250 to 2.750", "800"],
    ]


def test_rows_of_the_papers_size_have_its_times(bench_record):
    group = bench_record["groups"][0] | {"table": "1a", "tokens": {}}
    group["values"] = {"lstm_r1": [4.0], "lstm_r2": [2.0]}
    for scale, last in (("paper", ["1150", "297"]), ("mini", ["-", "0.500 to 0.500"])):
        bench_record["groups"] = [group | {"scale": scale}]
        rows = performance.grids(bench_record)[0].texts()
        assert [row[0] for row in rows] == ["R1", "R2"] and [row[-1] for row in rows] == last


def test_the_page_is_made_again_from_the_records_alone(tmp_path, bench_record):
    with pytest.raises(InputError, match="there is no record in .*; write one with `define bench"):
        performance.write_page(tmp_path)
    busy = bench_record | {"busy": "The machine was busy."}
    (tmp_path / "before.json").write_text(json.dumps(bench_record))
    (tmp_path / "after.json").write_text(json.dumps(busy))
    (tmp_path / "notes.md").write_text("Kept: a remedy.\n")
    performance.write_page(tmp_path)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    text = files["README.md"].decode()
    assert text.index("Kept: a remedy.") < text.index("## after") < text.index("## before")
    assert text.count("**The machine was busy.**") == 1
    assert text.count("2.250 to 2.750") == 2 and "![By N](after_growth_N.png)" in text
    assert {"after_growth_N.svg", "before_growth_N.png"} <= files.keys()
    performance.write_page(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files
