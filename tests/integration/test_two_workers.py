"""Two workers on the processor: the same training as one worker with twice the streams."""

import pytest
import torch

from define.core.state import map_state

STREAMS, TOKENS = 8, 1216
ONE_WORKER = [
    f"task.train_tokens={TOKENS}",  # a multiple of the streams: equal shares for the penalties
    f"dataset.batch_size={STREAMS}",
    "dataset.batch_size_valid=4",
    "optimization.max_epoch=1",
    "checkpoint.save_interval_updates=3",
]
MODELS = {
    "awd_lstm": [
        f"model.{kind}_dropout=0"
        for kind in ("output", "hidden", "input", "word", "weight", "unit")
    ],
    "transformer_xl": [
        "experiment=table_2/txl_256_define",
        "model.cutoffs=[20,30,40]",
        "model.dropout=0",
        "model.unit_dropout=0",
        # Adam would make steps of rounding errors where a gradient is nothing else.
        "optimizer.adam_eps=1e-4",
    ],
}


@pytest.fixture
def start_workers(spawn, workplace):
    """Starts both workers with the config of a folder; (folder) -> their processes."""

    def start(folder):
        shared = [
            "--config-dir",
            str(folder),
            "--config-name",
            "fairseq",
            f"checkpoint.save_dir={folder}/checkpoints",
            f"dataset.batch_size={STREAMS // 2}",
            "dataset.batch_size_valid=2",
            "distributed_training.distributed_world_size=2",
            f"distributed_training.distributed_init_method=file://{workplace}/meeting",
            "distributed_training.distributed_no_spawn=true",
            "distributed_training.distributed_backend=gloo",
            "distributed_training.ddp_backend=legacy_ddp",
        ]
        return [
            spawn(
                "fairseq-hydra-train",
                *shared,
                f"distributed_training.distributed_rank={rank}",
                f"hydra.run.dir={workplace}/hydra_{rank}",
            )
            for rank in range(2)
        ]

    return start


def meters(checkpoint: dict) -> dict[str, dict]:
    """Name -> state of fairseq's meters of the epoch."""
    return {meter[1]: meter[3] for meter in dict(checkpoint["extra_state"]["metrics"])["train"]}


def tensors(state) -> list[torch.Tensor]:
    """All tensors of a state, in order."""
    found = []
    map_state(found.append, state)
    return found


@pytest.mark.parametrize("model", MODELS)
def test_two_workers_go_on_as_one_with_twice_the_streams(
    model, train, interrupt_at, start_workers, workplace, checkpoint_of
):
    one_worker = MODELS[model] + ONE_WORKER
    assert train(*one_worker, "run.dir=one") == 0
    interrupt_at(5)
    assert train(*one_worker, "run.dir=two") == 130
    position = checkpoint_of(workplace / "two")["extra_state"]["train_iterator"]
    assert (position["epoch"], position["iterations_in_epoch"]) == (1, 3)

    workers = start_workers(workplace / "two")
    outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(outputs)

    for name in ("checkpoint_1_6", "checkpoint_last"):  # inside the epoch, and its end
        one, two = (checkpoint_of(workplace / run, name) for run in ("one", "two"))
        for key, value in one["model"].items():
            torch.testing.assert_close(two["model"][key], value, rtol=1e-4, atol=1e-5)
        assert two["extra_state"]["train_iterator"] == one["extra_state"]["train_iterator"]
        for key in ("wpb", "bsz"):  # tokens and streams per update
            for field in ("val", "sum"):
                assert meters(two)[key][field] == meters(one)[key][field]
        assert two["extra_state"]["val_loss"] == pytest.approx(one["extra_state"]["val_loss"])
        states = [c["extra_state"]["StreamLanguageModelingTask"]["state"] for c in (one, two)]
        for expected, found in zip(*map(tensors, states), strict=True):
            assert expected.shape[1] == STREAMS
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert meters(two)["scored_tokens"]["sum"] == TOKENS, "the shards must cover the corpus"
