"""The renderings, against golden text."""

import csv
import io
import json
from html.parser import HTMLParser

import pytest
from define.report.render import FORMATS, millions, number, signed, statistics

from define.analysis.compare import compare
from define.analysis.stats import Statistic
from define.report.grid import FORMATS as FORMATS_OF_GRIDS
from define.report.grid import Grid, html, html_page, latex, latex_escape, markdown
from define.runs import records

TERMINAL = """\
Table 1c, scale mini, data ptb: perplexity
                        valid       valid  valid  test        test   test M par. M par.
row                     paper        ours diff.† paper        ours diff.†  paper   ours n   status
──────────────────────────────────────────────────────────────────────────────────────────────────
AWD-LSTM                61.20 122.00±4.97 +60.80 58.80 118.00±4.97 +59.20  24.00   1.64 3 finished
AWD-LSTM + finetune     58.80           -      - 56.50           -      -  24.00      - -  not run
AWD-LSTM-MoS            58.10           -      - 56.00           -      -  22.00      - -  not run
AWD-LSTM-MoS + finetune 56.50           -      - 54.40           -      -  22.00      - -  not run
Transformer-XL              -           -      - 54.50           -      -  24.00      - -  not run
AWD-LSTM + DeFINE       56.50 119.00±6.57 +62.50 54.20 115.00±6.57 +60.80  20.00   2.00 3 finished
awd_lstm_wide (control)     - 120.50±6.35      -     - 116.50±6.35      -      -   1.64 2 finished
ours: mean over the n finished seeds; one seed has no interval.
±: half the 95 % interval of the mean over n seeds (Student's t, n - 1 degrees of freedom).
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
        "| AWD-LSTM + DeFINE       |       56.50 | 119.00±6.57 |       +62.50 |      54.20 "
        "| 115.00±6.57 |      +60.80 |        20.00 |        2.00 |   3 | finished |\n"
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
        r"    awd\_lstm\_wide (control) & - & 120.50$\pm$6.35 & - & - & 116.50$\pm$6.35 & - & - "
        r"& 1.64 & 2 & finished \\"
    ) in lines
    assert (
        r"    AWD-LSTM & 61.20 & 122.00$\pm$4.97 & $+60.80$ & 58.80 & 118.00$\pm$4.97 & $+59.20$ "
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
    assert float(first["valid_ppl_low"]) == pytest.approx(122 - 4.302652729911275 * 2 / 3**0.5)
    assert float(first["valid_ppl_high"]) == pytest.approx(122 + 4.302652729911275 * 2 / 3**0.5)
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
        # Student's t of two degrees: 4.3027.
        "low": pytest.approx(115 - 4.302652729911275 * (7 / 3) ** 0.5),
        "high": pytest.approx(115 + 4.302652729911275 * (7 / 3) ** 0.5),
    }
    assert define["tokens_per_second"]["high"] == 15_000.0 and define["peak_memory_mib"]["n"] == 3
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
    assert "Table 3, scale paper, data wmt14-en-de: BLEU" in text
    assert "27.01" in text and "28.25" in text and "newstest2017" in text


def _cells(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_sets_that_only_one_side_has_take_one_column(translation_runs):
    text = FORMATS["markdown"](compare("3", records.find([translation_runs])))
    assert text.startswith("### Table 3, scale mini, data multi30k: BLEU\n")
    header, _, *rows = _cells(text)
    assert header == [
        "row", "newstest2014 paper", "newstest2017 paper", "val ours†", "test_2016_flickr ours†",
        "M par. paper", "M par. ours", "n", "status",
    ]  # fmt: skip
    assert rows[0][1:5] == ["27.30", "-", "-", "-"]
    # 33, 34.5 and 33.6: mean 33.7, squares 0.49 + 0.64 + 0.01.
    assert rows[3] == [
        "Transformer (authors' run)", "25.01", "25.81", "32.20±1.88", "33.70±1.88", "92.00",
        "1.64", "3", "finished",
    ]  # fmt: skip
    assert rows[5][:5] == ["transformer_linear (control)", "-", "-", "31.05±6.99", "32.55±6.99"]
    assert (
        "\n† not comparable: the paper trained at scale paper on wmt14-en-de, these runs at scale "
        "mini on multi30k.\n"
    ) in text
    assert "\ntranslation: beam_5.\n" in text and "protocol" not in text and "ppl" not in text


def test_sets_of_both_sides_have_a_difference(tmp_path, put):
    scores = {"newstest2014": 26.01, "newstest2017": 28.5, "val": 30.0}
    ways = {"beam_5": ({"beam": 5}, scores)}
    corpus = {"table": "3", "row": "transformer_define", "data": "wmt14-en-de"}
    put(tmp_path, **corpus, scale="paper", translations=ways)
    text = FORMATS["markdown"](compare("3", records.find([tmp_path])))
    header, _, *rows = _cells(text)
    assert header[1:8] == [
        "newstest2014 paper", "newstest2014 ours", "newstest2014 diff.",
        "newstest2017 paper", "newstest2017 ours", "newstest2017 diff.", "val ours",
    ]  # fmt: skip
    assert rows[-1][1:8] == ["27.01", "26.01", "-1.00", "28.25", "28.50", "+0.25", "30.00"]
    assert "not comparable" not in text
    put(tmp_path, **corpus, scale="mini", translations=ways)
    (mini,) = _cells(FORMATS["markdown"](compare("3", records.find([tmp_path]), ["mini"])))[:1]
    assert mini[3] == "newstest2014 diff.†" and mini[7] == "val ours†"


def test_bleu_in_latex_and_on_the_terminal(translation_runs):
    rows = compare("3", records.find([translation_runs]))
    latex_lines = FORMATS["latex"](rows).splitlines()
    assert latex_lines[2].startswith(r"  \caption{Table 3, scale mini, data multi30k: BLEU. ours")
    assert r"test\_2016\_flickr ours\textdagger{}" in latex_lines[5]
    assert (
        r"    Transformer + DeFINE & 27.01 & 28.25 & 34.13$\pm$1.37 & 35.63$\pm$1.37 & 68.00 "
        r"& 2.04 & 3 & finished \\"
    ) in latex_lines
    terminal = [line.rstrip() for line in FORMATS["terminal"](rows).splitlines()]
    assert terminal[0] == "Table 3, scale mini, data multi30k: BLEU"
    assert max(map(len, terminal)) <= 100
    assert any("35.63±1.37" in line and "68.00" in line for line in terminal)


OLD_COLUMNS = [
    "table", "row", "label", "kind", "scale", "data", "status", "seeds", "comparable",
    *(
        f"{before}{metric}{after}"
        for metric in ("valid_ppl", "test_ppl", "newstest2014_bleu", "newstest2017_bleu")
        for before, after in (
            ("published_", ""), ("", "_mean"), ("", "_std"), ("", "_n"),
            ("", "_low"), ("", "_high"), ("", "_difference"),
        )
    ),
]  # fmt: skip


def test_csv_columns_of_further_sets_follow_those_of_all_tables(mini_runs, translation_runs):
    found = records.find([mini_runs])
    old = FORMATS["csv"](compare("1c", found)).splitlines()[0].split(",")
    assert old[: len(OLD_COLUMNS)] == OLD_COLUMNS
    assert old[len(OLD_COLUMNS)] == "published_parameters_define"
    text = FORMATS["csv"](compare("1c", found) + compare("3", found))
    lines = list(csv.DictReader(io.StringIO(text)))
    new = [column for column in lines[0] if column not in old]
    assert new == [
        f"{before}{name}_bleu{after}"
        for name in ("val", "test_2016_flickr")
        for before, after in (
            ("published_", ""), ("", "_mean"), ("", "_std"), ("", "_n"),
            ("", "_low"), ("", "_high"), ("", "_difference"),
        )
    ]  # fmt: skip
    (define,) = [line for line in lines if line["row"] == "transformer_define"]
    assert float(define["test_2016_flickr_bleu_mean"]) == pytest.approx(106.9 / 3)
    assert float(define["valid_ppl_mean"]) == pytest.approx(11.2)
    assert define["published_newstest2017_bleu"] == "28.25" and define["protocol"] == "beam_5"
    assert define["newstest2017_bleu_mean"] == define["published_val_bleu"] == ""


def test_json_has_bleu_beside_the_perplexity_of_subwords(translation_runs):
    entries = json.loads(FORMATS["json"](compare("3", records.find([translation_runs]))))
    plain = next(entry for entry in entries if entry["row"] == "transformer")
    assert list(plain["ours"]) == ["valid_ppl", "test_ppl", "val_bleu", "test_2016_flickr_bleu"]
    assert plain["ours"]["val_bleu"]["mean"] == pytest.approx(32.2)
    assert plain["published"] == {"newstest2014_bleu": 25.01, "newstest2017_bleu": 25.81}
    assert plain["difference"] == {}


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


class _Tags(HTMLParser):
    """Collects (tag, attributes, text) of each element; refuses tags that do not close in turn."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append([tag, dict(attributes), ""])
        if tag not in ("br", "meta"):
            self.open.append(self.elements[-1])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open:
            inside = self.open[-1][0] == "span"  # part of the cell that it stands in
            self.open[-2 if inside else -1][2] += data

    def texts(self, *tags):
        return [text for tag, _, text in self.elements if tag in tags]


