"""The renderings, against golden text."""

import csv
import io
import json

import pytest

from define.results import records
from define.results.compare import compare
from define.results.grid import Grid, latex, latex_escape, markdown
from define.results.render import FORMATS, millions, number, signed, statistics
from define.results.stats import Statistic

TERMINAL = """\
Table 1c, scale mini, data ptb: perplexity
                        valid       valid  valid  test        test   test M par. M par.
row                     paper        ours diff.† paper        ours diff.†  paper   ours n   status
──────────────────────────────────────────────────────────────────────────────────────────────────
AWD-LSTM                61.20 122.00±2.00 +60.80 58.80 118.00±2.00 +59.20  24.00   1.64 3 finished
AWD-LSTM + finetune     58.80           -      - 56.50           -      -  24.00      - -  not run
AWD-LSTM-MoS            58.10           -      - 56.00           -      -  22.00      - -  not run
AWD-LSTM-MoS + finetune 56.50           -      - 54.40           -      -  22.00      - -  not run
Transformer-XL              -           -      - 54.50           -      -  24.00      - -  not run
AWD-LSTM + DeFINE       56.50 119.00±2.65 +62.50 54.20 115.00±2.65 +60.80  20.00   2.00 3 finished
awd_lstm_wide (control)     - 120.50±0.71      -     - 116.50±0.71      -      -   1.64 2 finished
ours: mean ± sample deviation over the n finished seeds.
† not comparable: the paper trained at scale paper on ptb, these runs at scale mini on ptb.
control: a row of ours that the paper does not have.

"""


@pytest.fixture
def rows(mini_runs):
    return compare("1c", records.find([mini_runs]))


def test_terminal(rows):
    lines = [line.rstrip() for line in FORMATS["terminal"](rows).splitlines()]
    assert lines == TERMINAL.splitlines()
    assert max(map(len, lines)) <= 100


def test_markdown(rows):
    text = FORMATS["markdown"](rows)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in table}) == 1
    assert text.startswith("### Table 1c, scale mini, data ptb: perplexity\n\n| row  ")
    assert (
        "| AWD-LSTM + DeFINE       |       56.50 | 119.00±2.65 |       +62.50 |      54.20 "
        "| 115.00±2.65 |      +60.80 |        20.00 |        2.00 |   3 | finished |\n"
    ) in text
    assert "\n† not comparable: the paper trained at scale paper on ptb" in text


def test_latex(rows):
    lines = FORMATS["latex"](rows).splitlines()
    assert lines[:2] == [r"\begin{table}", r"  \centering"]
    assert lines[3:6] == [
        r"  \begin{tabular}{lrrrrrrrrrr}",
        r"    \toprule",
        r"    row & valid paper & valid ours & valid diff.\textdagger{} & test paper & test ours "
        r"& test diff.\textdagger{} & M par. paper & M par. ours & n & status \\",
    ]
    assert (
        r"    awd\_lstm\_wide (control) & - & 120.50$\pm$0.71 & - & - & 116.50$\pm$0.71 & - & - "
        r"& 1.64 & 2 & finished \\"
    ) in lines
    assert (
        r"    AWD-LSTM & 61.20 & 122.00$\pm$2.00 & $+60.80$ & 58.80 & 118.00$\pm$2.00 & $+59.20$ "
        r"& 24.00 & 1.64 & 3 & finished \\"
    ) in lines
    assert lines[-1] == r"\end{table}"


def test_sections_are_separate_grids(tmp_path, put):
    put(tmp_path / "a", scale="paper", test_ppl=58.0, curve=(60.5,))
    put(tmp_path / "b", scale="smoke", test_ppl=700.0, curve=(800.0,))
    rows = compare("1c", records.find([tmp_path]))
    for name in ("markdown", "latex", "terminal"):
        text = FORMATS[name](rows)
        assert text.index("58.00") < text.index("scale smoke, data ptb") < text.index("700.00")
    paper, smoke = FORMATS["markdown"](rows).split("### ")[1:]
    assert "| valid diff. |" in paper and "not comparable" not in paper
    assert "-0.70" in paper and "-0.80" in paper
    assert "| valid diff.† |" in smoke and "58.00" not in smoke


