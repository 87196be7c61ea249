"""The cost of a translation run, in closed form; `define train --dry-run` without and with data."""

import re
from pathlib import Path

import pytest

from define.cli.main import main
from define.data.parallel import pairs
from define.errors import InputError
from define.train.compose import compose
from define.train.counting import parameters
from define.train.dry_run import cost, products

D, INNER, LAYERS = 16, 32, 2
"""Of the smoke scale, as many layers in either stack."""
V = (300, 410)


def composed(row: str, *overrides: str, scale: str = "smoke"):
    return compose([f"experiment=table_3/{row}", f"scale={scale}", *overrides])


def stack_products() -> dict[str, int]:
    """Per token: keys and values that the decoder reads are computed of source tokens."""
    feed_forward = 2 * D * INNER
    return {
        "source": LAYERS * (4 * D * D + feed_forward) + LAYERS * 2 * D * D,
        "target": LAYERS * (4 * D * D + 2 * D * D + feed_forward),
    }


@pytest.mark.parametrize("share", ["none", "target_output"])
def test_products_of_a_plain_transformer_look_up_at_the_input_only(share):
    found = products(composed("transformer", f"model.share={share}"), V)
    stacks = stack_products()
    assert found == {"source": stacks["source"], "target": stacks["target"] + D * V[1]}


def test_a_shared_table_is_a_look_up_of_the_source_and_a_product_of_the_target():
    found = products(composed("transformer", "model.share=all"), (300, 300))
    stacks = stack_products()
    assert found == {"source": stacks["source"], "target": stacks["target"] + D * 300}


def test_products_of_a_linear_map_are_on_both_sides():
    found = products(composed("transformer_linear"), V)
    stacks = stack_products()
    assert found["source"] == stacks["source"] + 8 * D
    assert found["target"] == stacks["target"] + 8 * D + D * V[1]


def test_a_projection_before_a_shared_output_is_the_target_s():
    found = products(composed("transformer_linear", "model.share=target_output"), V)
    assert found["target"] == stack_products()["target"] + 8 * D + D * 8 + 8 * V[1]


def test_products_of_a_unit_are_its_weights():
    config = composed("transformer_define", "model.unit=text")
    section = {key: config.model[key] for key in ("map_dim", "expand_dim", "reduce_dim")}
    assert section == {"map_dim": 8, "expand_dim": 32, "reduce_dim": D}
    plain = products(composed("transformer"), V)
    found = products(config, V)
    units = [found[side] - plain[side] for side in ("source", "target")]
    assert units[0] == units[1] > 0
    assert sum(units) == parameters(config.model, V)["define"]


@pytest.mark.parametrize(
    ("projections", "at_input", "at_output"), [("clusters", 4, 4), ("one", 1, 2), ("none", 0, 4)]
)
def test_a_projection_is_a_product_at_either_end(projections, at_input, at_output):
    n, d, types = 4, 16, 6_000
    overrides = ["experiment=table_2/txl_64", "scale=smoke", "model.input=linear"]
    overrides += [f"model.reduce_dim={d}", f"model.projections={projections}"]
    config = compose(overrides)
    assert (config.model.map_dim, config.model.model_dim) == (n, d)
    counts = parameters(config.model, types)
    linear = d * (n if projections == "none" else d)
    assert counts["define"] == linear
    layers = 2 * (4 * d * 16 + d * 16 + 2 * d * 80) + 2 * 16  # and the two biases of the attention
    entries = 3 * n
    expected = layers + linear + types * n + entries + (at_input + at_output) * n * d
    assert products(config, types)["weights"] == expected


@pytest.mark.parametrize(("devices", "batches"), [(1, 8), (2, 4), (4, 2)])
def test_an_update_has_the_recipe_s_tokens_on_any_number_of_devices(devices, batches):
    world = f"distributed_training.distributed_world_size={devices}"
    config = composed("transformer", world, scale="paper")
    assert list(config.optimization.update_freq) == [batches]
    budget = cost(config, V)
    assert budget["tokens per update"].startswith("at most 32,768 on either side")
    device = "1 device" if devices == 1 else f"{devices} devices"
    assert budget["batches per update"] == (
        f"{batches} on each device = 32,768 tokens / (4,096 x {device}), as run.tokens_per_update "
        "says"
    )


def test_devices_that_do_not_divide_the_tokens_are_refused():
    sentence = "32768 must be a multiple of dataset.max_tokens = 4096 times 3 devices"
    with pytest.raises(InputError, match=sentence):
        composed("transformer", "distributed_training.distributed_world_size=3", scale="paper")


