"""Counts at paper scale: the published columns, and what holds for every g_max."""

import pytest

from define.analysis import published
from define.cli.params import count
from define.core.registry import MODELS, config_from
from define.core.transformer import TransformerConfig
from define.data.parallel import pairs
from define.errors import InputError
from define.train.compose import SCALES, compose
from define.train.counting import build, corpus_types, experiments, parameters

DIGITS_THAT_ADD_UP_TO_MORE = "txl_128"
"""Its published total is the sum of the published parts, each rounded."""


@pytest.mark.parametrize("table", ["1a", "2"])
def test_context_and_io_are_the_published_columns_to_the_last_digit(table):
    rows = [row for row in count(table) if row["kind"] == "paper"]
    assert [row["row"] for row in rows] == [row.row for row in published.table(table)]
    for row in rows:
        assert row["exact"]["context"] and row["exact"]["io"], row["row"]
        has_unit = row["computed"]["define"] > 0
        assert has_unit == (row["published"]["define"] > 0)
        if not has_unit and row["row"] != DIGITS_THAT_ADD_UP_TO_MORE:
            assert row["exact"]["total"], row["row"]


@pytest.mark.parametrize("n, projected", [(64, True), (384, False)])
@pytest.mark.parametrize("projections, matrices", [("clusters", 4), ("one", 2), ("none", 4)])
def test_projections_of_table_2_in_closed_form(n, projected, projections, matrices):
    """Table, biases, three entries of clusters in the head, and an n x d matrix per projection."""
    types, d = 267_735, 384
    row, g_max = f"experiment=table_2/txl_{n}_define", "model.max_groups=8"
    config = compose([row, "scale=paper", g_max, f"model.projections={projections}"])
    counts = parameters(config.model, types)
    entries = 3 * (n + 1)
    assert counts["io"] == types * n + types + entries + projected * matrices * n * d
    assert counts["context"] == 36_250_420
    model = build(config.model, types)
    assert model.embedding.unit.config.n == (n if projections == "none" else d)
    assert model.embedding.embedding_dim == d


@pytest.mark.parametrize("table", ["1a", "1c", "2", "3", "4a", "4b", "5", "6a", "6b"])
def test_a_table_has_one_g_max_and_its_last_layers_read_every_feature(table):
    found = set()
    for row in published.table(table):
        if row.row not in experiments(table):
            continue
        section = compose([f"experiment={experiments(table)[row.row]}", "scale=paper"]).model
        config_class, _ = MODELS.get(section["_name"], (TransformerConfig, None))
        config = config_from(config_class, section)
        if config.input != "define":
            continue
        unit = config.unit_config()
        assert unit.min_group_features >= 8, row.row
        if unit.transformation in ("hgt", "linear"):
            assert unit.groups[-1] == unit.reduce_groups == 1, row.row
        if unit.transformation == "hgt":
            found.add(unit.g_max)
    assert len(found) == 1


def test_the_formula_alone_has_the_published_total_of_linear():
    rows = {row["row"]: row for row in count("4a")}
    counts = rows["linear_text"]["computed"]
    assert counts["define"] == 4_233_216
    assert counts["total"] == 4_233_216 + 24_734_720 + 13_895_946
    assert rows["linear"]["published"]["total"] == round(counts["total"], -4)
    assert rows["linear"]["difference"]["total"] < 0 and not rows["linear"]["exact"]["total"]


@pytest.mark.parametrize("table", ["1b", "4b", "5", "6a", "6b"])
def test_a_row_that_shows_another_run_is_that_run(table):
    shared = [row for row in published.table(table) if row.same_run]
    assert shared
    for row in shared:
        for scale in SCALES:
            run = compose([f"experiment=table_{table}/{row.row}", f"scale={scale}"]).run
            assert (run.table, run.row) == row.same_run


def test_controls_are_counted_too():
    kinds = {row["row"]: row["kind"] for row in count("1c")}
    assert kinds["awd_lstm_define"] == kinds["awd_lstm_finetune"] == "paper"
    assert kinds["awd_lstm_wide"] == kinds["awd_lstm_mlp"] == "control"


D, INNER, LAYERS = 512, 2048, 6
V = 31_000
"""Nominal types of either side; three tables of so many give the published 92 M."""


def transformer_context() -> int:
    """Both stacks of Vaswani et al.'s base model, pre-norm, and no table."""
    attention = 4 * D * D + 4 * D
    feed_forward = 2 * D * INNER + INNER + D
    norm = 2 * D
    encoder = attention + feed_forward + 2 * norm
    decoder = 2 * attention + feed_forward + 3 * norm
    return LAYERS * (encoder + decoder) + 2 * norm


def test_table_3_has_three_separate_tables():
    rows = {row["row"]: row for row in count("3")}
    output = V * D + V
    for row, map_dim in (
        ("transformer", D),
        ("transformer_linear", 128),
        ("transformer_define", 128),
    ):
        counts = rows[row]["computed"]
        assert counts["context"] == transformer_context()
        assert counts["io"] == 2 * V * map_dim + output
        assert counts["total"] == counts["define"] + counts["context"] + counts["io"]
    assert rows["transformer"]["computed"]["define"] == 0
    assert rows["transformer_linear"]["computed"]["define"] == 2 * 128 * D
    assert rows["transformer"]["published"]["total"] == 92_000_000
    assert rows["transformer"]["exact"] == {"total": True}
    assert rows["transformer_define"]["published"]["total"] == 68_000_000
    assert rows["transformer_opennmt"]["computed"] == rows["transformer"]["computed"]
    assert rows["transformer_linear"]["kind"] == "control"
    (assumed,) = {row["assumed"] for row in rows.values()} - {None}
    assert "31,000 source and 31,000 target types, the nominal sizes of wmt14-en-de" in assumed
    assert assumed.endswith("the tables of source, target and output are separate.")


def test_shared_tables_are_counted_once():
    config = compose(["experiment=table_3/transformer", "scale=paper", "model.share=all"])
    counts = parameters(config.model, (V, V))
    assert counts["io"] == V * D + V
    assert counts["total"] == transformer_context() + counts["io"]


def test_types_of_a_parallel_corpus_need_no_preparation():
    assert corpus_types("wmt14-en-de") == (V, V)
    assert all(min(corpus_types(name)) > 0 for name in pairs.PAIRS)
    assert corpus_types("multi30k") == corpus_types("multi30k-de-en")[::-1]
    with pytest.raises(InputError, match="no corpus 'wmt41'"):
        corpus_types("wmt41")


def test_sides_may_differ_in_types():
    config = compose(["experiment=table_3/transformer", "scale=smoke"])
    model = build(config.model, (30, 41))
    assert model.encoder.embed_tokens.num_embeddings == 30
    assert model.decoder.embed_tokens.num_embeddings == 41
    assert model.output_layers[-1].out_features == 41
    assert all(p.is_meta for p in model.parameters())