def test_csv_has_full_precision_and_empty_cells(rows):
    lines = list(csv.DictReader(io.StringIO(FORMATS["csv"](rows))))
    assert [line["row"] for line in lines] == [row.row for row in rows]
    first, second = lines[:2]
    assert first["seeds"] == "1 2 3" and first["scale"] == "mini" and first["comparable"] == "False"
    assert float(first["valid_ppl_mean"]) == rows[0].ours["valid_ppl"].mean
    assert float(first["valid_ppl_difference"]) == rows[0].difference["valid_ppl"]
    assert first["published_parameters_total"] == "24000000"
    assert first["parameters_io"] == "640000"
    assert second["status"] == "not run" and second["valid_ppl_mean"] == ""
    assert second["published_valid_ppl"] == "58.8"


def test_json_has_the_promised_keys(rows):
    entries = json.loads(FORMATS["json"](rows))
    assert len(entries) == len({(e["row"], e["scale"]) for e in entries}) == 7
    assert {"table", "row", "scale", "seeds", "published", "ours", "status"} <= entries[0].keys()
    define = next(entry for entry in entries if entry["row"] == "awd_lstm_define")
    assert define["table"] == "1c" and define["scale"] == "mini" and define["seeds"] == [1, 2, 3]
    assert define["published"] == {"valid_ppl": 56.5, "test_ppl": 54.2}
    assert define["ours"]["test_ppl"] == {
        "mean": pytest.approx(115.0),
        "std": pytest.approx(7**0.5),
        "n": 3,
    }
    missing = entries[1]
    assert missing["status"] == "not run" and missing["seeds"] == [] and missing["ours"] == {}


def test_the_protocol_is_named_with_its_rows_where_there_are_several(tmp_path, put):
    carried = {"carried": ({"batch_size": 1}, 120.0, 116.0)}
    put(tmp_path, row="awd_lstm", protocols=carried)
    put(tmp_path, row="awd_lstm_define", protocols=carried)
    text = FORMATS["terminal"](compare("1c", records.find([tmp_path])))
    assert "\nevaluation protocol: carried.\n" in text
    put(tmp_path, row="awd_lstm_define", protocols={"sliding_window": ({}, 120.0, 116.0)})
    text = FORMATS["markdown"](compare("1c", records.find([tmp_path])))
    assert (
        "evaluation protocol: carried (AWD-LSTM); sliding_window (AWD-LSTM + DeFINE).\n"
    ) in text


def test_bleu_tables_render():
    text = FORMATS["terminal"](compare("3", []))
    assert "Table 3, scale paper, data wmt14_en_de: BLEU" in text
    assert "27.01" in text and "28.25" in text and "newstest2017" in text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a_b & 95 % #1 $2", r"a\_b \& 95 \% \#1 \$2"),
        ("{x}^~", r"\{x\}\textasciicircum{}\textasciitilde{}"),
        ("a\\b", r"a\textbackslash{}b"),
        ("1±2†", r"1$\pm$2\textdagger{}"),
    ],
)
def test_latex_escapes(text, escaped):
    assert latex_escape(text) == escaped


def test_cells_are_escaped_where_they_would_break_a_table():
    grid = Grid("50 % of a_b", ["row", "x\ny"], [["a & b|c", "-1.50"]], notes=["100 %"])
    assert markdown(grid) == (
        "| row      |   x y |\n| -------- | ----: |\n| a & b\\|c | -1.50 |\n\n100 %\n"
    )
    lines = latex(grid).splitlines()
    assert lines[2] == r"  \caption{50 \% of a\_b. 100 \%}"
    assert lines[7] == r"    a \& b|c & $-1.50$ \\"


def test_number_cells():
    assert (number(None), number(61.2), signed(-0.004), signed(2.0)) == (
        "-",
        "61.20",
        "-0.00",
        "+2.00",
    )
    assert (millions(None), millions(24_221_600), millions(0)) == ("-", "24.22", "0.00")
    assert statistics([Statistic(9.5, 0.25, 3), Statistic(10.0, 12.0, 2), None]) == [
        "9.50 ±0.25",
        "10.00±12.00",
        "-      ",
    ]
