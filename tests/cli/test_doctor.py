"""`define doctor`: each check on made-up machines, what is printed, and the exit status."""

import importlib
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from define.analysis import published
from define.cli import doctor
from define.cli.doctor import Finding, Folders
from define.cli.main import main
from define.runs import environment

NOWHERE = Folders(Path("nowhere"), Path("nowhere"))


def found(check, data: Path = NOWHERE.data, runs: Path = NOWHERE.runs) -> list[Finding]:
    """The findings of one check, each with a fix unless it is ok."""
    findings = list(check(Folders(data, runs)))
    assert all(bool(finding.fix) == (finding.status != "ok") for finding in findings)
    return findings


def one(check, **folders: Path) -> Finding:
    (finding,) = found(check, **folders)
    return finding


@pytest.fixture
def installed(monkeypatch) -> dict[str, str]:
    """Name -> version of what is installed, beside Python 3.11."""
    versions: dict[str, str] = {}

    def version(name: str) -> str:
        if name not in versions:
            raise doctor.metadata.PackageNotFoundError(name)
        return versions[name]

    wanted = ["hydra-core>=1.3.2,<1.4", "torch>=2.6", 'optuna>=5; extra == "sweep"']
    project = {"Requires-Python": ">=3.10,<3.14"}
    project = SimpleNamespace(metadata=project, requires=wanted)
    monkeypatch.setattr(doctor.metadata, "distribution", lambda name: project)
    monkeypatch.setattr(doctor.metadata, "version", version)
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.11.7")
    return versions


@pytest.mark.parametrize(
    ("name", "version", "status", "words"),
    [
        ("Python", "3.9.18", "broken", "outside"),
        ("Python", "3.14.0", "broken", doctor.REASONS["Python"]),
        ("hydra-core", "1.3.9", "ok", ""),
        ("hydra-core", "1.2.0", "broken", doctor.REASONS["hydra-core"]),
        ("hydra-core", "1.4.0", "broken", doctor.REASONS["hydra-core"]),
        ("hydra-core", None, "broken", "not installed"),
        ("torch", "2.13.0+cpu", "ok", ""),
        ("torch", "1.0", "broken", doctor.REASONS["torch"]),
        ("optuna", None, "warning", "part of the extra 'sweep'"),
        ("optuna", "2.10.1", "broken", doctor.REASONS["optuna"]),
    ],
)
def test_versions_are_held_to_the_ranges(installed, monkeypatch, name, version, status, words):
    installed |= {"hydra-core": "1.3.2", "torch": "2.6.0", "optuna": "5.0", name: version}
    monkeypatch.setattr(doctor.platform, "python_version", lambda: installed.get("Python", "3.11"))
    if version is None:
        del installed[name]
    findings = {finding.check: finding for finding in found(doctor.requirements)}
    assert list(findings) == ["Python", "hydra-core", "torch", "optuna"]
    assert {check: f.status for check, f in findings.items() if f.status != "ok"} == (
        {} if status == "ok" else {name: status}
    )
    assert words in findings[name].detail


def test_known_conflicts(monkeypatch):
    names = ["numpy", "fairseq", "hydra-optuna-sweeper", "fairseq-fixed"]
    distributions = [SimpleNamespace(metadata={"Name": name}) for name in names]
    monkeypatch.setattr(doctor.metadata, "distributions", lambda: distributions)
    findings = found(doctor.conflicts)
    assert [finding.check for finding in findings] == ["fairseq", "hydra-optuna-sweeper"]
    assert all(f.status == "broken" and "pip uninstall" in f.fix for f in findings)


def use_torch(monkeypatch, gpus: list[str], cuda: str | None = "13.0") -> None:
    properties = [SimpleNamespace(name=name, total_memory=80 * 2**30) for name in gpus]
    torch = SimpleNamespace(
        __version__="2.13.0",
        version=SimpleNamespace(cuda=cuda),
        get_num_threads=lambda: 2,
        cuda=SimpleNamespace(
            is_available=lambda: bool(gpus),
            device_count=lambda: len(gpus),
            get_device_properties=properties.__getitem__,
        ),
    )
    monkeypatch.setattr(importlib, "import_module", lambda name: torch)


