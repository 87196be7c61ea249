"""One grid in every format; cells are numbers until then."""

import csv
import io
import json

import pytest

from define.analysis.claims import answers
from define.analysis.compare import compare
from define.report import data, grid
from define.report.claims import claim_grids
from define.report.grid import FORMATS, Grid, Interval, Number
from define.report.tables import results
from define.runs import records

GRID = Grid(
    "50 % of a_b",
    ["row", "x\ny", "interval", "n"],
    [
        ["a & b|<c>", Number(-1.5, "+.2f", 12.0), Interval(-1, 2), 1_000],
        ["plain", Number(3.0, "+.2f", 2.0), None, None],
    ],
    ["100 %"],
)


@pytest.fixture
def section(mini_runs):
    (found,) = compare("1c", records.find([mini_runs]))
    return found


def _line(shown, index):
    return dict(zip(shown.header, shown.rows[index], strict=True))


def test_markdown_is_a_table_with_escapes_and_notes():
    lines = grid.markdown(GRID).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:4]]
    assert cells == [
        ["a & b\\|<c>", "-1.50±12.00", "[-1.00, 2.00]", "1,000"],
        ["plain", "+3.00±2.00", "-", "-"],
    ]
    assert lines[5] == "100 %" and lines[7] == grid.INTERVAL


def test_latex_escapes_text_and_sets_minus_signs():
    text = FORMATS["latex"]([GRID])
    assert r"\caption{50 \% of a\_b. 100 \% $\pm$:" in text
    assert r"a \& b|<c> & $-1.50" in text and r"\begin{tabular}{lrrr}" in text


def test_html_aligns_numbers_without_splitting_text():
    text = FORMATS["html"]([GRID])
    assert '<th scope="row">a &amp; b|&lt;c&gt;</th>' in text and "x<br>y" in text
    assert text.count('class="half"') == 2 and 'class="number">1,000<' in text
    assert "http" not in text and "<script" not in text


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_terminal_table_keeps_its_width_breaks_between_words_and_aligns_means(
    width, section, monkeypatch
):
    monkeypatch.setattr(grid, "PLAIN_WIDTH", width)
    shown = [section, *compare("1c", []), *compare("3", [])]
    lines = [line.rstrip() for line in FORMATS["terminal"](map(results, shown)).splitlines()]
    assert max(map(len, lines)) <= width
    words = {word for row in section.rows for word in row.label.split()}
    assert words <= {word for line in lines for word in line.split()}
    means = [line for line in lines if "±" in line and line.startswith(("AWD", "awd"))]
    assert width < 100 or (len(means) == 3 and len({line.index("±") for line in means}) == 1)


def test_cited_rows_without_runs_fold_into_one_note(section):
    folded, whole = results(section, fold=True), results(section)
    assert len(whole.rows) == 7 and len(folded.rows) == 3
    (note,) = [note for note in folded.notes if note.startswith("Cited")]
    assert "AWD-LSTM + finetune 58.80 / 56.50, 24 M" in note and "Transformer-XL 54.50" in note
    alone = results(compare("1b", [])[0], fold=True)
    assert [row[0] for row in alone.rows] == ["LSTM + DeFINE"]


def test_effects_where_numbers_cannot_be_compared_else_differences(section, tmp_path, put):
    mini = results(section)
    assert not any("diff." in name for name in mini.header)
    assert _line(mini, 5)["test\neffect\npaper"].value == pytest.approx(-4.6)
    assert _line(mini, 5)["test\neffect\nours"].value == pytest.approx(-3.0)
    assert "effect: a row's number less that of AWD-LSTM." in mini.notes
    put(tmp_path / "a", scale="paper", test_ppl=58.0, curve=(60.5,))
    put(tmp_path / "b", scale="smoke", test_ppl=700.0, curve=(800.0,))
    paper, smoke = map(results, compare("1c", records.find([tmp_path / "a", tmp_path / "b"])))
    assert _line(paper, 0)["test\ndiff."].value == pytest.approx(-0.8)
    assert "58.00" not in str(smoke.texts()) and "700.00" not in str(paper.texts())


def test_sets_that_only_one_side_has_take_one_column_each(translation_runs):
    shown = results(compare("3", records.find([translation_runs]))[0])
    line = _line(shown, 4)
    assert line["newstest2017\npaper"].value == 28.25
    assert line["test_2016_flickr\nours"].value == pytest.approx(106.9 / 3)
    assert line["newstest2017\neffect\npaper"].value == pytest.approx(2.44)
    assert line["val\neffect\nours"].value == pytest.approx(5.8 / 3)
    assert "translation: beam_5." in shown.notes


def test_the_protocol_is_named_with_its_rows_where_there_are_several(tmp_path, put):
    put(tmp_path, row="awd_lstm", protocols={"carried": ({}, 120.0, 116.0)})
    put(tmp_path, row="awd_lstm_define", protocols={"sliding_window": ({}, 120.0, 116.0)})
    shown = results(compare("1c", records.find([tmp_path]))[0])
    expected = "evaluation protocol: carried (AWD-LSTM); sliding_window (AWD-LSTM + DeFINE)."
    assert expected in shown.notes


def test_csv_and_json_have_full_precision(section):
    lines = list(csv.DictReader(io.StringIO(data.rows_csv(section.rows))))
    entries = json.loads(data.as_json(section.rows))
    for row, line, entry in zip(section.rows, lines, entries, strict=True):
        assert row.row == line["row"] == entry["row"]
        for metric, statistic in row.ours.items():
            assert float(line[f"{metric}_low"]) == statistic.interval95[0]
            assert entry["ours"][metric] == statistic.to_json()
        assert entry["difference"] == row.difference and entry["effect"] == row.effect
    assert lines[1]["valid_ppl_mean"] == "" and lines[1]["published_valid_ppl"] == "58.8"


def test_claims_show_every_answer_and_the_pairs_of_what_was_run(mini_runs):
    found = answers(records.find([mini_runs]))
    summary, shown = claim_grids(found)
    assert len(summary.rows) == len(found) and shown.title.startswith("Table 1c, scale mini")
    (pair,) = [row for row in shown.rows if "less" in row[0]]
    assert pair[1].value == pytest.approx(-3.0) and pair[-1] == "undecided"
    assert claim_grids([]) == [] and len(claim_grids(answers([]))) == 1
    lines = list(csv.DictReader(io.StringIO(data.answers_csv(found))))
    assert len(lines) == sum(len(answer.pairs) for answer in found)
    (line,) = [line for line in lines if line["pair_first"] == "awd_lstm_define"]
    assert float(line["pair_mean"]) == pytest.approx(-3.0) and line["pair_seeds"] == "1 2 3"
