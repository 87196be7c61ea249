"""Each check of `define doctor`, on made-up machines, and the command as a whole."""

import argparse
import importlib
import json
import shutil
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from define.cli import doctor
from define.data.prepare import prepare


def run(capsys, *arguments: str) -> tuple[int, str]:
    parser = argparse.ArgumentParser()
    doctor.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["doctor", *arguments])
    status = args.run(args)
    return status, capsys.readouterr().out


@pytest.fixture
def healthy(monkeypatch):
    """A machine on which everything that is installed is right, without loading it."""
    monkeypatch.setattr(doctor, "check_requirements", lambda: [doctor.Finding("numpy", "ok", "2")])
    monkeypatch.setattr(doctor.metadata, "distributions", lambda: [])
    for name in ("check_fairseq", "check_torch"):
        monkeypatch.setattr(doctor, name, lambda: doctor.Finding("loads", "ok", "1.0"))
    monkeypatch.setattr(doctor, "check_disk", lambda free: doctor.Finding("disk", "ok", "1 GiB"))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("version", "status"),
    [("3.9.18", "broken"), ("3.10.0", "ok"), ("3.13.9", "ok"), ("3.14.0", "broken")],
)
def test_python(version, status):
    finding = doctor.check_python(version, ">=3.10,<3.14")
    assert finding.status == status
    assert bool(finding.fix) == (status == "broken")


@pytest.mark.parametrize(
    ("version", "status"),
    [("1.3.2", "ok"), ("1.3.9", "ok"), ("1.4.0", "broken"), ("1.2.0", "broken"), (None, "broken")],
)
def test_a_dependency_outside_its_range_is_broken(version, status):
    finding = doctor.check_version(Requirement("hydra-core>=1.3.2,<1.4"), version)
    assert finding.status == status
    assert bool(finding.fix) == (status == "broken")


def test_a_local_build_of_torch_is_inside_the_range():
    assert doctor.check_version(Requirement("torch>=2.6"), "2.13.0+cpu").status == "ok"


def test_requirements_come_from_the_installed_metadata(monkeypatch):
    project = SimpleNamespace(
        metadata={"Requires-Python": ">=3.10,<3.14"},
        requires=["numpy>=1.26", "absent>=1", 'optuna>=5; extra == "sweep"'],
    )
    installed = {"numpy": "1.20"}

    def version(name):
        if name not in installed:
            raise doctor.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(doctor.metadata, "distribution", lambda name: project)
    monkeypatch.setattr(doctor.metadata, "version", version)
    found = {finding.check: finding.status for finding in doctor.check_requirements()}
    # An extra that is not installed is no finding; one that is installed is held to its range.
    assert found == {"Python": "ok", "numpy": "broken", "absent": "broken"}
    installed["optuna"] = "2.10.1"
    found = {finding.check: finding.status for finding in doctor.check_requirements()}
    assert found["optuna"] == "broken"


def test_a_project_that_is_not_installed_is_sent_to_the_set_up(monkeypatch):
    def missing(name):
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "distribution", missing)
    (finding,) = doctor.check_requirements()
    assert finding.status == "broken" and "scripts/setup.sh" in finding.fix


def test_known_conflicts():
    findings = list(doctor.check_conflicts(["numpy", "fairseq", "hydra-optuna-sweeper"]))
    assert [finding.check for finding in findings] == ["fairseq", "hydra-optuna-sweeper"]
    assert all(f.status == "broken" and "pip uninstall" in f.fix for f in findings)
    assert list(doctor.check_conflicts(["fairseq-fixed"])) == []


def test_a_fairseq_that_does_not_import(monkeypatch):
    def fail(name):
        raise ValueError("mutable default for field common")

    monkeypatch.setattr(importlib, "import_module", fail)
    finding = doctor.check_fairseq()
    assert finding.status == "broken"
    assert "mutable default" in finding.detail and "fairseq-fixed" in finding.fix


def fake_torch(gpu: bool, cuda: str | None) -> SimpleNamespace:
    return SimpleNamespace(
        __version__="2.13.0",
        version=SimpleNamespace(cuda=cuda),
        get_num_threads=lambda: 2,
        cuda=SimpleNamespace(is_available=lambda: gpu, get_device_name=lambda: "GPU X"),
    )


