"""Curves against known numbers; the figure's contents and its files."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from define.errors import InputError
from define.report import plots, style
from define.runs import records


def test_curve_is_mean_and_range_over_the_seeds(mini_runs):
    runs = [record for record in records.find([mini_runs]) if record.row == "awd_lstm"]
    line = plots.curve(runs)
    assert line.at == (1, 2, 3) and line.seeds == 3
    assert line.mean == pytest.approx((310.0, 160.0, 122.0))
    assert line.low == (310.0, 160.0, 120.0) and line.high == (310.0, 160.0, 124.0)
    assert line.best == (3, pytest.approx(122.0))


def test_curve_ends_with_the_shortest_seed_and_leaves_unfinished_ones_out(tmp_path, put):
    put(tmp_path, seed=1, curve=(300.0, 200.0, 210.0))
    put(tmp_path, seed=2, curve=(320.0, 220.0))
    put(tmp_path, seed=3, curve=(900.0,), status="interrupted")
    line = plots.curve(records.find([tmp_path]))
    assert line.at == (1, 2) and line.mean == (310.0, 210.0) and line.seeds == 2


def test_unfinished_runs_are_drawn_when_nothing_else_is_there(tmp_path, put):
    put(tmp_path, seed=1, curve=(300.0, 200.0), status="running")
    assert plots.curve(records.find([tmp_path])).mean == (300.0, 200.0)
    assert plots.curve([]) is None


def test_figure_shows_a_line_a_band_and_a_mark_per_row(mini_runs):
    (axes,) = plots.validation_figure("1c", records.find([mini_runs])).axes
    assert axes.get_xlabel() == "epoch" and axes.get_ylabel() == "validation perplexity"
    assert axes.get_title() == "scale mini, data ptb"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "AWD-LSTM (3 seeds): 122.0 at epoch 3",
        "AWD-LSTM + DeFINE (3 seeds): 119.0 at epoch 3",
        "awd_lstm_wide (2 seeds): 120.5 at epoch 3",
    ]
    means, marks = axes.lines[::2], axes.lines[1::2]
    assert list(means[1].get_ydata()) == pytest.approx([250.0, 140.0, 119.0])
    assert list(marks[1].get_xdata()) == [3] and list(marks[1].get_ydata()) == pytest.approx(
        [119.0]
    )
    assert len({line.get_color() for line in means}) == len({x.get_linestyle() for x in means}) == 3
    assert len(axes.collections) == 3


def test_a_translation_models_perplexity_is_that_of_subwords(translation_runs):
    (axes,) = plots.validation_figure("3", records.find([translation_runs])).axes
    assert axes.get_ylabel() == "validation perplexity of target subwords"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "Transformer (3 seeds): 11.2 at epoch 3",
        "Transformer + DeFINE (3 seeds): 11.2 at epoch 3",
        "transformer_linear (2 seeds): 11.1 at epoch 3",
    ]


def test_one_panel_per_scale_and_corpus_with_the_same_colours(tmp_path, put):
    put(tmp_path / "a", row="awd_lstm", scale="mini")
    put(tmp_path / "b", row="awd_lstm_define", scale="mini")
    put(tmp_path / "c", row="awd_lstm_define", scale="smoke", curve=(900.0, 800.0))
    put(tmp_path / "d", row="awd_lstm", scale="mini", data="python_docs")
    mini, docs, smoke = plots.validation_figure("1c", records.find([tmp_path])).axes
    assert smoke.get_title() == "scale smoke, data ptb"
    assert docs.get_title() == "scale mini, data python_docs"
    assert smoke.lines[0].get_color() == mini.lines[2].get_color() != mini.lines[0].get_color()
    assert docs.lines[0].get_color() == mini.lines[0].get_color()
    only = plots.validation_figure("1c", records.find([tmp_path]), ["smoke"]).axes
    assert [axes.get_title() for axes in only] == ["scale smoke, data ptb"]


@pytest.mark.parametrize(("curve", "scale"), [((310.0, 100.0), "log"), ((290.0, 100.0), "linear")])
def test_the_axis_is_logarithmic_for_a_wide_range(tmp_path, put, curve, scale):
    put(tmp_path, curve=curve)
    (axes,) = plots.validation_figure("1c", records.find([tmp_path])).axes
    assert axes.get_yscale() == scale


def test_png_holds_the_lines_in_their_colours_on_white(mini_runs, tmp_path):
    figure = plots.validation_figure("1c", records.find([mini_runs]))
    style.save(figure, tmp_path / "a.png")
    image = imread(tmp_path / "a.png")[..., :3]
    assert image.shape[1] == 6.4 * 150
    assert (image[0, 0] == 1).all() and 0.7 < (image == 1).all(axis=-1).mean() < 0.99
    for line in figure.axes[0].lines[::2]:
        assert (np.abs(image - to_rgb(line.get_color())).max(axis=-1) < 0.01).sum() > 100


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_equal_records_give_equal_files(mini_runs, tmp_path, suffix):
    files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for file in files:
        style.save(plots.validation_figure("1c", records.find([mini_runs])), file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert b"dc:date" not in files[0].read_bytes()


def test_nothing_to_draw_and_unknown_suffix_are_refused(mini_runs, tmp_path):
    with pytest.raises(InputError, match="'1c' has no validated run to plot"):
        plots.validation_figure("1c", [])
    figure = plots.validation_figure("1c", records.find([mini_runs]))
    with pytest.raises(InputError, match=r"plot.pdf' is no plot file; .* .png or .svg"):
        style.save(figure, tmp_path / "plot.pdf")
    assert not (tmp_path / "plot.pdf").exists()
