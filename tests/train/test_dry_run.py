"""The cost of a run, in closed form."""

from pathlib import Path

import pytest

from define.data.parallel import pairs
from define.errors import InputError
from define.train.compose import compose
from define.train.counting import parameters
from define.train.dry_run import cost, products


def composed(experiment: str, *overrides: str, scale: str = "paper"):
    return compose([f"experiment={experiment}", f"scale={scale}", *overrides])


def lstm_products(*widths: int) -> int:
    """Of LSTM layers between these widths."""
    return sum(4 * (n + m) * m for n, m in zip(widths, widths[1:], strict=False))


def test_products_of_a_softmax_have_tables_once_and_projections_at_both_ends():
    standard = lstm_products(400, 1150, 1150, 400) + 10_000 * 400
    for ties in ("true", "false"):
        config = composed("table_1c/awd_lstm", f"model.tie_tables={ties}")
        assert products(config, 10_000) == {"weights": standard}
    types, context = 267_735, lstm_products(256, 1024, 1024, 1024, 256)
    tables = 20_000 * 256 + 20_000 * 64 + 160_000 * 16 + (types - 200_000) * 4
    adaptive = context + tables + 3 * 256 + 2 * 256 * (64 + 16 + 4)
    assert products(composed("table_1a/lstm_r2"), types) == {"weights": adaptive}


def test_products_of_transformer_xl_have_the_attention_over_memory_and_segment():
    types, memory, segment, d, heads = 267_735, 100, 150, 384, 10 * 41
    overrides = [f"model.memory_length={memory}", "model.layers=3"]
    found = products(composed("table_2/txl_64", *overrides), types)
    assert found["attention"] == 3 * (
        3 * (memory + segment) * heads + 2 * d * heads * memory // segment
    )
    layer = 5 * d * heads + 2 * d * 1920
    biases = 2 * heads
    io = types * 64 + 3 * 64 + 2 * 4 * 64 * d
    assert found["weights"] == 3 * layer + biases + io


@pytest.mark.parametrize(
    ("projections", "at_input", "at_output"), [("clusters", 4, 4), ("one", 1, 2), ("none", 0, 4)]
)
def test_a_projection_is_a_product_at_either_end(projections, at_input, at_output):
    n, d, types = 4, 16, 6_000
    overrides = ["model.input=linear", f"model.reduce_dim={d}", f"model.projections={projections}"]
    config = composed("table_2/txl_64", *overrides, scale="smoke")
    linear = d * (n if projections == "none" else d)
    assert parameters(config.model, types)["define"] == linear
    layers = 2 * (4 * d * 16 + d * 16 + 2 * d * 80) + 2 * 16  # and the two biases of the attention
    entries = 3 * n
    expected = layers + linear + types * n + entries + (at_input + at_output) * n * d
    assert products(config, types)["weights"] == expected


D, INNER, LAYERS = 16, 32, 2
"""Of Table 3 at the smoke scale, as many layers in either stack."""
V = (300, 410)


@pytest.mark.parametrize(
    ("row", "overrides", "types", "source", "target"),
    [
        ("transformer", [], V, 0, D * V[1]),
        ("transformer", ["model.share=target_output"], V, 0, D * V[1]),
        ("transformer", ["model.share=all"], (300, 300), 0, D * 300),
        ("transformer_linear", [], V, 8 * D, 8 * D + D * V[1]),
        ("transformer_linear", ["model.share=target_output"], V, 8 * D, 16 * D + 8 * V[1]),
    ],
)
def test_products_of_a_translation_by_side(row, overrides, types, source, target):
    """Keys and values that the decoder reads are computed of source tokens."""
    found = products(composed(f"table_3/{row}", *overrides, scale="smoke"), types)
    feed_forward = 2 * D * INNER
    assert found["source"] == LAYERS * (4 * D * D + feed_forward + 2 * D * D) + source
    assert found["target"] == LAYERS * (4 * D * D + 2 * D * D + feed_forward) + target


def test_products_of_a_unit_are_its_weights():
    config = composed("table_3/transformer_define", "model.unit=text", scale="smoke")
    plain = products(composed("table_3/transformer", scale="smoke"), V)
    units = [products(config, V)[side] - plain[side] for side in ("source", "target")]
    assert units[0] == units[1] > 0
    assert sum(units) == parameters(config.model, V)["define"]