@pytest.mark.parametrize(
    ("gpu", "cuda", "driver", "status", "words"),
    [
        (True, "13.0", True, "ok", "GPU X"),
        (False, None, False, "ok", "CPU, 2 threads"),
        (False, None, True, "warning", "CPU build"),
        (False, "13.0", True, "warning", "finds no GPU"),
    ],
)
def test_device(monkeypatch, gpu, cuda, driver, status, words):
    monkeypatch.setattr(importlib, "import_module", lambda name: fake_torch(gpu, cuda))
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi" if driver else None)
    finding = doctor.check_torch()
    assert finding.status == status and words in finding.detail
    assert bool(finding.fix) == (status != "ok")


@pytest.mark.parametrize(("gibibytes", "status"), [(0.1, "broken"), (2, "warning"), (50, "ok")])
def test_disk(gibibytes, status):
    assert doctor.check_disk(int(gibibytes * 2**30)).status == status


@pytest.mark.parametrize(
    ("mode", "status"),
    [(None, "ok"), ("offline", "ok"), ("disabled", "ok"), ("online", "ok"), ("offlin", "warning")],
)
def test_tracking(mode, status):
    environment = {} if mode is None else {"WANDB_MODE": mode}
    assert doctor.check_tracking(environment).status == status


def test_prepared_corpora(tmp_path):
    (finding,) = doctor.check_corpora(tmp_path)
    assert finding.status == "warning" and "define prepare" in finding.fix

    prepare("python_docs", tmp_path / "python_docs", quiet=True)
    (finding,) = doctor.check_corpora(tmp_path)
    assert finding.status == "ok" and "checksums agree" in finding.detail

    with open(tmp_path / "python_docs" / "test.npy", "r+b") as stream:
        stream.seek(-1, 2)
        last = stream.read(1)
        stream.seek(-1, 2)
        stream.write(bytes([last[0] ^ 1]))
    (finding,) = doctor.check_corpora(tmp_path)
    assert finding.status == "broken"
    assert "test.npy" in finding.detail and "define prepare python_docs" in finding.fix


def test_prepared_parallel_corpora(pair_corpus, tmp_path):
    shutil.copytree(pair_corpus.folder, tmp_path / "grammar")
    (finding,) = doctor.check_corpora(tmp_path)
    assert (finding.check, finding.status) == ("corpus grammar", "ok")
    tokens = sum(pair_corpus.meta["tokens"].values())
    assert f"{tokens:,} tokens, {pair_corpus.types} types" in finding.detail

    (tmp_path / "grammar" / "references" / "grammar_test.xb").unlink()
    (finding,) = doctor.check_corpora(tmp_path)
    assert finding.status == "broken" and "define prepare grammar" in finding.fix


def test_an_unreadable_description_is_a_finding(tmp_path):
    folder = tmp_path / "ptb"
    folder.mkdir()
    (folder / "meta.json").write_text("{")
    (finding,) = doctor.check_corpora(tmp_path)
    assert finding.status == "broken" and "define prepare ptb" in finding.fix


def test_warnings_alone_exit_0(healthy, capsys, tmp_path):
    status, out = run(capsys, "--json", "--data", str(tmp_path))
    findings = json.loads(out)
    assert status == 0
    assert {finding["status"] for finding in findings} == {"ok", "warning"}
    assert all(set(finding) == {"check", "status", "detail", "fix"} for finding in findings)


def test_something_broken_exits_1_and_is_printed_with_its_fix(healthy, capsys, tmp_path):
    broken = doctor.Finding("import fairseq", "broken", "[markup] is text", "try [this]")
    healthy.setattr(doctor, "check_fairseq", lambda: broken)
    status, out = run(capsys, "--data", str(tmp_path))
    assert status == 1
    assert "[markup] is text" in out and "try [this]" in out
    assert "1 broken" in out


def test_on_this_machine_nothing_about_the_packages_is_broken():
    """The real environment of the tests; the disk and the prepared data are the machine's own."""
    findings = [*doctor.check_requirements(), doctor.check_fairseq(), doctor.check_torch()]
    assert [finding for finding in findings if finding.status == "broken"] == []