@pytest.mark.parametrize(
    ("cuda", "driver", "status", "words"),
    [
        (None, False, "ok", "CPU, 2 threads"),
        (None, True, "warning", "CPU build"),
        ("13.0", True, "warning", "finds no GPU"),
    ],
)
def test_a_machine_without_a_gpu_for_torch(monkeypatch, cuda, driver, status, words):
    use_torch(monkeypatch, [], cuda)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi" if driver else None)
    finding = one(doctor.devices)
    assert finding.status == status and words in finding.detail


def test_gpus_and_mig_instances(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    listed = ["GPU 0: H100 (UUID: GPU-1)", "  MIG 3g.40gb Device 0: (UUID: MIG-a)"]
    listed += ["  MIG 3g.40gb Device 1: (UUID: MIG-b)", "  MIG 3g.40gb Device 2: (UUID: MIG-c)"]
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    use_torch(monkeypatch, ["GPU X", "GPU Y"])
    for lines, warned in ((listed[:3], False), (listed, True)):
        text = "\n".join(lines)
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
        program.chmod(0o755)
        findings = found(doctor.devices)
        assert [(f.check, f.status, f.detail) for f in findings[:2]] == [
            ("device cuda:0", "ok", "GPU X, 80.0 GiB, CUDA 13.0"),
            ("device cuda:1", "ok", "GPU Y, 80.0 GiB, CUDA 13.0"),
        ]
        assert len(findings) == 2 + warned
    assert findings[2].detail == "3 instances, of which this process sees 2"
    assert "CUDA_VISIBLE_DEVICES=MIG-a,MIG-b,MIG-c" in findings[2].fix


@pytest.mark.parametrize(
    ("used", "variable", "libraries", "status", "words"),
    [
        ("libtcmalloc_minimal.so.4", "", (), "ok", "libtcmalloc_minimal.so.4"),
        (environment.SYSTEM, "", (), "warning", "training on a CPU is slower"),
        (environment.SYSTEM, "none", (), "ok", "DEFINE_ALLOCATOR = none"),
        (environment.SYSTEM, "", (__file__,), "ok", __file__),
    ],
)
def test_the_allocator(monkeypatch, used, variable, libraries, status, words):
    monkeypatch.setattr(doctor.sys, "platform", "linux")
    monkeypatch.setattr(environment, "allocator", lambda: used)
    monkeypatch.setattr(environment, "LIBRARIES", libraries)
    monkeypatch.setenv(environment.VARIABLE, variable)
    finding = one(doctor.allocator)
    assert finding.status == status and words in finding.detail


@pytest.mark.parametrize(("gibibytes", "status"), [(0.1, "broken"), (2, "warning"), (50, "ok")])
def test_runs_and_the_room_where_they_will_be_made(monkeypatch, tmp_path, gibibytes, status):
    usage = SimpleNamespace(free=gibibytes * 2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    runs, disk = found(doctor.runs, runs=tmp_path / "not" / "yet" / "there")
    assert (runs.status, disk.status) == ("ok", status)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "status", "words"),
    [
        ({}, "ok", "off unless a run asks for it with wandb=offline or online; you are not"),
        ({"WANDB_API_KEY": "key"}, "ok", "you are logged in"),
        ({"WANDB_MODE": "offline"}, "ok", "WANDB_MODE = offline forbids wandb=online"),
        ({"WANDB_MODE": "online"}, "warning", "you are not logged in"),
        ({"WANDB_MODE": "online", "WANDB_API_KEY": "key"}, "ok", "you are logged in"),
        ({"WANDB_MODE": "offlin", "WANDB_API_KEY": "key"}, "warning", "'offlin'"),
        ({"NETRC": "keys"}, "ok", "you are logged in"),
        ({"NETRC": "keys", "WANDB_BASE_URL": "https://wandb.example.org"}, "ok", "are not logged"),
    ],
)
def test_wandb(tmp_path, monkeypatch, variables, status, words):
    monkeypatch.chdir(tmp_path)
    Path("keys").write_text("machine api.wandb.ai\n  login user\n  password key\n")
    for name in ("MODE", "API_KEY", "BASE_URL", "IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    for name, value in ({"NETRC": "none"} | variables).items():
        monkeypatch.setenv(name, value)
    finding = one(doctor.tracking)
    assert finding.status == status and words in finding.detail


def test_prepared_corpora(corpus, pair_corpus, tmp_path):
    finding = one(doctor.corpora, data=tmp_path)
    assert finding.status == "warning" and "define prepare" in finding.fix
    for made, name in ((corpus, "ptb"), (pair_corpus, "grammar")):
        shutil.copytree(made.folder, tmp_path / name)
    tokens = sum(pair_corpus.meta["tokens"].values())
    grammar, ptb = found(doctor.corpora, data=tmp_path)
    assert (grammar.status, ptb.status) == ("ok", "ok")
    assert f"{tokens:,} tokens, {pair_corpus.types} types, checksums agree" in grammar.detail

    with open(tmp_path / "ptb" / "test.npy", "ab") as stream:
        stream.write(b"x")
    (tmp_path / "grammar" / "references" / "grammar_test.xb").unlink()
    grammar, ptb = found(doctor.corpora, data=tmp_path)
    assert (grammar.status, ptb.status) == ("broken", "broken")
    assert "define prepare grammar" in grammar.fix
    assert "test.npy" in ptb.detail and "define prepare ptb" in ptb.fix
    (tmp_path / "ptb" / "meta.json").write_text("{")
    assert found(doctor.corpora, data=tmp_path)[1].status == "broken"


@pytest.fixture
def only(monkeypatch):
    """(checks) Leaves these checks to the command."""

    def leave(*checks) -> None:
        kept = tuple(entry for entry in doctor.CHECKS if entry[1] in checks)
        assert len(kept) == len(checks)
        monkeypatch.setattr(doctor, "CHECKS", kept)

    return leave


def test_warnings_alone_exit_0(only, capsys, tmp_path):
    only(doctor.corpora, doctor.tables)
    assert main(["doctor", "--json", "--data", str(tmp_path), "--runs", str(tmp_path)]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert [finding["status"] for finding in findings] == ["warning", "ok"]
    assert all(set(finding) == {"check", "status", "detail", "fix"} for finding in findings)
    assert findings[1]["detail"] == ", ".join(published.names())


def test_an_error_in_a_check_is_a_finding_with_a_fix_and_exits_1(
    only, capsys, tmp_path, monkeypatch
):
    def fail(*_):
        raise ValueError("[mutable] default for field common")

    only(doctor.requirements, doctor.import_fairseq, doctor.runs, doctor.allocator, doctor.tables)
    monkeypatch.setitem(sys.modules, "fairseq", None)
    monkeypatch.setattr(doctor.metadata, "distribution", fail)
    monkeypatch.setattr(published, "_load", fail)
    monkeypatch.setenv(environment.VARIABLE, "jemaloc")
    monkeypatch.setenv("COLUMNS", "500")
    (tmp_path / "file").write_text("")
    assert main(["doctor", "--runs", str(tmp_path / "file" / "runs")]) == 1
    out = capsys.readouterr().out
    assert "ValueError: [mutable] default" in out and "run scripts/setup.sh" in out
    assert "ModuleNotFoundError" in out and "use fairseq-fixed" in out
    assert "Not a directory" in out and "DEFINE_RUNS" in out
    assert "DEFINE_ALLOCATOR = jemaloc is not a file" in out
    assert "published.yaml" in out and "5 broken" in out


def test_on_this_machine_nothing_about_the_packages_is_broken():
    """The real environment of the tests; the disk and the prepared data are the machine's own."""
    checks = (doctor.requirements, doctor.import_fairseq, doctor.devices)
    findings = [finding for check in checks for finding in check(NOWHERE)]
    assert [finding for finding in findings if finding.status == "broken"] == []
