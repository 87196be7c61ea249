"""Figures: what they draw, labels that do not collide, equal bytes."""

import re
from itertools import combinations

import pytest

from define.analysis import sizes
from define.analysis.compare import compare
from define.errors import InputError
from define.report import figures, style
from define.report.tradeoff import tradeoff
from define.runs import records


def _tradeoff(table, folder, scales=None):
    return tradeoff(table, sizes.panels(table, records.find([folder]), scales))


@pytest.fixture
def runs(tmp_path, make_record):
    """Rows of Table 2 at another n than the paper's, two seeds of one, and a control."""
    rows = {
        "txl_64": (16, 200.0, 204.0),
        "txl_64_define": (16, 180.0),
        "txl_128": (32, 170.0),
        "txl_128_define": (32, 169.0),
        "txl_410": (100, 168.5),
        "txl_wide": (None, 175.0),
    }
    for index, (row, (n, *tests)) in enumerate(rows.items()):
        for seed, test in enumerate(tests, start=1):
            run = {"table": "2", "data": "wikitext-2", "config": n and {"model": {"map_dim": n}}}
            record = make_record(row, seed, test_ppl=test, **run)
            # All but equal sizes: labels must get out of each other's way.
            record["parameters"]["io"] += 10_000 * index
            record["parameters"]["total"] += 10_000 * index
            records.write(tmp_path / row / str(seed) / "record.json", record)
    return tmp_path


def _drawn(axes):
    """Label -> the points of its line."""
    _, labels = axes.get_legend_handles_labels()
    lines = [container.lines[0] for container in axes.containers]
    return {
        label: [(x, pytest.approx(y)) for x, y in zip(*line.get_data(), strict=True)]
        for label, line in zip(labels, lines, strict=True)
    }


def test_ours_and_the_paper_have_a_panel_each(runs):
    ours, paper = _tradeoff("2", runs).axes
    assert ours.get_title() == "ours: scale mini, data wikitext-2"
    assert paper.get_title() == "the paper: data wikitext-103"
    assert ours.get_ylabel() == paper.get_ylabel() == "test perplexity"
    assert ours.get_xlabel() == "total parameters in millions"
    assert _drawn(ours) == {
        "Transformer-XL": [(1.64, 202.0), (1.66, 170.0)],
        "Transformer-XL + DeFINE": [(1.65, 180.0), (1.67, 169.0)],
        "Transformer-XL, original width": [(1.68, 168.5)],
        "control": [(1.69, 175.0)],
    }
    plain = [(53.75, 33.74), (70.98, 29.16), (105.45, 28.09), (139.33, 27.06)]
    assert _drawn(paper)["Transformer-XL"] == plain
    # Bars go from the lowest to the highest seed, where there are several.
    (bars,) = ours.containers[0].lines[2]
    assert bars.get_segments()[0][:, 1].tolist() == pytest.approx([200.0, 204.0])
    assert not ours.containers[1].has_yerr and not paper.containers[0].has_yerr
    (legend,) = ours.figure.legends
    assert legend.get_title().get_text() == "mean, bar from lowest to highest seed"


def test_no_label_covers_another_or_leaves_its_panel(runs):
    figure = _tradeoff("2", runs)
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts]
        assert len(boxes) >= 6
        assert not any(first.overlaps(second) for first, second in combinations(boxes, 2))
        assert not figure.legends[0].get_window_extent().overlaps(axes.bbox)
        for box in boxes:
            assert axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            assert axes.bbox.y0 <= box.y0 and box.y1 <= axes.bbox.y1


def test_validation_is_drawn_where_a_run_has_no_test_score(tmp_path, put, make_record):
    put(tmp_path, table="2", row="txl_64", test_ppl=90.0)
    record = make_record("txl_410", table="2")
    del record["final"]["test"]
    records.write(tmp_path / "record.json", record)
    ours, paper = _tradeoff("2", tmp_path).axes
    assert ours.get_ylabel() == paper.get_ylabel() == "validation perplexity"
    assert _drawn(ours)["Transformer-XL"] == [(1.64, 120.0)]
    # The paper prints no validation perplexity of its 410-dimensional row.
    assert "Transformer-XL, original width" not in _drawn(paper)


def test_unfinished_runs_are_left_out_and_sections_apart(tmp_path, put):
    put(tmp_path / "a", table="2", row="txl_64", test_ppl=90.0)
    put(tmp_path / "a", table="2", row="txl_128", status="running")
    put(tmp_path / "b", table="2", row="txl_64", scale="smoke", test_ppl=900.0)
    put(tmp_path / "c", table="2", row="txl_64", scale="paper", status="running")
    mini, smoke, _ = _tradeoff("2", tmp_path).axes
    assert _drawn(mini)["Transformer-XL"] == [(1.64, 90.0)]
    assert smoke.get_title() == "ours: scale smoke, data ptb"
    assert len(_tradeoff("2", tmp_path, ["smoke"]).axes) == 2


