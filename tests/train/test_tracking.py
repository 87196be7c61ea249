"""Views of a run: what wandb and TensorBoard themselves have on disk, and that none stops a run."""

import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest

from define.train.tracking import (
    TensorBoardTracker,
    Tracker,
    Views,
    WandbTracker,
    final_scalars,
    open_views,
)

RECORD = {
    "table": "3",
    "row": "transformer",
    "scale": "mini",
    "seed": 7,
    "status": "running",
    "config": {"seed": 7, "model": {"map_dim": 16}},
    "parameters": {"total": 9, "unit": 4},
    "provenance": {
        "started": "2020-01-01T00:00:00+00:00",
        "commit": "c0ffee",
        "dirty": False,
        "data": {"name": "multi30k"},
    },
}
FINAL = {"valid": {"ppl": 12.5}, "test": {"ppl": 13.5}}
FINISHED = RECORD | {"status": "finished", "final": FINAL}


def trained(updates: int, nll: float = 2.0) -> dict:
    losses = {"nll": nll, "ppl": nll**2}
    return {"updates": updates, "train": losses, "lr": 0.5, "tokens": 300, "seconds": 2.0}


def validated(updates: int, epoch: int) -> dict:
    return {"updates": updates, "epoch": epoch, "valid": {"nll": 1.0, "ppl": 3.0}}


def in_sweep(name: str) -> dict:
    record = deepcopy(RECORD)
    record["seed"] = 8
    record["provenance"]["sweep"] = name
    return record


@pytest.fixture(scope="module")
def offline(tmp_path_factory, wandb_runs) -> dict[str, list[dict]]:
    """Runs of one process: one interrupted and gone on with, one of a sweep that fails beside it.

    Names of the run folders -> what wandb has in them.
    """
    root = tmp_path_factory.mktemp("offline")
    for name in ("kept", "failed"):
        (root / name).mkdir()
    first = WandbTracker(RECORD, root / "kept", "offline")
    beside = WandbTracker(in_sweep("depths"), root / "failed", "offline")
    first.trained(trained(10))
    beside.trained(trained(5, nll=4.0))
    first.validated(validated(10, epoch=1))
    first.trained(trained(20))
    first.stop(RECORD | {"status": "interrupted"})
    beside.stop(in_sweep("depths") | {"status": "failed"})
    second = WandbTracker(RECORD, root / "kept", "offline")
    second.trained(trained(20))
    second.trained(trained(30, nll=1.5))
    second.finish(FINISHED)
    return {name: wandb_runs(root / name) for name in ("kept", "failed")} | {"root": root}


def test_a_wandb_run_is_named_grouped_and_tagged_after_the_run(offline):
    run, _ = offline["kept"]
    assert run["name"] == "table_3/transformer/mini/multi30k/seed_7"
    assert run["group"] == "table_3/mini"
    assert run["job_type"] == "train"
    assert run["tags"] == ["table_3", "transformer", "mini", "multi30k"]
    config = {key: value for key, value in run["config"].items() if key != "_wandb"}
    assert config == RECORD["config"] | {
        "parameters": {"total": 9, "unit": 4},
        "commit": "c0ffee",
        "uncommitted_changes": False,
    }


def test_curves_are_over_updates(offline):
    run, _ = offline["kept"]
    curve = {"train/nll": 2.0, "train/ppl": 4.0, "lr": 0.5, "tokens_per_second": 150.0}
    assert run["history"] == [
        {"updates": 10, **curve},
        {"updates": 10, "valid/nll": 1.0, "valid/ppl": 3.0, "epoch": 1},
        {"updates": 20, **curve},
    ]


def test_a_resumed_run_goes_on_in_the_same_wandb_run(offline):
    first, second = offline["kept"]
    assert first["id"] == second["id"]
    assert (first["exit_code"], second["exit_code"]) == (255, 0)
    assert [row["updates"] for row in second["history"]] == [20, 30]
    final = {name: value for name, value in second["summary"].items() if "final" in name}
    assert final == {"final/valid_ppl": 12.5, "final/test_ppl": 13.5}


def test_runs_of_one_process_stay_apart(offline):
    (run,) = offline["failed"]
    assert run["id"] != offline["kept"][0]["id"]
    assert run["group"] == "depths"
    assert [row["train/nll"] for row in run["history"]] == [4.0]
    assert run["exit_code"] == 1
    assert "final/valid_ppl" not in run["summary"]


