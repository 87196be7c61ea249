"""Each check of `define doctor`, on made-up machines."""

import importlib
import shutil
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from define.analysis import published
from define.cli import checks


@pytest.mark.parametrize(
    ("version", "status"),
    [("3.9.18", "broken"), ("3.10.0", "ok"), ("3.13.9", "ok"), ("3.14.0", "broken")],
)
def test_python(version, status):
    finding = checks.check_python(version, ">=3.10,<3.14")
    assert finding.status == status
    assert bool(finding.fix) == (status == "broken")


@pytest.mark.parametrize(
    ("version", "status"),
    [("1.3.2", "ok"), ("1.3.9", "ok"), ("1.4.0", "broken"), ("1.2.0", "broken"), (None, "broken")],
)
def test_a_dependency_outside_its_range_is_broken(version, status):
    finding = checks.check_version(Requirement("hydra-core>=1.3.2,<1.4"), version)
    assert finding.status == status
    assert bool(finding.fix) == (status == "broken")


def test_a_local_build_of_torch_is_inside_the_range():
    assert checks.check_version(Requirement("torch>=2.6"), "2.13.0+cpu").status == "ok"


def test_requirements_come_from_the_installed_metadata(monkeypatch):
    project = SimpleNamespace(
        metadata={"Requires-Python": ">=3.10,<3.14"},
        requires=["numpy>=1.26", "absent>=1", 'optuna>=5; extra == "sweep"'],
    )
    installed = {"numpy": "1.20"}

    def version(name):
        if name not in installed:
            raise checks.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(checks.metadata, "distribution", lambda name: project)
    monkeypatch.setattr(checks.metadata, "version", version)
    found = {finding.check: finding.status for finding in checks.check_requirements()}
    # What only an extra asks for may be missing; where it is installed, it is held to its range.
    assert found == {"Python": "ok", "numpy": "broken", "absent": "broken", "optuna": "warning"}
    installed["optuna"] = "2.10.1"
    found = {finding.check: finding.status for finding in checks.check_requirements()}
    assert found["optuna"] == "broken"


def test_a_project_that_is_not_installed_is_sent_to_the_set_up(monkeypatch):
    def missing(name):
        raise checks.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(checks.metadata, "distribution", missing)
    (finding,) = checks.check_requirements()
    assert finding.status == "broken" and "scripts/setup.sh" in finding.fix


def test_known_conflicts():
    findings = list(checks.check_conflicts(["numpy", "fairseq", "hydra-optuna-sweeper"]))
    assert [finding.check for finding in findings] == ["fairseq", "hydra-optuna-sweeper"]
    assert all(f.status == "broken" and "pip uninstall" in f.fix for f in findings)
    assert list(checks.check_conflicts(["fairseq-fixed"])) == []


def test_a_fairseq_that_does_not_import(monkeypatch):
    def fail(name):
        raise ValueError("mutable default for field common")

    monkeypatch.setattr(importlib, "import_module", fail)
    finding = checks.check_fairseq()
    assert finding.status == "broken"
    assert "mutable default" in finding.detail and "fairseq-fixed" in finding.fix


def test_an_extra_is_named_with_its_package():
    finding = checks.check_version(Requirement('optuna<6,>=5; extra == "sweep"'), None)
    assert "the extra 'sweep' brings it" in finding.detail
    assert finding.fix.startswith("pip install 'optuna<6,>=5'")


@pytest.mark.parametrize("text", ["torch>=2.6", "numpy>=1.26", "omegaconf>=2.3,<2.4"])
def test_a_known_incompatible_version_is_told_with_its_reason(text):
    requirement = Requirement(text)
    finding = checks.check_version(requirement, "1.0")
    assert finding.status == "broken"
    assert f"({checks.REASONS[requirement.name]})" in finding.detail


def fake_torch(gpus: list[str], cuda: str | None) -> SimpleNamespace:
    properties = [SimpleNamespace(name=name, total_memory=80 * 2**30) for name in gpus]
    return SimpleNamespace(
        __version__="2.13.0",
        version=SimpleNamespace(cuda=cuda),
        get_num_threads=lambda: 2,
        cuda=SimpleNamespace(
            is_available=lambda: bool(gpus),
            device_count=lambda: len(gpus),
            get_device_properties=properties.__getitem__,
        ),
    )


@pytest.mark.parametrize(
    ("cuda", "driver", "status", "words"),
    [
        (None, False, "ok", "CPU, 2 threads"),
        (None, True, "warning", "CPU build"),
        ("13.0", True, "warning", "finds no GPU"),
    ],
)
def test_a_machine_without_a_gpu_for_torch(monkeypatch, cuda, driver, status, words):
    monkeypatch.setattr(importlib, "import_module", lambda name: fake_torch([], cuda))
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi" if driver else None)
    (finding,) = checks.check_devices()
    assert finding.status == status and words in finding.detail
    assert bool(finding.fix) == (status != "ok")


LISTED = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)
  MIG 3g.40gb     Device  0: (UUID: MIG-a)
  MIG 3g.40gb     Device  1: (UUID: MIG-b)