def test_html_fragment():
    header = ["row", "x\ny", "status", "seeds", "none"]
    rows = [["<a & b>", "-1.50±2.00", "finished", "1, 2", "-"], ["c", "-", "not run", "", "-"]]
    text = html(Grid("50 % of <b>", header, rows, notes=["1 < 2"]))
    page = _Tags(text)
    assert page.elements[0] == ["figure", {"class": "grid"}, "\n\n\n\n"]
    assert page.texts("figcaption", "p") == ["50 % of <b>", "1 < 2"]
    scroll = next(attributes for tag, attributes, _ in page.elements if tag == "div")
    assert scroll["class"] == "scroll" and scroll["tabindex"] == "0"
    assert page.texts("th", "td") == [
        "row", "xy", "status", "seeds", "none", "<a & b>", "-1.50±2.00", "finished", "1, 2", "-",
        "c", "-", "not run", "", "-",
    ]  # fmt: skip
    assert ">x<br>y</th>" in text and "<b>" not in text
    spans = [attributes for tag, attributes, _ in page.elements if tag == "span"]
    assert spans == [{"class": "half", "style": "width: 5ch"}] * 2
    cells = [(tag, a) for tag, a, _ in page.elements if tag in ("th", "td")]
    assert cells[:2] == [("th", {"scope": "col"}), ("th", {"scope": "col", "class": "number"})]
    for line in (cells[5:10], cells[10:]):
        number = ("td", {"class": "number"})
        assert line == [("th", {"scope": "row"}), number, ("td", {}), number, number]