def test_wandb_s_own_command_finds_every_part(offline):
    wandb = str(Path(sys.executable).parent / "wandb")
    command = ["find", str(offline["root"]), "-type", "d", "-name", "wandb"]
    command += ["-exec", wandb, "sync", "--dry-run", "{}", "+"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert "Would sync 3 run(s)" in output


def test_tensorboard_has_the_curves_of_what_the_run_kept(tmp_path, scalars):
    first = TensorBoardTracker(tmp_path, updates=0)
    first.trained(trained(10, nll=3.0))
    first.validated(validated(10, epoch=1))
    first.trained(trained(20, nll=9.0))
    first.validated(validated(20, epoch=2))
    first.stop(RECORD | {"status": "interrupted"})
    second = TensorBoardTracker(tmp_path, updates=10)  # the checkpoint was of update 10
    second.trained(trained(20, nll=2.0))
    second.trained(trained(30, nll=1.0))
    second.finish(FINISHED)
    assert scalars(tmp_path) == {
        "train/nll": [(10, 3.0), (20, 2.0), (30, 1.0)],
        "train/ppl": [(10, 9.0), (20, 4.0), (30, 1.0)],
        "lr": [(10, 0.5), (20, 0.5), (30, 0.5)],
        "tokens_per_second": [(10, 150.0), (20, 150.0), (30, 150.0)],
        "valid/nll": [(10, 1.0)],
        "valid/ppl": [(10, 3.0)],
        "epoch": [(10, 1.0)],
        "final/valid_ppl": [(30, 12.5)],
        "final/test_ppl": [(30, 13.5)],
    }


def test_a_finished_translation_has_the_bleu_of_its_first_decoding():
    translations = {
        name: {"scores": {s: {"bleu": {"score": score}} for s, score in scores.items()}}
        for name, scores in (("beam_5", {"a": 27.0, "b": 28.5}), ("other", {"a": 1.0, "b": 2.0}))
    }
    assert final_scalars(FINISHED | {"translations": translations}) == {
        "final/valid_ppl": 12.5,
        "final/test_ppl": 13.5,
        "final/a_bleu": 27.0,
        "final/b_bleu": 28.5,
    }


class Heard(Tracker):
    """Notes what it is told, until it raises at update 20."""

    def __init__(self):
        self.heard = []

    def trained(self, event):
        self.heard.append(event["updates"])
        if event["updates"] == 20:
            raise OSError("the disk is full\nand more")

    def finish(self, record):
        self.heard.append("finish")


class Steady(Heard):
    def trained(self, event):
        self.heard.append(event["updates"])


def test_a_view_that_raises_is_let_go_and_the_others_go_on(capsys):
    failing, steady, views = Heard(), Steady(), Views()
    views.open("one", lambda: failing)
    views.open("other", lambda: steady)
    for updates in (10, 20, 30):
        views.trained(trained(updates))
    views.finish(FINISHED)
    assert failing.heard == [10, 20]
    assert steady.heard == [10, 20, 30, "finish"]
    error = capsys.readouterr().err
    assert error == "define: one shows no more of this run (the disk is full); it goes on\n"


def test_an_interruption_is_no_failure_of_a_view():
    def interrupted() -> Tracker:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Views().open("one", interrupted)


def test_a_run_without_views_loads_neither(monkeypatch, tmp_path, capsys):
    for name in ("wandb", "tensorboard", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    views = Views()
    open_views(views, RECORD, tmp_path)
    views.trained(trained(10))
    views.finish(FINISHED)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""


def test_what_is_not_installed_is_told_with_its_fix(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    views = Views()
    open_views(views, RECORD, tmp_path, tensorboard=True)
    views.trained(trained(10))
    assert "TensorBoard shows no more of this run (it is not installed; `pip install" in (
        capsys.readouterr().err
    )


def track(mode: str, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """A tracked run in a process of its own, without a login but what is given."""
    script = f"""
        from pathlib import Path
        from define.train import tracking
        tracking.ONLINE_SECONDS = 1.0
        views = tracking.Views()
        tracking.open_views(views, {RECORD!r}, Path("run"), {mode!r})
        views.trained({trained(10)!r})
        views.finish({FINISHED!r})
        print("trained to the end")
    """
    (folder / "run").mkdir()
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=folder,
        env=inherited | {"HOME": str(folder), "NETRC": str(folder / "none"), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def test_online_without_a_login_trains_on(tmp_path):
    done = track("online", tmp_path)
    assert (done.returncode, done.stdout) == (0, "trained to the end\n")
    assert done.stderr == (
        "define: wandb shows no more of this run (nobody is logged in, or WANDB_MODE forbids it; "
        "`wandb login`, or take wandb=offline); it goes on\n"
    )


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def test_offline_knocks_at_no_server(tmp_path, server, wandb_runs):
    address = f"http://127.0.0.1:{server.getsockname()[1]}"
    done = track("offline", tmp_path, WANDB_BASE_URL=address, WANDB_API_KEY="a" * 40)
    assert (done.returncode, done.stdout, done.stderr) == (0, "trained to the end\n", "")
    with pytest.raises(BlockingIOError):
        server.accept()
    (run,) = wandb_runs(tmp_path / "run")
    assert run["exit_code"] == 0


@pytest.mark.slow
def test_online_without_a_network_trains_on(tmp_path, server):
    address = f"http://127.0.0.1:{server.getsockname()[1]}"
    server.close()
    done = track("online", tmp_path, WANDB_BASE_URL=address, WANDB_API_KEY="a" * 40)
    assert done.returncode == 0
    assert done.stdout.startswith("trained to the end\n")
    assert done.stderr.count("define: wandb shows no more of this run (") == 1
    assert "Traceback" not in done.stderr