def test_update_freq_is_the_user_s_without_tokens_per_update():
    free = ["run.tokens_per_update=0", "optimization.update_freq=[5]", "dataset.max_tokens=100"]
    budget = cost(composed("transformer", *free), V)
    assert budget["batches per update"] == "5 on each device = 500 tokens / (100 x 1 device)"
    none = ["run.tokens_per_update=0", "dataset.max_tokens=null", "dataset.batch_size=8"]
    with pytest.raises(InputError, match="dataset.max_tokens = None must be at least 1"):
        cost(composed("transformer", *none), V)


def test_cost_without_the_corpus_leaves_the_attention_out():
    config = composed("transformer", scale="paper")
    per_token = products(config, V)
    budget = cost(config, V)
    tokens = 200_000 * 32_768
    assert budget["updates"] == "200,000" and "epochs" not in budget
    assert budget["tokens"] == f"at most {tokens:,} and {tokens:,}"
    operations = 6 * tokens * (per_token["source"] + per_token["target"])
    assert budget["floating-point operations"] == f"at most {operations:.2e}, and the attention's"
    assert budget["products of the attention"].startswith("not counted")
    epochs = ["optimization.max_update=0", "optimization.max_epoch=3"]
    unknown = cost(composed("transformer", *epochs, scale="paper"), V)
    assert not {"updates", "tokens", "floating-point operations"} & unknown.keys()


def prepared(pairs_of_training: int, source: int, target: int) -> pairs.PairCorpus:
    """A corpus of which the counts alone are there."""
    meta = {
        "pairs": {"train": pairs_of_training},
        "source_tokens": {"train": source},
        "tokens": {"train": target},
    }
    return pairs.PairCorpus("grammar", Path("nowhere"), "xa", "xb", meta)


def test_a_prepared_corpus_gives_epochs_updates_and_attention():
    corpus = prepared(1_000, 12_000, 15_000)
    budget = cost(composed("transformer"), V, corpus)
    assert budget["epochs"] == f"at most {40 * 512 / 15_000:.1f}"
    per_place = 2 * D * LAYERS
    assert budget["products of the attention"] == (
        f"about {per_place * 12:,} per source and {per_place * (12 + 15):,} per target token, in "
        "sentences of the corpus' mean lengths, 12.0 and 15.0"
    )
    config = composed("transformer", "optimization.max_update=0", "optimization.max_epoch=3")
    budget = cost(config, V, corpus)
    assert budget["updates"] == f"at least {-(-3 * 15_000 // 512)}" and budget["epochs"] == "3"
    assert budget["tokens"] == "at most 36,000 and 45,000"
    per_token = products(config, V)
    operations = 6 * (per_token["source"] * 36_000 + per_token["target"] * 45_000)
    assert budget["floating-point operations"] == f"at most {operations:.2e}, and the attention's"


def shown(capsys, *overrides: str) -> str:
    assert main(["train", "experiment=table_3/transformer_define", *overrides, "--dry-run"]) == 0
    return capsys.readouterr().out


def test_dry_run_at_the_paper_s_scale_without_the_corpus(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEFINE_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("DEFINE_RUNS", str(tmp_path / "runs"))
    output = shown(capsys, "scale=paper")
    table = re.search(r"Parameters, 31,000 \+ 31,000 types *\n(.*)\n(.*)\n", output)
    counts = dict(zip(table[1].split(), table[2].split(), strict=True))
    assert counts["context"] == "44,140,544"
    assert counts["io"] == f"{31_000 * (2 * 128 + 512 + 1):,}"
    flat = " ".join(output.split())
    for text in (
        "nominal: the corpus is not prepared",
        "8 on each device = 32,768 tokens / (4,096 x 1 device)",
        "update_freq: - 8 ",
        "beam_5 beam 5, length_penalty 1.0",
        "prepare the corpus",
        "Nothing was trained",
    ):
        assert text in flat
    assert f"  data: {tmp_path}/nowhere/wmt14-en-de\n" in output, "no line is cut off"
    (folder,) = (tmp_path / "runs").glob("*/*/*/*/*")
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "fairseq.yaml"]


def test_dry_run_reads_the_prepared_corpus(workplace, pair_corpus, capsys):
    output = shown(capsys, "scale=smoke")
    types = f"{pair_corpus.source_types} + {pair_corpus.types}"
    assert f"Parameters, {types} types" in output
    flat = " ".join(output.split())
    assert "not prepared" not in flat and "in sentences of the corpus' mean lengths" in flat
    assert "beam_5_uncached beam 5" in flat and "cache False" in flat
