"""`define train`, `fairseq-hydra-train` and `fairseq-train` train the same model."""

import pytest

import define

OPTIONS = [
    "optimization.max_epoch=3",
    "optimizer.nonmono=0",
    "criterion.ar=1.5",
    "optimization.lr_factors.unit=0.06",
    "optimization.weight_decay_factors.table=0",
]

# The same run in fairseq's own flags; booleans that are off are left out.
FLAGS = """
    --user-dir {define} --save-dir {folder}/checkpoints --seed 1 --cpu
    --no-epoch-checkpoints --required-batch-size-multiple 1 --num-workers 0
    --task define_language_modeling --train-tokens 1213 --bptt 20 --random-bptt
    --scale-lr-by-length
    --criterion define_language_modeling --ar 1.5 --tar 1.0
    --arch define_awd_lstm --input define --map-dim 16 --expand-dim 64 --reduce-dim 32 --depth 3
    --max-groups 2 --hidden-dim 32 --layers 3
    --optimizer define_nt_asgd --nonmono 0 --lr 10 --lr-scheduler fixed --clip-norm 0.25
    --lr-factor-unit 0.06 --weight-decay-factor-table 0
    --max-epoch 3 --batch-size 8 --batch-size-valid 4
"""


@pytest.fixture
def ours(train, workplace, checkpoint_of) -> dict:
    """The last checkpoint of `define train`."""
    assert train(*OPTIONS, "run.dir=ours") == 0
    checkpoint = checkpoint_of(workplace / "ours")
    assert checkpoint["optimizer_history"][-1]["num_updates"] >= 6
    assert checkpoint["last_optimizer_state"]["swapped"], "the run must reach averaged weights"
    return checkpoint


def finish(process) -> None:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output


def assert_same_training(one: dict, other: dict, assert_same) -> None:
    for key in ("model", "last_optimizer_state", "optimizer_history"):
        assert_same(one[key], other[key])
    for key in ("val_loss", "best", "train_iterator", "StreamLanguageModelingTask"):
        assert_same(one["extra_state"][key], other["extra_state"][key])


def test_fairseq_hydra_train_with_the_config_that_is_printed(
    ours, train, spawn, workplace, checkpoint_of, assert_same, capsys
):
    folder = workplace / "hydra"
    capsys.readouterr()
    assert train(*OPTIONS, "run.dir=hydra", "--fairseq") == 0
    assert not folder.exists()
    (workplace / "fairseq.yaml").write_text(capsys.readouterr().out)
    options = ["--config-dir", str(workplace), "--config-name", "fairseq"]
    finish(spawn("fairseq-hydra-train", *options))
    assert_same_training(checkpoint_of(folder), ours, assert_same)


def test_fairseq_train_with_flags(ours, spawn, workplace, data_root, checkpoint_of, assert_same):
    folder = workplace / "flags"
    flags = FLAGS.format(define=define.__path__[0], folder=folder).split()
    finish(spawn("fairseq-train", str(data_root / "python_docs"), *flags))
    assert_same_training(checkpoint_of(folder), ours, assert_same)
