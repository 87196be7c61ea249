"""The JSON files of results: published ones load, faulty ones are refused in one sentence."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from define.errors import InputError
from define.runs import benchmarks, evaluations, journal, records, significance, steps
from define.runs.schema import sentence

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
READERS: dict[str, Callable] = {
    "run": records.read,
    "step": steps.read,
    "batch_step": steps.read,
    "evaluation": evaluations.read,
    "significance": significance.read,
    "bench": benchmarks.read,
}
PROTOCOLS = {
    "training_lengths": ({"target": 64, "memory": 64}, 120.0, 116.0),
    "long_memory": ({"target": 64, "memory": 640, "same_length": True}, 118.0, 114.5),
}
TRANSLATIONS = {
    "beam_5": ({"beam": 5, "cache": True}, {"newstest2014": 25.5, "newstest2017": 26.25}),
    "beam_4": ({"beam": 4, "cache": True}, {"newstest2014": 25.25, "newstest2017": 27.0}),
}


@pytest.fixture
def made(make_record, make_step, make_batch_step, make_evaluation, make_significance, bench_record):
    """Kind -> a valid file of it."""
    return {
        "run": make_record(protocols=PROTOCOLS, translations=TRANSLATIONS),
        "step": make_step(),
        "batch_step": make_batch_step(),
        "evaluation": make_evaluation(),
        "significance": make_significance(),
        "bench": bench_record,
    }


def put_in(value, path: tuple, new) -> None:
    *parents, last = path
    for key in parents:
        value = value[key]
    value[last] = new


def test_every_published_file_loads():
    of_folder = {module.FOLDER: module for module in (steps, evaluations, significance)}
    counts = dict.fromkeys(["record", "bench", "journal", *of_folder], 0)
    for path in EXPERIMENTS.rglob("*.json"):
        plain = json.loads(path.read_text(encoding="utf-8"))
        known = of_folder.keys() & set(path.parts)
        if path.name == records.FILE_NAME:
            record = records.read(path)
            assert all(
                getattr(record, key) == plain[key]
                for key in plain
                if key not in ("status", "digest")
            )
            counts["record"] += 1
        elif known:
            (folder,) = known
            found = vars(of_folder[folder].read(path))
            assert all(found[key] == plain[key] for key in found.keys() & plain.keys())
            counts[folder] += 1
        elif "groups" in plain:
            assert benchmarks.read(path) == plain
            counts["bench"] += 1
    for path in EXPERIMENTS.rglob(journal.FILE_NAME):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert journal.read(path) == [json.loads(line) for line in lines]
        counts["journal"] += 1
    assert all(counts.values()), counts


NEWS = ("translations", "beam_5", "scores", "newstest2017")
TOKENS = "but provenance.data.tokens.test is 82430"
FAULTS = [
    ("run", ("schema",), 2, "field 'schema' is 2; it should be 1"),
    ("run", ("status",), "done", "field 'status' is 'done'; it should be 'running', 'finished'"),
    ("run", ("seed",), True, "field 'seed' is True; it should be a valid integer"),
    ("run", ("seed",), "1", "field 'seed' is '1'"),
    ("run", ("table",), "", "field 'table' is ''"),
    ("run", ("config",), None, "field 'config' is None; it should be an object"),
    ("run", ("final",), None, "has status finished, but no final scores"),
    ("run", ("final",), {}, "has no final.valid"),
    ("run", ("final",), {"test": None}, "field 'final.test' is None; it should be an object"),
    ("run", ("final", "test", "scored_tokens"), 78_669, f"scored_tokens 78669, {TOKENS}"),
    ("run", ("final", "test", "scored_tokens"), 0, "field 'final.test.scored_tokens' is 0"),
    ("run", ("final", "test", "ppl"), 58.8, "field 'final.test' has nll 4.7.* and ppl 58.8"),
    ("run", ("final", "valid", "nll"), math.nan, "field 'final.valid.nll' is nan"),
    ("run", ("final", "valid", "nll"), 1000.0, "field 'final.valid' has nll 1000.0"),
    ("run", ("final", "valid", "nll"), math.inf, "field 'final.valid.nll' is inf"),
    ("run", ("epochs", 1, "train", "ppl"), 1.0, r"field 'epochs\[1\].train' has nll"),
    ("run", ("epochs", 1, "valid", "scored_tokens"), 0, r"epochs\[1\].valid.scored_tokens' is 0"),
    ("run", ("epochs", 1, "epoch"), 1, r"has the epochs \[1, 1, 3\], which do not rise"),
    ("run", ("epochs", 0, "averaged"), 1, "averaged' is 1; it should be a valid boolean"),
    ("run", ("epochs",), {}, "field 'epochs' is {}; it should be a valid array"),
    ("run", ("best_epoch",), 9, "has best_epoch 9, which is none of its epochs"),
    ("run", ("parameters", "total"), 7, "'parameters' has total 7, but the parts sum to 1640000"),
    ("run", ("parameters", "io"), -1, "field 'parameters.io' is -1"),
    ("run", ("speed", "seconds"), -1.0, "field 'speed.seconds' is -1.0"),
    ("run", ("provenance", "versions"), {"torch": 2}, "field 'provenance.versions.torch' is 2"),
    ("run", ("provenance", "data", "tokens"), {}, "'provenance.data.tokens' has no training"),
    ("run", ("provenance", "data", "pairs"), 7, "field 'provenance.data.pairs' is 7"),
    ("run", ("protocols",), None, "field 'protocols' is None"),
    ("run", ("protocols", "long_memory", "settings", "x"), [1], r"settings' has x = \[1\], not a"),
    (
        "run",
        ("protocols", "long_memory", "scores"),
        {},
        "has no protocols.long_memory.scores.valid",
    ),
    ("run", ("protocols", "long_memory", "scores", "test", "scored_tokens"), 7, f"7, {TOKENS}"),
    ("run", ("final", "test"), None, "field 'final.test' is None"),
    ("run", ("protocols", ""), {"settings": {}, "scores": {}}, "field 'protocols...key.' is ''"),
    ("run", ("translations", "../a"), "as beam_5", "has '../a' in translations, which is no file"),
    (
        "run",
        ("translations", "beam_5", "scores"),
        {},
        "has the sentences .* in translations.beam_5",
    ),
    ("run", NEWS, {}, "scores.newstest2017.sentences' is missing"),
    ("run", (*NEWS, "sentences"), 3_003, "sentences .*3004.* in translations.beam_4, but .*3003"),
    ("run", (*NEWS, "sentences"), 0, "newstest2017.sentences' is 0"),
    ("run", (*NEWS, "hypotheses_sha256"), "G" * 64, "sha256' has 'GG*', not 64 hexadecimal"),
    ("run", (*NEWS, "bleu", "score"), 100.01, "newstest2017.bleu.score' is 100.01"),
    ("run", (*NEWS, "chrf", "signature"), "", "newstest2017.chrf.signature' is ''"),
    ("step", ("streams",), 0, "field 'streams' is 0"),
    ("step", ("streams",), 61, "has tokens_per_update 2800, but its batches have 8540"),
    ("step", ("paper_streams",), 19, "has tokens_per_update 2800, more than the paper's 2660"),
    ("step", ("updates",), 2, "has 3 ms_per_update of 2 updates"),
    ("step", ("ms_per_update",), [1.0, 0.0, 1.0], r"field 'ms_per_update\[1\]' is 0.0"),
    ("step", ("loss",), [9.0, 8.0, 7.0], r"has 3 losses of 3 \+ 1 updates"),
    ("step", ("peak_memory_mib",), 0.0, "field 'peak_memory_mib' is 0.0"),
    ("batch_step", ("max_tokens",), 2_049, "tokens_per_update 4096, but its batches have 4098"),
    ("batch_step", ("paper_tokens_per_update",), 4_095, "4096, more than the paper's 4095"),
    ("evaluation", ("kind",), "run", "field 'kind' is 'run'; it should be 'evaluation'"),
    ("evaluation", ("seed",), 2, "has seed 2, but run.seed 1"),
    ("evaluation", ("protocol",), {}, "has an empty protocol"),
    ("evaluation", ("scores", "test", "scored_tokens"), 5, f"scored_tokens 5, {TOKENS}"),
    ("evaluation", ("run", "row"), 7, "field 'run.row' is 7"),
    ("significance", ("sentences",), 0, "field 'sentences' is 0"),
    ("significance", ("baseline",), "other", "has the systems .*; it takes 'other' and another"),
    ("significance", ("systems", "define", "bleu", "p_value"), None, "bleu.p_value None; the base"),
    ("significance", ("systems", "define", "bleu", "p_value"), 1.5, "define.bleu.p_value' is 1.5"),
    ("significance", ("systems", "plain", "chrf", "p_value"), 0.5, "chrf.p_value 0.5; the base"),
    ("significance", ("signatures", "chrf"), "", "field 'signatures.chrf' is ''"),
    ("significance", ("hypotheses_sha256", "more"), "0" * 64, "hypotheses_sha256 of .*'more'"),
    ("bench", ("clock",), "", "field 'clock' is ''"),
    ("bench", ("load_average",), {"start": []}, "field 'load_average.end' is missing"),
    ("bench", ("groups", 0, "values", "base"), [1.0], r"'groups\[0\].values' has not as many"),
    ("bench", ("groups", 0, "values"), {"a": [0.0]}, r"'groups\[0\].values.a\[0\]' is 0.0"),
]


@pytest.mark.parametrize(("kind", "path", "value", "gist"), FAULTS)
def test_a_fault_is_named_with_its_file_and_field(kind, path, value, gist, made, tmp_path):
    value = made["run"]["translations"]["beam_5"] if value == "as beam_5" else value
    put_in(made[kind], path, value)
    file = tmp_path / "faulty.json"
    file.write_text(json.dumps(made[kind]))
    with pytest.raises(InputError, match=gist) as refusal:
        READERS[kind](file)
    text = str(refusal.value)
    assert text.startswith(f"{file}: ") and " again" in text and "\n" not in text
    if kind == "run":
        with pytest.raises(InputError, match=gist):
            records.write(tmp_path / "new.json", made[kind])
        assert not (tmp_path / "new.json").exists()


@pytest.mark.parametrize("kind", READERS)
def test_every_field_is_required(kind, made, tmp_path):
    optional = {"protocols", "translations"} | ({"config"} if "step" in kind else set())
    optional |= {"streams", "bptt", "paper_streams"}  # checked by what they multiply to
    optional |= {"max_tokens", "update_freq", "paper_tokens_per_update"}
    for field in made[kind].keys() - optional:
        left = {key: value for key, value in made[kind].items() if key != field}
        (tmp_path / "a.json").write_text(json.dumps(left))
        with pytest.raises(InputError, match=f"field '{field}' is missing"):
            READERS[kind](tmp_path / "a.json")


@pytest.mark.parametrize(
    ("text", "gist"),
    [("{", "it is not valid JSON"), ("[]", r"it is \[\]; it should be an object")],
)
def test_a_file_of_another_kind_is_named(text, gist, tmp_path):
    file = tmp_path / "record.json"
    with pytest.raises(InputError, match="cannot be read .*; give a run record"):
        records.read(file)
    file.write_text(text)
    with pytest.raises(InputError, match=gist) as refusal:
        records.find([tmp_path])
    assert str(file) in str(refusal.value)


def test_perplexity_may_differ_by_rounding_only(tmp_path, make_record):
    record = make_record()
    record["final"]["test"]["ppl"] *= 1 + 5e-7
    records.write(tmp_path / "record.json", record)
    record["final"]["test"]["ppl"] *= 1 + 5e-6
    with pytest.raises(InputError, match="final.test"):
        records.write(tmp_path / "record.json", record)


def test_a_step_knows_the_paper_s_batch(made, tmp_path):
    file = tmp_path / "step.json"
    for kind, tokens in (("step", (20 * 140, 60 * 140)), ("batch_step", (4_096, 32_768))):
        file.write_text(json.dumps(made[kind]))
        step = steps.read(file)
        assert (step.tokens_per_update, step.paper_tokens_per_update) == tokens
        assert step.median_ms == 1000.0 and step.path == file


def test_settings_in_words():
    settings = {"same_length": True, "folded": False, "memory": 640, "clamp": None}
    assert sentence(settings) == "same length, no folded, memory 640, clamp none"
