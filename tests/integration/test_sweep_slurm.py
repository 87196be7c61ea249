"""`hydra/launcher=slurm` against a stand-in for SLURM: its commands, on one machine.

The stand-in runs a submitted script as SLURM does, with SLURM's variables and one process per task
of the array, and queues a task again when told to. It schedules nothing and shares out no GPUs.
"""

import os
import re
import signal
import tempfile
from dataclasses import fields
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from submitit import AutoExecutor

from define.runs import journal, sweeps
from define.train.compose import configs_folder
from define.train.sweep.plan import plan

PATIENCE_S = 120

COMMANDS = {
    "sbatch": """\
cp "$1" "$CLUSTER/script.sh"
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$1")
for task in $(seq 0 "$last"); do
  SLURM_ARRAY_TASK_ID=$task "$CLUSTER/task" "$CLUSTER/script.sh" >>"$CLUSTER/tasks.log" 2>&1 &
done
echo "Submitted batch job 70"
""",
    "task": """\
export SLURM_JOB_ID=$((71 + SLURM_ARRAY_TASK_ID)) SLURM_ARRAY_JOB_ID=70
export SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0
export CUDA_VISIBLE_DEVICES=$((4 + SLURM_ARRAY_TASK_ID))
bash "$1"
while [ -e "$CLUSTER/requeue_70_$SLURM_ARRAY_TASK_ID" ]; do
  rm "$CLUSTER/requeue_70_$SLURM_ARRAY_TASK_ID"
  bash "$1"
done
touch "$CLUSTER/left_$SLURM_ARRAY_TASK_ID"
""",
    "srun": """\
while [ $# -gt 0 ]; do
  case $1 in
    --unbuffered) shift ;;
    --output | --error) shift 2 ;;
    *) break ;;
  esac
done
echo $$ >>"$CLUSTER/srun_$SLURM_ARRAY_TASK_ID"
exec "$@"
""",
    "scontrol": 'touch "$CLUSTER/requeue_$2"\n',
    "sacct": 'echo "JobID|State|NodeList"; echo "70_0|RUNNING|one"; echo "70_1|RUNNING|one"\n',
}


@pytest.fixture
def cluster(workplace, monkeypatch):
    """The folder of the stand-in, which is on the path."""
    folder = workplace / "cluster"
    folder.mkdir()
    for name, script in COMMANDS.items():
        (folder / name).write_text(f"#!/bin/bash\n{script}", encoding="utf-8")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("CLUSTER", str(folder))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(workplace))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def options(cluster):
    return ["hydra/launcher=slurm", "hydra.launcher.partition=gpu", "hydra.launcher.mem_gb=48"]


def test_a_sweep_is_an_array_whose_tasks_are_queued_again_and_outlive_the_sweep(
    spawn_train, wait_for, cluster, options, workplace
):
    folder = workplace / "runs" / "sweeps" / "mine"
    jobs = ["common.cpu=false", "optimization.max_epoch=1,500"]
    jobs += ["run.dir=e_${optimization.max_epoch}"]
    process = spawn_train("-m", "--name", "mine", *jobs, *options)

    def events(kind, job):
        found = journal.read(folder / journal.FILE_NAME)
        return [e for e in found if e["event"] == kind and e["job"] == job]

    (begun,) = wait_for(lambda: events("started", 2))
    assert begun["device"] is None
    variables = Path(f"/proc/{begun['pid']}/environ").read_text(encoding="utf-8").split("\0")
    assert "CUDA_VISIBLE_DEVICES=5" in variables, "devices are SLURM's business"
    script = (cluster / "script.sh").read_text(encoding="utf-8")
    flags = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", script, re.MULTILINE))
    expected = {"partition": "gpu", "gpus-per-node": "1", "nodes": "1", "ntasks-per-node": "1"}
    expected |= {"cpus-per-task": "4", "mem": "48GB", "time": "1440", "array": "0-1%2"}
    expected |= {"signal": "USR2@300", "job-name": "define"}
    assert {flag: flags.get(flag) for flag in expected} == expected
    assert re.search(r"^srun .* -u -m submitit.core._submit \S+$", script, re.MULTILINE)

    wait_for(lambda: (workplace / "e_500" / "checkpoints" / "checkpoint_last.pt").is_file())
    task = int((cluster / "srun_1").read_text(encoding="utf-8"))
    for pid in (begun["pid"], task):  # SLURM's warning goes to all processes of a task
        os.kill(pid, signal.SIGUSR2)
    again = wait_for(lambda: events("started", 2)[1:])
    assert len(again) == len(events("interrupted", 2)) == 1
    wait_for(lambda: events("finished", 1))

    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130 and "the jobs stay in SLURM's queue" in output
    assert "finished: table 1c" in output
    states = sweeps.states(sweeps.read(folder))
    assert [s.state for s in states] == ["finished", "running"]
    os.kill(again[0]["pid"], signal.SIGTERM)  # as scancel does
    wait_for(lambda: (cluster / "left_1").exists())
    states = sweeps.states(sweeps.read(folder))
    assert [s.state for s in states] == ["finished", "interrupted"]


def test_submitit_takes_the_example_s_parameters_for_several_gpus_and_nodes(options, workplace):
    several = ["nodes=2", "gpus_per_node=4", "tasks_per_node=4", "setup=[module load cuda]"]
    overrides = [*options, *(f"hydra.launcher.{word}" for word in several)]
    assert plan(["scale=smoke", *overrides]).slurm
    with initialize_config_dir(str(configs_folder()), version_base="1.1"):
        overrides = [*overrides, f"folder={workplace}"]
        config = compose("sweep", overrides, return_hydra_config=True)
    launcher = instantiate(config.hydra.launcher)
    executor = AutoExecutor(workplace, cluster="slurm")
    common = [field.name for field in fields(BaseQueueConf)]
    executor.update_parameters(
        **{
            key if key in common else f"slurm_{key}": value
            for key, value in launcher.params.items()
            if key not in ("submitit_folder", "max_num_timeout")
        }
    )
    script = executor._executor._make_submission_file_text("train", "")
    for flag in ("nodes=2", "gpus-per-node=4", "ntasks-per-node=4", "partition=gpu", "mem=48GB"):
        assert f"#SBATCH --{flag}\n" in script
    assert "\n# setup\nmodule load cuda\n" in script