def test_cost_of_a_text_is_six_operations_per_product_and_token():
    config = composed("table_2/txl_64")
    tokens = 200_000 * 9_000
    assert cost(config, 267_735) == {
        "tokens per update": "9,000 (60 streams x 150)",
        "updates": "200,000",
        "tokens": f"{tokens:,}",
        "products per token": "at most {:,} weights, {:,} attention".format(
            *products(config, 267_735).values()
        ),
        "FLOPs": f"at most {6 * sum(products(config, 267_735).values()) * tokens:.2e}",
    }
    budget = cost(composed("table_1a/lstm_r2"), 267_735)
    assert budget["tokens per update"] == "about 8,400 (60 streams x 140)"
    assert budget["tokens"] == f"{20 * 103_227_021:,}" and budget["epochs"] == "20"


@pytest.mark.parametrize(("devices", "batches"), [(1, 8), (2, 4), (4, 2)])
def test_an_update_has_the_recipe_s_tokens_on_any_number_of_devices(devices, batches):
    world = f"distributed_training.distributed_world_size={devices}"
    config = composed("table_3/transformer", world)
    assert list(config.optimization.update_freq) == [batches]
    budget = cost(config, V)
    assert budget["tokens per update"].startswith("at most 32,768 on either side")
    assert budget["batches per update"].startswith(f"{batches} on each of {devices} device")


def test_numbers_of_tokens_that_do_not_fit():
    with pytest.raises(InputError, match="32768 must be a multiple of .* 4096 times 3 devices"):
        composed("table_3/transformer", "distributed_training.distributed_world_size=3")
    free = ["run.tokens_per_update=0", "optimization.update_freq=[5]", "dataset.max_tokens=100"]
    budget = cost(composed("table_3/transformer", *free, scale="smoke"), V)
    assert budget["batches per update"] == "5 on each of 1 device, of at most 100 tokens"
    none = ["run.tokens_per_update=0", "dataset.max_tokens=null", "dataset.batch_size=8"]
    with pytest.raises(InputError, match="dataset.max_tokens = None must be at least 1"):
        cost(composed("table_3/transformer", *none, scale="smoke"), V)


def test_cost_without_the_corpus_leaves_the_attention_out():
    config = composed("table_3/transformer")
    budget, tokens = cost(config, V), 200_000 * 32_768
    assert budget["updates"] == "200,000" and "epochs" not in budget
    assert budget["tokens"] == f"at most {tokens:,} and {tokens:,}"
    operations = 6 * tokens * sum(products(config, V).values())
    assert budget["FLOPs"] == f"at most {operations:.2e}, and the attention's"
    assert budget["of the attention"].startswith("unknown")
    epochs = ["optimization.max_update=0", "optimization.max_epoch=3"]
    unknown = cost(composed("table_3/transformer", *epochs), V)
    assert not {"updates", "tokens", "FLOPs"} & unknown.keys()


def test_a_prepared_corpus_gives_epochs_updates_and_attention():
    meta = {"pairs": {"train": 1_000}, "source_tokens": {"train": 12_000}}
    meta |= {"tokens": {"train": 15_000}}
    corpus = pairs.PairCorpus("grammar", Path("nowhere"), "xa", "xb", meta)
    budget = cost(composed("table_3/transformer", scale="smoke"), V, corpus)
    assert budget["epochs"] == f"at most {40 * 512 / 15_000:.1f}"
    place = 2 * D * LAYERS  # a score and a weighted sum
    assert budget["of the attention"].startswith(
        f"about {place * 12:,} source, {place * (12 + 15):,} target"
    )
    epochs = ["optimization.max_update=0", "optimization.max_epoch=3"]
    config = composed("table_3/transformer", *epochs, scale="smoke")
    budget = cost(config, V, corpus)
    assert budget["updates"] == f"at least {-(-3 * 15_000 // 512)}" and budget["epochs"] == "3"
    assert budget["tokens"] == "at most 36,000 and 45,000"
    per_token = products(config, V)
    operations = 6 * (per_token["source"] * 36_000 + per_token["target"] * 45_000)
    assert budget["FLOPs"] == f"at most {operations:.2e}, and the attention's"
