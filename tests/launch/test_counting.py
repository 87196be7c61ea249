"""Counts at paper scale: the published columns, and the rule by which g_max is chosen."""

from dataclasses import fields, replace

import pytest

from define.cli.params import count
from define.core.registry import MODELS
from define.errors import InputError
from define.launch.compose import compose
from define.launch.counting import experiments
from define.results import published

DIGITS_THAT_ADD_UP_TO_MORE = "txl_128"
"""Its published total is the sum of the published parts, each rounded."""


@pytest.mark.parametrize("table", ["1a", "2"])
def test_context_and_io_are_the_published_columns_to_the_last_digit(table):
    rows = count(table)
    assert [row["row"] for row in rows] == [row.row for row in published.table(table)]
    for row in rows:
        assert row["exact"]["context"] and row["exact"]["io"], row["row"]
        has_unit = row["computed"]["define"] > 0
        assert has_unit == (row["published"]["define"] > 0)
        if not has_unit and row["row"] != DIGITS_THAT_ADD_UP_TO_MORE:
            assert row["exact"]["total"], row["row"]


@pytest.mark.parametrize("table", ["1a", "1c", "2"])
def test_no_other_g_max_brings_the_total_nearer_to_the_published_one(table):
    rows = [row for row in count(table) if row["kind"] == "paper" and row["computed"]["define"]]
    assert rows
    for row in rows:
        section = compose([f"experiment={experiments(table)[row['row']]}", "scale=paper"]).model
        config_class, _ = MODELS[section["_name"]]
        config = config_class(**{f.name: section[f.name] for f in fields(config_class)})
        chosen = config.unit_config()
        rest = row["computed"]["total"] - chosen.num_parameters()
        assert row["computed"]["define"] == chosen.num_parameters()
        distances = {}
        for g_max in range(1, chosen.n + 1):
            try:
                size = replace(chosen, g_max=g_max).num_parameters()
            except InputError:  # the dimensions do not split into so many groups
                continue
            distances[g_max] = abs(rest + size - row["published"]["total"])
        assert min(distances, key=distances.get) == chosen.g_max, row["row"]


def test_controls_are_counted_too():
    kinds = {row["row"]: row["kind"] for row in count("1c")}
    assert kinds["awd_lstm_define"] == kinds["awd_lstm_finetune"] == "paper"
    assert kinds["awd_lstm_wide"] == kinds["awd_lstm_mlp"] == "control"