def test_bleu_is_that_of_each_panels_test_set(translation_runs):
    ours, paper = _tradeoff("3", translation_runs).axes
    assert ours.get_ylabel() == "BLEU on test_2016_flickr"
    assert paper.get_ylabel() == "BLEU on newstest2017"
    assert _drawn(ours) == {
        "Transformer": [(1.64, 33.7)],
        "Transformer + DeFINE": [(2.04, 106.9 / 3)],
        "control": [(2.04, 32.55)],
    }
    assert _drawn(paper) == {
        "Transformer": [(90.0, 28.3), (92.0, 28.09), (92.0, 25.81)],
        "Transformer + DeFINE": [(68.0, 28.25)],
    }
    # No line between models of one size by different authors.
    assert paper.containers[0].lines[0].get_linestyle() == "None"
    assert "transformer_linear" in [text.get_text() for text in ours.texts]


def test_a_panel_shows_a_set_that_all_its_runs_have(tmp_path, put):
    def translated(row, *sets):
        ways = {"beam_5": ({}, {name: 20.0 for name in sets})}
        put(tmp_path, table="3", row=row, data="multi30k", translations=ways)

    translated("transformer", "val", "test_2016_flickr")
    translated("transformer_define", "val")
    put(tmp_path, table="3", row="transformer_wide", data="multi30k")  # without translations
    ours, _ = _tradeoff("3", tmp_path).axes
    assert ours.get_ylabel() == "BLEU on val"
    assert list(_drawn(ours)) == ["Transformer", "Transformer + DeFINE"]
    translated("transformer_linear", "test_2016_flickr")
    with pytest.raises(InputError, match="on multi30k have no evaluation set in common"):
        _tradeoff("3", tmp_path)


def test_validation_shows_a_line_a_band_and_a_mark_per_row(mini_runs):
    (axes,) = figures.validation("1c", records.find([mini_runs])).axes
    assert (axes.get_xlabel(), axes.get_title()) == ("epoch", "scale mini, data ptb")
    assert [text.get_text() for text in axes.get_legend().get_texts()][:2] == [
        "AWD-LSTM (3 seeds): 122.0 at epoch 3",
        "AWD-LSTM + DeFINE (3 seeds): 119.0 at epoch 3",
    ]
    means, marks = axes.lines[::2], axes.lines[1::2]
    assert list(means[1].get_ydata()) == pytest.approx([250.0, 140.0, 119.0])
    assert list(marks[1].get_xdata()) == [3]
    assert len({line.get_color() for line in means}) == len(axes.collections) == 3


def test_a_row_has_one_colour_in_all_panels(tmp_path, put):
    put(tmp_path / "a", row="awd_lstm", scale="mini")
    put(tmp_path / "b", row="awd_lstm_define", scale="mini")
    put(tmp_path / "c", row="awd_lstm_define", scale="smoke", curve=(900.0, 100.0))
    mini, smoke = figures.validation("1c", records.find([tmp_path])).axes
    assert smoke.lines[0].get_color() == mini.lines[2].get_color() != mini.lines[0].get_color()
    assert (mini.get_yscale(), smoke.get_yscale()) == ("linear", "log")


def test_depth_and_width_are_those_of_the_runs_own_configs(everything):
    found = records.find([everything])
    (section,) = compare("5", found)
    ours, papers = sizes.depth_and_width(section)
    assert ours.metric == "test_ppl" and list(ours.models) == [256, 384, 512]
    assert [(n, point.mean, point.millions) for n, point in ours.models[384]] == [
        (3, pytest.approx(365.8), 2.792),
        (7, pytest.approx(345.8), 4.328),
        (11, pytest.approx(325.8), 5.864),
    ]
    assert [(n, p.mean) for n, p in papers.models[2048]] == [(3, 41.37), (7, 37.84), (11, 35.92)]
    scores, below = figures.depth_and_width(papers).axes
    assert [container.get_label() for container in scores.containers][0] == "k 1024"
    assert list(below.lines[0].get_ydata()) == [33.02, 40.73, 49.55]
    assert sizes.depth_and_width(compare("2", found)[0]) is None
    assert sizes.depth_and_width(compare("5", [])[0]) is None


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_equal_records_give_equal_files(runs, mini_runs, tmp_path, suffix):
    for draw in (
        lambda: _tradeoff("2", runs),
        lambda: figures.validation("1c", records.find([mini_runs])),
    ):
        files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
        for file in files:
            style.save(draw(), file)
        assert files[0].read_bytes() == files[1].read_bytes()
        assert files[0].stat().st_size > 10_000


def test_inline_svg_takes_the_pages_colours_and_keeps_text(everything):
    *_, panel = sizes.panels("2", records.find([everything]))
    svg, again = (
        style.inline_svg(tradeoff("2", [panel], for_page=True), "a", 'x < "y"') for _ in range(2)
    )
    assert svg.startswith('<svg class="plot" role="img" viewBox="0 0 302.4 ') and svg == again
    assert "x &lt; " in svg and "font-family" not in svg
    assert not re.search(r"#[0-9a-fA-F]{6}\b", svg)
    for part in ("currentColor", "var(--series-2)", "var(--rule)", ">test perplexity</text>"):
        assert part in svg
    assert all(name.startswith("a-") for name in re.findall(r' id="([^"]+)"', svg))