"""


@pytest.fixture
def nvidia_smi(monkeypatch, tmp_path):
    """Puts a program on the path that prints a list of devices as `nvidia-smi -L` does."""

    def lists(text: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return lists


def test_every_gpu_is_found_with_its_memory(monkeypatch, nvidia_smi):
    nvidia_smi("GPU 0: X (UUID: GPU-1)\nGPU 1: Y (UUID: GPU-2)\n")
    torch = fake_torch(["GPU X", "GPU Y"], "13.0")
    monkeypatch.setattr(importlib, "import_module", lambda name: torch)
    found = [(f.check, f.status, f.detail) for f in checks.check_devices()]
    assert found == [
        ("device cuda:0", "ok", "GPU X, 80.0 GiB, CUDA 13.0"),
        ("device cuda:1", "ok", "GPU Y, 80.0 GiB, CUDA 13.0"),
    ]


def test_mig_instances_that_this_process_does_not_see(monkeypatch, nvidia_smi):
    nvidia_smi(LISTED)
    torch = fake_torch(["NVIDIA H100 80GB HBM3 MIG 3g.40gb"], "13.0")
    monkeypatch.setattr(importlib, "import_module", lambda name: torch)
    device, mig = checks.check_devices()
    assert device.status == "ok"
    assert (mig.status, mig.detail) == ("warning", "2 instances, of which this process sees 1")
    assert "CUDA_VISIBLE_DEVICES=MIG-a,MIG-b" in mig.fix


@pytest.mark.parametrize(("gibibytes", "status"), [(0.1, "broken"), (2, "warning"), (50, "ok")])
def test_disk(gibibytes, status):
    assert checks.check_disk(int(gibibytes * 2**30)).status == status


def test_runs_are_written_where_they_will_be_made(tmp_path):
    finding = checks.check_runs(tmp_path / "not" / "yet" / "there")
    assert finding.status == "ok"
    assert list(tmp_path.iterdir()) == []


def test_runs_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    finding = checks.check_runs(tmp_path / "file" / "runs")
    assert finding.status == "broken"
    assert "Not a directory" in finding.detail and "DEFINE_RUNS" in finding.fix


@pytest.mark.parametrize(
    ("environment", "status", "words"),
    [
        ({}, "ok", "off unless a run asks for it with wandb=offline or online; nobody"),
        ({"WANDB_API_KEY": "key"}, "ok", "a login is there"),
        ({"WANDB_MODE": "offline"}, "ok", "WANDB_MODE = offline forbids wandb=online"),
        ({"WANDB_MODE": "disabled"}, "ok", "WANDB_MODE = disabled forbids wandb=online"),
        ({"WANDB_MODE": "online"}, "warning", "nobody is logged in"),
        ({"WANDB_MODE": "online", "WANDB_API_KEY": "key"}, "ok", "a login is there"),
        ({"WANDB_MODE": "offlin", "WANDB_API_KEY": "key"}, "warning", "'offlin'"),
    ],
)
def test_wandb(tmp_path, environment, status, words):
    finding = checks.check_wandb({"NETRC": str(tmp_path / "none"), **environment})
    assert finding.status == status and words in finding.detail
    assert bool(finding.fix) == (status != "ok")


def test_a_login_is_found_where_wandb_keeps_it(tmp_path):
    keys = tmp_path / "netrc"
    keys.write_text("machine wandb.example.org\n  login user\n  password key\n")
    environment = {"NETRC": str(keys)}
    assert not checks.has_wandb_login(environment)
    assert checks.has_wandb_login(environment | {"WANDB_BASE_URL": "https://wandb.example.org"})
    keys.write_text("machine api.wandb.ai\n  login user\n  password key\n")
    assert checks.has_wandb_login(environment)


def test_the_paper_s_numbers(monkeypatch):
    finding = checks.check_published()
    assert (finding.status, finding.detail) == ("ok", "1a, 1b, 1c, 2, 3, 4a, 4b, 5, 6a, 6b")
    gone = FileNotFoundError(2, "No such file", "published.yaml")
    monkeypatch.setattr(published, "_load", lambda: (_ for _ in ()).throw(gone))
    finding = checks.check_published()
    assert finding.status == "broken" and "published.yaml" in finding.fix


@pytest.mark.parametrize(("here", "words"), [("google-chrome", "google-chrome is"), ("", "no C")])
def test_a_browser_is_no_need(monkeypatch, here, words):
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name == here else None)
    finding = checks.check_browser()
    assert finding.status == "ok" and words in finding.detail


def test_prepared_corpora(corpus, tmp_path):
    (finding,) = checks.check_corpora(tmp_path)
    assert finding.status == "warning" and "define prepare" in finding.fix

    shutil.copytree(corpus.folder, tmp_path / "ptb")
    (finding,) = checks.check_corpora(tmp_path)
    assert finding.status == "ok" and "checksums agree" in finding.detail

    with open(tmp_path / "ptb" / "test.npy", "ab") as stream:
        stream.write(b"x")
    (finding,) = checks.check_corpora(tmp_path)
    assert finding.status == "broken"
    assert "test.npy" in finding.detail and "define prepare ptb" in finding.fix


def test_prepared_parallel_corpora(pair_corpus, tmp_path):
    shutil.copytree(pair_corpus.folder, tmp_path / "grammar")
    (finding,) = checks.check_corpora(tmp_path)
    assert (finding.check, finding.status) == ("corpus grammar", "ok")
    tokens = sum(pair_corpus.meta["tokens"].values())
    assert f"{tokens:,} tokens, {pair_corpus.types} types" in finding.detail

    (tmp_path / "grammar" / "references" / "grammar_test.xb").unlink()
    (finding,) = checks.check_corpora(tmp_path)
    assert finding.status == "broken" and "define prepare grammar" in finding.fix


def test_an_unreadable_description_is_a_finding(tmp_path):
    folder = tmp_path / "ptb"
    folder.mkdir()
    (folder / "meta.json").write_text("{")
    (finding,) = checks.check_corpora(tmp_path)
    assert finding.status == "broken" and "define prepare ptb" in finding.fix


def test_on_this_machine_nothing_about_the_packages_is_broken():
    """The real environment of the tests; the disk and the prepared data are the machine's own."""
    findings = [*checks.check_requirements(), checks.check_fairseq(), *checks.check_devices()]
    assert [finding for finding in findings if finding.status == "broken"] == []
