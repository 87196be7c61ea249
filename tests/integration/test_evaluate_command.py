"""`define evaluate` on the checkpoints of a finished run."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch

from define.cli.main import main
from define.evaluation import checkpoints
from define.runs import evaluations


def best(folder) -> str:
    return str(folder / "checkpoints" / "checkpoint_best.pt")


@pytest.fixture
def evaluate(capsys):
    """`define evaluate --json` -> the result, or a list of them if there are several."""

    def call(*arguments: str) -> dict | list[dict]:
        capsys.readouterr()
        assert main(["evaluate", "--quiet", "--json", *arguments]) == 0
        results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return results[0] if len(results) == 1 else results

    return call


@pytest.mark.parametrize(("split", "batch_size"), [("valid", "4"), ("test", "1")])
def test_the_number_of_the_record(split, batch_size, finished, evaluate):
    record = json.loads((finished / "record.json").read_text(encoding="utf-8"))
    result = evaluate(best(finished), "--split", split, "--batch-size", batch_size)
    assert {key: result[key] for key in record["final"][split]} == record["final"][split]
    assert result["ppl"] == math.exp(result["nll"])


def test_protocols_agree_where_they_must(finished, evaluate, corpus):
    alone = evaluate(best(finished))
    assert alone["split"] == "valid"
    assert alone["protocol"] == {"name": "carried", "window": 70, "burn_in": 0, "batch_size": 1}
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
        f"{alone['scored_tokens']} tokens scored; carried: window 70, burn in 0, batch size 1)\n"
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


def test_a_flipped_byte_in_a_checkpoint_is_refused(finished, corpus, tmp_path, capsys):
    content = bytearray(Path(best(finished)).read_bytes())
    content[len(content) // 2] ^= 1  # of a weight
    damaged = tmp_path / "checkpoint_best.pt"
    damaged.write_bytes(content)
    assert_refused(capsys, f"{damaged} is damaged: ", str(damaged), "--data", str(corpus.folder))


def test_options_change_the_protocol(finished, evaluate):
    changed = evaluate(best(finished), "--window", "9", "--burn-in", "4")
    assert changed["protocol"]["name"] == "carried, changed"
    assert changed["protocol"]["window"] == 9 and changed["protocol"]["burn_in"] == 4
    sliding = evaluate(
        best(finished), "--protocol", "sliding_window", "--context", "12", "--batch-size", "5"
    )
    assert sliding["protocol"] == {
        "name": "sliding_window, changed",
        "window": 64,
        "context": 12,
        "batch_size": 5,
    }
    assert sliding["nll"] != changed["nll"]


def test_the_window_of_the_training(finished, evaluate, checkpoint_of):
    found = evaluate(best(finished), "--protocol", "training_lengths")
    assert found["protocol"]["window"] == checkpoint_of(finished)["cfg"]["task"]["bptt"]


@pytest.fixture
def run_with_protocols(train, workplace):
    """The folder of a run with two protocols of its own."""
    protocols = "{sliding_window:{window:8,context:12},carried:{window:9}}"
    assert train("optimization.max_update=3", f"+run.protocols={protocols}", "run.dir=run") == 0
    return workplace / "run"


def test_the_protocols_of_a_run(run_with_protocols, evaluate, tmp_path):
    run = run_with_protocols
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    assert list(record["protocols"]) == ["sliding_window", "carried"]
    assert record["final"] == record["protocols"]["sliding_window"]["scores"]
    for name, protocol in record["protocols"].items():
        for split, score in protocol["scores"].items():
            size = protocol["settings"][f"{split}_batch_size"]
            found = evaluate(
                *(best(run), "--protocol", name, "--split", split, "--batch-size", str(size))
            )
            assert {key: found[key] for key in score} == score
            for key, value in found["protocol"].items():
                assert key in ("name", "batch_size") or protocol["settings"][key] == value
    headline = evaluate(best(run), "--batch-size", "4")
    assert headline["protocol"]["name"] == "sliding_window"
    assert headline["nll"] == record["final"]["valid"]["nll"]
    copy = tmp_path / "elsewhere" / "checkpoint.pt"
    copy.parent.mkdir()
    copy.write_bytes((run / "checkpoints" / "checkpoint_best.pt").read_bytes())
    assert evaluate(str(copy))["protocol"]["name"] == "carried"


def test_a_trial_of_a_search_is_not_scored_on_test(train, workplace):
    assert train("optimization.max_update=2", "run.score_test=false", "run.dir=run") == 0
    record = json.loads((workplace / "run" / "record.json").read_text(encoding="utf-8"))
    assert list(record["final"]) == ["valid"]
    assert "test_batch_size" not in record["protocols"]["carried"]["settings"]


@pytest.mark.parametrize(
    ("protocols", "named"),
    [
        ("{carried:{windows:9}}", "run.protocols.carried.windows is unknown"),
        ("{carried:{memory_length:9}}", "memory_length = 9 is for Transformer-XL"),
        ("{carried:{window:0}}", "window = 0 must be at least 1"),
    ],
)
def test_a_bad_protocol_is_refused_before_training(protocols, named, train, workplace, capsys):
    assert train(f"+run.protocols={protocols}", "run.dir=run") == 2
    assert named in capsys.readouterr().err
    assert not (workplace / "run").exists()


def test_transformer_xl_with_more_memory(train, workplace, evaluate):
    """The protocols of its recipe; ten streams are one."""
    sizes = ["model.cutoffs=[20,30,40]", "task.bptt=6", "model.memory_length=7"]
    row = "experiment=table_2/txl_256_define"
    assert train(row, *sizes, "optimization.max_update=3", "run.dir=run") == 0
    record = json.loads((workplace / "run" / "record.json").read_text(encoding="utf-8"))
    assert {"long_memory", "training_lengths"} == set(record["protocols"])
    for name, protocol in record["protocols"].items():
        found = evaluate(best(workplace / "run"), "--protocol", name)
        assert found["nll"] == pytest.approx(protocol["scores"]["valid"]["nll"], rel=1e-6)
        assert found["protocol"]["memory_length"] == protocol["settings"]["memory_length"]
    assert found["protocol"]["memory_length"] == 7
    other = evaluate(
        *(best(workplace / "run"), "--protocol", "training_lengths", "--memory-length", "31"),
        *("--clamp-length", "9", "--same-length"),
    )
    assert other["protocol"]["memory_length"] == 31
    assert other["protocol"]["clamp_length"] == 9 and other["protocol"]["same_length"]


def test_the_neural_cache(finished, evaluate):
    plain = evaluate(best(finished))
    found = evaluate(best(finished), "--neural-cache", "30,0.3,0.2")
    assert found["protocol"]["neural_cache_window"] == 30
    assert found["protocol"]["neural_cache_theta"] == 0.3
    assert found["protocol"]["neural_cache_lambda"] == 0.2
    assert found["protocol"]["burn_in"] == 70
    assert found["nll"] != plain["nll"]
    chosen = evaluate(best(finished), "--neural-cache-search", "30")
    assert chosen["nll"] <= found["nll"] + 0.1
    assert chosen["protocol"]["chosen"] == "the best of 120 thetas and lambdas on valid"
    options = [chosen["protocol"][f"neural_cache_{key}"] for key in ("window", "theta", "lambda")]
    again = evaluate(best(finished), "--neural-cache", ",".join(map(str, options)))
    assert again["nll"] == chosen["nll"]


def test_a_record_of_the_evaluation(finished, evaluate, tmp_path):
    path = tmp_path / "evaluations" / "cache.json"
    arguments = ["--split", "valid", "--split", "test", "--neural-cache", "20,0.3,0.1"]
    valid, test = evaluate(best(finished), *arguments, "--output", str(path))
    evaluation = evaluations.read(path)
    run = json.loads((finished / "record.json").read_text(encoding="utf-8"))
    assert evaluation.run == {key: run[key] for key in ("table", "row", "seed")}
    assert (evaluation.table, evaluation.row) == (run["table"], run["row"])
    assert evaluation.protocol == valid["protocol"] == test["protocol"]
    for result in (valid, test):
        score = evaluation.scores[result["split"]]
        assert score == {key: result[key] for key in score}
    assert evaluation.provenance["finished"] >= evaluation.provenance["started"]
    assert evaluation.provenance["data"] == run["provenance"]["data"]


def test_other_splits_get_what_the_search_chose(finished, evaluate, tmp_path):
    path = tmp_path / "cache.json"
    splits = ("--split", "valid", "--split", "test", "--output", str(path))
    row = ("--row", "1b/lstm_grave_cache")
    valid, test = evaluate(best(finished), "--neural-cache-search", "30", *splits, *row)
    (alone,) = [evaluate(best(finished), "--neural-cache-search", "30")]
    assert valid["nll"] == alone["nll"]
    options = [test["protocol"][f"neural_cache_{key}"] for key in ("window", "theta", "lambda")]
    given = evaluate(
        best(finished), "--split", "test", "--neural-cache", ",".join(map(str, options))
    )
    assert test["nll"] == given["nll"]
    evaluation = evaluations.read(path)
    assert (evaluation.table, evaluation.row) == ("1b", "lstm_grave_cache")
    assert evaluation.run["row"] == "awd_lstm_define"


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
    assert_refused(capsys, "burn_in = -1", checkpoint, "--burn-in", "-1")
    assert_refused(capsys, "--device", checkpoint, "--device", "abacus")
    assert_refused(capsys, "no prepared corpus", checkpoint, "--data", str(tmp_path / "ptb"))
    assert_refused(capsys, "--protocol long is unknown", checkpoint, "--protocol", "long")
    assert_refused(
        capsys, "memory_length = 640 is for Transformer-XL", checkpoint, "--protocol", "long_memory"
    )
    assert_refused(capsys, "window = 0", checkpoint, "--window", "0")
    assert_refused(capsys, "must be WINDOW,THETA,LAMBDA", checkpoint, "--neural-cache", "5,1")
    assert_refused(capsys, "lambda = 1.0", checkpoint, "--neural-cache", "5,1,1")
    search = ("--neural-cache-search", "5", "--split", "test")
    assert_refused(capsys, "chooses on valid alone", checkpoint, *search)
    assert_refused(capsys, "lstm_grave_cache", checkpoint, "--row", "1b/lstm")
    output = ("--output", str(tmp_path / "out.json"))
    assert_refused(capsys, "add --split valid", checkpoint, "--split", "test", *output)
    copy = tmp_path / "checkpoint.pt"
    copy.write_bytes(Path(checkpoint).read_bytes())
    assert_refused(capsys, "no record.json beside", str(copy), *output)
    assert not (tmp_path / "out.json").exists()
    with pytest.raises(SystemExit) as exit:
        main(["evaluate", checkpoint, "--split", "dev"])
    assert exit.value.code == 2
