"""`define doctor`: what it prints and its exit status."""

import argparse
import json

import pytest

from define.cli import checks, doctor
from define.cli.checks import Finding


def run(capsys, *arguments: str) -> tuple[int, str]:
    parser = argparse.ArgumentParser()
    doctor.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["doctor", *arguments])
    status = args.run(args)
    return status, capsys.readouterr().out


@pytest.fixture
def healthy(monkeypatch):
    """A machine on which everything that is installed is right, without loading it."""
    for name in ("check_requirements", "check_devices"):
        monkeypatch.setattr(checks, name, lambda: [Finding("many", "ok", "2")])
    monkeypatch.setattr(doctor.metadata, "distributions", lambda: [])
    monkeypatch.setattr(checks, "check_fairseq", lambda: Finding("loads", "ok", "1.0"))
    monkeypatch.setattr(checks, "check_disk", lambda free: Finding("disk", "ok", "1 GiB"))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return monkeypatch


def test_warnings_alone_exit_0(healthy, capsys, tmp_path):
    status, out = run(capsys, "--json", "--data", str(tmp_path), "--runs", str(tmp_path))
    findings = json.loads(out)
    assert status == 0
    assert {finding["status"] for finding in findings} == {"ok", "warning"}
    assert all(set(finding) == {"check", "status", "detail", "fix"} for finding in findings)


def test_something_broken_exits_1_and_is_printed_with_its_fix(healthy, capsys, tmp_path):
    broken = Finding("import fairseq", "broken", "[markup] is text", "try [this]")
    healthy.setattr(checks, "check_fairseq", lambda: broken)
    status, out = run(capsys, "--data", str(tmp_path))
    assert status == 1
    assert "[markup] is text" in out and "try [this]" in out
    assert "1 broken" in out