def test_html_page_stands_alone(rows):
    text = FORMATS["html"](rows)
    page = _Tags(text)
    assert text.startswith("<!DOCTYPE html>\n")
    assert page.texts("figcaption") == ["Table 1c, scale mini, data ptb: perplexity"]
    assert page.texts("th", "td").count("AWD-LSTM + DeFINE") == 1
    assert not {"link", "script", "img", "iframe"} & {tag for tag, _, _ in page.elements}
    assert "http" not in text and "url(" not in text and "@import" not in text
    assert _Tags(html_page([])).texts("figcaption") == []


def test_number_cells():
    assert (number(None), number(61.2), signed(-0.004), signed(2.0)) == (
        "-",
        "61.20",
        "-0.00",
        "+2.00",
    )
    assert (millions(None), millions(24_221_600), millions(0)) == ("-", "24.22", "0.00")
    # t of two degrees 4.3027 and of one 12.7062, over the root of n.
    values = [Statistic(9.5, 0.25, 3), Statistic(10.0, 12.0, 2), Statistic(8.0, None, 1), None]
    assert statistics(values) == ["9.50  ±0.62", "10.00±107.82", "8.00       ", "-       "]


def test_the_interval_is_explained_where_it_is_shown(tmp_path, put):
    put(tmp_path, seed=1)
    note = "±: half the 95 % interval of the mean over n seeds (Student's t, n - 1 degrees"
    assert "±" not in FORMATS["terminal"](compare("1c", records.find([tmp_path])))
    put(tmp_path, seed=2)
    text = FORMATS["terminal"](compare("1c", records.find([tmp_path])))
    assert f"\n{note} of freedom).\n" in text and "116.00±0.00" in text


def test_a_terminal_too_narrow_for_a_grid_gets_it_in_parts():
    rows = [["a long label", "1" * 30, "2" * 30, "3" * 60], ["b", "4", "5", "6"]]
    grid = Grid("title", ["row", "one", "two", "three"], rows)
    lines = FORMATS_OF_GRIDS["terminal"]([grid]).splitlines()
    assert [line.split() for line in lines if line.startswith(("row", "b"))] == [
        ["row", "one", "two"],
        ["b", "4", "5"],
        ["row", "three"],
        ["b", "6"],
    ]
    assert sum(line.startswith("a long label") for line in lines) == 2
    assert max(map(len, lines)) <= 100
