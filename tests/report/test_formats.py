"""One grid in every format; cells are numbers until then."""

import csv
import io
import json

import pytest

from define.analysis.claims import answers
from define.analysis.compare import compare
from define.report import data, grid
from define.report.answers import claim_grids
from define.report.grid import FORMATS, Grid, Interval, Number, print_terminal
from define.report.tables import result_grids
from define.runs import records


@pytest.fixture
def rows(mini_runs):
    return compare("1c", records.find([mini_runs]))


GRID = Grid(
    "50 % of a_b",
    ["row", "x\ny", "interval", "n"],
    [
        ["a & b|<c>", Number(-1.5, "+.2f", 12.0), Interval(-1, 2), 1_000],
        ["plain", Number(3.0, "+.2f", 2.0), None, None],
    ],
    ["100 %"],
)


def test_markdown_is_a_table_with_escapes_and_notes():
    lines = grid.markdown(GRID).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:4]]
    assert cells == [
        ["a & b\\|<c>", "-1.50±12.00", "[-1.00, 2.00]", "1,000"],
        ["plain", "+3.00±2.00", "-", "-"],
    ]
    assert lines[5] == "100 %" and lines[7] == grid.INTERVAL


def test_latex_escapes_text_and_sets_minus_signs():
    text = grid.latex(GRID)
    assert r"\caption{50 \% of a\_b. 100 \% $\pm$:" in text
    assert r"a \& b|<c> & $-1.50" in text and r"\begin{tabular}{lrrr}" in text


def test_html_aligns_numbers_without_splitting_text():
    text = grid.html_page([GRID])
    assert '<th scope="row">a &amp; b|&lt;c&gt;</th>' in text and "x<br>y" in text
    assert text.count('class="half"') == 2 and 'class="number">1,000<' in text
    assert "http" not in text and "<script" not in text


def _at(width, grids):
    stream = io.StringIO()
    stream.isatty = lambda: False
    old, grid.PLAIN_WIDTH = grid.PLAIN_WIDTH, width
    try:
        print_terminal(grids, stream)
    finally:
        grid.PLAIN_WIDTH = old
    return [line.rstrip() for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_terminal_table_keeps_its_width_and_breaks_names_between_words(width):
    lines = _at(width, result_grids(compare("1c", []) + compare("3", [])))
    assert max(map(len, lines)) <= width
    words = {word for row in compare("1c", []) for word in row.label.split()}
    shown = {word for line in lines for word in line.split()}
    assert words <= shown


def test_means_line_up_in_a_terminal_table(rows):
    lines = _at(100, result_grids(rows))
    found = [line for line in lines if "±" in line and line.startswith(("AWD", "awd"))]
    assert len(found) == 3 and len({line.index("±") for line in found}) == 1


def test_cited_rows_without_runs_fold_into_one_note(rows):
    (folded,), (whole,) = result_grids(rows, fold=True), result_grids(rows)
    assert len(whole.rows) == 7 and len(folded.rows) == 3
    (note,) = [note for note in folded.notes if note.startswith("Cited")]
    assert "AWD-LSTM + finetune 58.80 / 56.50, 24 M" in note and "Transformer-XL 54.50" in note
    (alone,) = result_grids(compare("1b", []), fold=True)
    assert [row[0] for row in alone.rows] == ["LSTM + DeFINE"]


def test_effects_where_numbers_cannot_be_compared_else_differences(rows, tmp_path, put):
    (mini,) = result_grids(rows)
    assert not any("diff." in name for name in mini.header)
    line = dict(zip(mini.header, mini.rows[5], strict=True))
    assert line["test\neffect\npaper"].value == pytest.approx(-4.6)
    assert line["test\neffect\nours"].value == pytest.approx(-3.0)
    assert "effect: a row's number less that of AWD-LSTM." in mini.notes
    put(tmp_path / "a", scale="paper", test_ppl=58.0, curve=(60.5,))
    put(tmp_path / "b", scale="smoke", test_ppl=700.0, curve=(800.0,))
    paper, smoke = result_grids(compare("1c", records.find([tmp_path / "a", tmp_path / "b"])))
    line = dict(zip(paper.header, paper.rows[0], strict=True))
    assert line["test\ndiff."].value == pytest.approx(-0.8)
    assert "58.00" not in str(smoke.texts()) and "700.00" not in str(paper.texts())


def test_sets_that_only_one_side_has_take_one_column_each(translation_runs):
    (shown,) = result_grids(compare("3", records.find([translation_runs])))
    line = dict(zip(shown.header, shown.rows[4], strict=True))
    assert line["newstest2017\npaper"].value == 28.25
    assert line["test_2016_flickr\nours"].value == pytest.approx(106.9 / 3)
    assert line["newstest2017\neffect\npaper"].value == pytest.approx(2.44)
    assert line["val\neffect\nours"].value == pytest.approx(5.8 / 3)
    assert "translation: beam_5." in shown.notes


def test_the_protocol_is_named_with_its_rows_where_there_are_several(tmp_path, put):
    put(tmp_path, row="awd_lstm", protocols={"carried": ({}, 120.0, 116.0)})
    put(tmp_path, row="awd_lstm_define", protocols={"sliding_window": ({}, 120.0, 116.0)})
    (shown,) = result_grids(compare("1c", records.find([tmp_path])))
    expected = "evaluation protocol: carried (AWD-LSTM); sliding_window (AWD-LSTM + DeFINE)."
    assert expected in shown.notes


def test_csv_and_json_have_full_precision(rows):
    lines = list(csv.DictReader(io.StringIO(data.rows_csv(rows))))
    entries = json.loads(data.as_json(rows))
    assert [line["row"] for line in lines] == [e["row"] for e in entries] == [r.row for r in rows]
    for row, line, entry in zip(rows, lines, entries, strict=True):
        for metric, statistic in row.ours.items():
            assert float(line[f"{metric}_low"]) == statistic.interval95[0]
            assert entry["ours"][metric] == statistic.to_json()
        assert entry["difference"] == row.difference and entry["effect"] == row.effect
    assert lines[1]["valid_ppl_mean"] == "" and lines[1]["published_valid_ppl"] == "58.8"


def test_claims_show_every_answer_and_the_pairs_of_what_was_run(rows, mini_runs):
    found = answers(records.find([mini_runs]))
    summary, section = claim_grids(found)
    assert len(summary.rows) == len(found) and section.title.startswith("Table 1c, scale mini")
    (pair,) = [row for row in section.rows if "less" in row[0]]
    assert pair[1].value == pytest.approx(-3.0) and pair[-1] == "undecided"
    assert claim_grids([]) == [] and len(claim_grids(answers([]))) == 1
    lines = list(csv.DictReader(io.StringIO(data.answers_csv(found))))
    assert len(lines) == sum(len(answer.pairs) for answer in found)
    (line,) = [line for line in lines if line["pair_first"] == "awd_lstm_define"]
    assert float(line["pair_mean"]) == pytest.approx(-3.0) and line["pair_seeds"] == "1 2 3"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_ends_in_a_line_break(rows, name):
    assert FORMATS[name](result_grids(rows)).endswith("\n")
