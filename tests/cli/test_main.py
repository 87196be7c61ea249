"""The command as a whole: help, versions, exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from define import __version__
from define.cli import doctor, train
from define.cli.main import main
from define.errors import InputError

COMMANDS = (
    "prepare",
    "train",
    "status",
    "step",
    "bench",
    "evaluate",
    "compare",
    "params",
    "doctor",
)


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as raised:
        main(list(arguments))
    return raised.value.code


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command, capsys):
    assert exit_code(command, "--help") == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: define {command} ")
    usage, *rest = text.split("\n\n")
    assert f"define {command} " in "\n\n".join(rest)


def test_help_lists_the_commands(capsys):
    assert exit_code("--help") == 0
    text = capsys.readouterr().out
    assert all(f"\n    {command} " in text for command in COMMANDS)


def test_version(capsys):
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == f"define {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["train", "--loud"], ["train", "a=1", "-m", "b=2", "-x"], ["evaluate"]]
    + [["doctor", "seed=1"]],
)
def test_wrong_usage(arguments, capsys):
    assert exit_code(*arguments) == 2
    assert "usage: define" in capsys.readouterr().err


def test_flags_and_overrides_may_stand_in_any_order(monkeypatch):
    parsed = []
    monkeypatch.setattr(train, "run", lambda args: parsed.append(args) or 0)
    for words in ("a=1 b=2 -m --quiet", "-m a=1 --quiet b=2", "a=1 -m b=2 --quiet"):
        assert main(["train", *words.split()]) == 0
    for args in parsed:
        assert args.overrides == ["a=1", "b=2"]
        assert args.multirun and args.quiet and not args.dry_run


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("n = 3 is odd; take an even n"), 2, "define: n = 3 is odd; take an even n\n"),
        (KeyboardInterrupt(), 130, "define: interrupted; run the same command again to resume\n"),
    ],
)
def test_exit_codes(error, code, said, capsys, monkeypatch):
    def fail(args):
        raise error

    monkeypatch.setattr(doctor, "run", fail)
    assert main(["doctor"]) == code
    assert capsys.readouterr() == ("", said)


def test_an_interruption_in_an_exec_ends_by_code_130(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "from define.runs import environment\n"
        "environment.prepare = lambda: exec('raise KeyboardInterrupt')\n"
    )
    here = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "define", "doctor"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{here}"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "define: interrupted; run the same command again to resume\n"


def test_a_fault_of_ours_is_not_dressed_up(monkeypatch):
    def fail(args):
        raise ZeroDivisionError

    monkeypatch.setattr(doctor, "run", fail)
    with pytest.raises(ZeroDivisionError):
        main(["doctor"])
