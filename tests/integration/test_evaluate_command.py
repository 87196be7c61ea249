"""`define evaluate` on the checkpoints of a finished run."""

import json
import math
import sys

import pytest
import torch

from define.cli.main import main
from define.evaluation import checkpoints


def best(folder) -> str:
    return str(folder / "checkpoints" / "checkpoint_best.pt")


@pytest.fixture
def evaluate(capsys):
    """`define evaluate --json` -> the result."""

    def call(*arguments: str) -> dict:
        assert main(["evaluate", "--quiet", "--json", *arguments]) == 0
        return json.loads(capsys.readouterr().out)

    return call


@pytest.mark.parametrize(("split", "batch_size"), [("valid", "4"), ("test", "1")])
def test_the_number_of_the_record(split, batch_size, finished, evaluate):
    record = json.loads((finished / "record.json").read_text(encoding="utf-8"))
    result = evaluate(best(finished), "--split", split, "--batch-size", batch_size)
    assert {key: result[key] for key in record["final"][split]} == record["final"][split]
    assert result["ppl"] == math.exp(result["nll"])


def test_protocols_agree_where_they_must(finished, evaluate, corpus):
    alone = evaluate(best(finished))
    assert (alone["batch_size"], alone["burn_in"], alone["split"]) == (1, 0, "valid")
    assert alone["scored_tokens"] == len(corpus.tokens["valid"])
    cached = evaluate(best(finished), "--cache")
    assert cached["nll"] == pytest.approx(alone["nll"], rel=1e-6)
    burnt_in = evaluate(best(finished), "--batch-size", "6", "--burn-in", "329")
    assert burnt_in["nll"] == pytest.approx(alone["nll"], rel=1e-6)
    assert evaluate(best(finished), "--data", str(corpus.folder))["nll"] == alone["nll"]


def test_one_line_for_a_person(finished, evaluate, capsys):
    alone = evaluate(best(finished), "--split", "test")
    assert main(["evaluate", "--quiet", best(finished), "--split", "test"]) == 0
    assert capsys.readouterr().out == (
        f"python_docs test: perplexity {alone['ppl']:.4f} ({alone['nll']:.6f} nats per token, "
        f"{alone['scored_tokens']} tokens scored)\n"
    )


def test_the_checkpoint_needs_no_fairseq(finished, corpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "fairseq", None)
    checkpoint = checkpoints.load(best(finished))
    model = checkpoints.build(checkpoint, corpus.types)
    assert not model.training
    for name, value in checkpoint["model"].items():
        assert torch.equal(model.state_dict()[name.removeprefix("core.")], value)


def assert_refused(capsys, named: str, *arguments: str) -> None:
    assert main(["evaluate", "--quiet", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("define: ") and captured.err.count("\n") == 1
    assert named in captured.err


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text", "other"])
def test_what_is_no_checkpoint(damage, finished, tmp_path, capsys):
    path = tmp_path / "checkpoint.pt"
    with open(best(finished), "rb") as stream:
        content = stream.read()
    if damage == "other":
        torch.save({"weights": torch.zeros(2)}, path)
    elif damage != "missing":
        path.write_bytes(
            {"empty": b"", "cut": content[: len(content) // 2], "text": b"text"}[damage]
        )
    assert_refused(capsys, str(path), str(path))


def test_arguments_that_do_not_fit(finished, data_root, tmp_path, capsys):
    checkpoint = best(finished)
    assert_refused(capsys, "batch size of 0", checkpoint, "--batch-size", "0")
    assert_refused(capsys, "burn-in is -1", checkpoint, "--burn-in", "-1")
    assert_refused(capsys, "--device", checkpoint, "--device", "abacus")
    assert_refused(capsys, "no prepared corpus", checkpoint, "--data", str(tmp_path / "ptb"))
    with pytest.raises(SystemExit) as exit:
        main(["evaluate", checkpoint, "--split", "dev"])
    assert exit.value.code == 2
