"""Views of a run: runs of one process stay apart, and no view stops a run.

What wandb and TensorBoard have on disk of a resumed run: tests/integration/test_views.py.
"""

import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest

from define.train.tracking import Tracker, WandbView, final_scalars, open_views

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
FINISHED = RECORD | {"status": "finished", "final": {"valid": {"ppl": 12.5}, "test": {"ppl": 13.5}}}


def trained(updates: int) -> dict:
    losses = {"nll": 2.0, "ppl": 4.0}
    return {"updates": updates, "train": losses, "lr": 0.5, "tokens": 300, "seconds": 2.0}


def test_runs_of_one_process_stay_apart_and_wandb_s_own_command_finds_them(tmp_path, wandb_runs):
    in_sweep = deepcopy(RECORD)
    in_sweep["provenance"]["sweep"], in_sweep["seed"] = "depths", 8
    folders = [tmp_path / name for name in ("one", "other")]
    trackers = [Tracker(), Tracker()]
    for tracker, record, folder in zip(trackers, (RECORD, in_sweep), folders, strict=True):
        folder.mkdir()
        open_views(tracker, record, folder, "offline")
    for updates, tracker in ((10, trackers[0]), (5, trackers[1]), (20, trackers[0])):
        tracker.trained(trained(updates))
    trackers[0].finish(FINISHED)
    trackers[1].finish(in_sweep | {"status": "failed"})
    (one,), (other,) = map(wandb_runs, folders)
    assert one["name"] == "table_3/transformer/mini/multi30k/seed_7" and one["id"] != other["id"]
    assert one["tags"] == ["table_3", "transformer", "mini", "multi30k"]
    assert (one["group"], other["group"]) == ("table_3/mini", "depths")
    curve = {"train/nll": 2.0, "train/ppl": 4.0, "lr": 0.5, "tokens_per_second": 150.0}
    assert one["history"] == [{"updates": updates, **curve} for updates in (10, 20)]
    assert other["history"] == [{"updates": 5, **curve}]
    assert (one["exit_code"], other["exit_code"]) == (0, 1)
    assert "final/valid_ppl" in one["summary"] and "final/valid_ppl" not in other["summary"]

    wandb = str(Path(sys.executable).parent / "wandb")
    command = ["find", str(tmp_path), "-type", "d", "-name", "wandb"]
    command += ["-exec", wandb, "sync", "--dry-run", "{}", "+"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert "Would sync 2 run(s)" in output


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


class Heard:
    """Notes what it is told; raises at update 20 if it is to fail."""

    def __init__(self, fails: bool = False):
        self.heard, self._fails = [], fails

    def log(self, updates, scalars):
        self.heard.append(updates)
        if self._fails and updates == 20:
            raise OSError("the disk is full\nand more")

    def finish(self, updates, scalars, status):
        self.heard.append(status)


def test_a_view_that_raises_is_dropped_and_the_others_continue(capsys):
    failing, steady, tracker = Heard(fails=True), Heard(), Tracker()
    tracker.open("one", lambda: failing)
    tracker.open("other", lambda: steady)
    for updates in (10, 20, 30):
        tracker.trained(trained(updates))
    tracker.finish(FINISHED)
    assert failing.heard == [10, 20]
    assert steady.heard == [10, 20, 30, "finished"]
    error = capsys.readouterr().err
    assert error == "define: one shows no more of this run (the disk is full); the run continues\n"


def test_an_interruption_is_not_a_failure_of_a_view():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Tracker().open("one", interrupted)


def test_a_run_without_views_loads_neither(monkeypatch, tmp_path, capsys):
    for name in ("wandb", "tensorboard", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    tracker = Tracker()
    open_views(tracker, RECORD, tmp_path)
    tracker.trained(trained(10))
    tracker.finish(FINISHED)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""
    open_views(tracker, RECORD, tmp_path, tensorboard=True)
    assert "TensorBoard shows no more of this run (it is not installed; `pip install" in (
        capsys.readouterr().err
    )


def track(mode: str, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """A tracked run in a process of its own, without a login but what is given."""
    script = f"""
        from pathlib import Path
        from define.train import tracking
        tracking.ONLINE_SECONDS = 1.0
        tracker = tracking.Tracker()
        tracking.open_views(tracker, {RECORD!r}, Path("run"), {mode!r})
        tracker.trained({trained(10)!r})
        tracker.finish({FINISHED!r})
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


def test_online_without_a_login_is_refused(monkeypatch, tmp_path):
    import wandb

    monkeypatch.setattr(wandb, "login", lambda **options: False)
    with pytest.raises(RuntimeError, match="nobody is logged in, .*or take wandb=offline"):
        WandbView(RECORD, tmp_path, "online")


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def test_offline_contacts_no_server(tmp_path, server):
    address = f"http://127.0.0.1:{server.getsockname()[1]}"
    done = track("offline", tmp_path, WANDB_BASE_URL=address, WANDB_API_KEY="a" * 40)
    assert (done.returncode, done.stdout, done.stderr) == (0, "trained to the end\n", "")
    with pytest.raises(BlockingIOError):
        server.accept()


@pytest.mark.slow
def test_online_without_a_network_trains_on(tmp_path, server):
    address = f"http://127.0.0.1:{server.getsockname()[1]}"
    server.close()
    done = track("online", tmp_path, WANDB_BASE_URL=address, WANDB_API_KEY="a" * 40)
    assert done.returncode == 0
    assert done.stdout.startswith("trained to the end\n")
    assert done.stderr.count("define: wandb shows no more of this run (") == 1
    assert "Traceback" not in done.stderr
