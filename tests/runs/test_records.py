"""Records: what is written is read back, and what contradicts itself is refused."""

import json
import math

import pytest

from define.analysis import steps
from define.errors import InputError
from define.files import hold, write_json
from define.runs import records


def test_written_record_is_read_back(tmp_path, make_record, put):
    path = put(tmp_path, seed=3, curve=(300.0, 121.5), test_ppl=117.25)
    record = records.read(path)
    assert (record.table, record.row, record.scale, record.seed) == ("1c", "awd_lstm", "mini", 3)
    assert record.metrics == {"valid_ppl": 121.5, "test_ppl": 117.25}
    assert record.data == "ptb" and record.path == path and record.best_epoch == 2
    assert json.loads(path.read_text()) == make_record(
        seed=3, curve=(300.0, 121.5), test_ppl=117.25
    )


def test_a_new_record_is_valid_and_without_results(tmp_path, put):
    path = put(tmp_path, status="running", curve=())
    record = records.read(path)
    assert record.status == "running" and record.metrics == {} and record.epochs == []


def test_a_run_that_was_killed_is_interrupted(tmp_path, put):
    path = put(tmp_path, status="running", curve=())
    lock = path.with_name(records.LOCK_NAME)
    with hold(lock):
        assert records.read(path).status == "running"
    assert records.read(path).status == "interrupted"
    lock.unlink()
    assert records.read(path).status == "running"  # a copy, which nobody can know about


def test_the_final_metrics_of_an_unfinished_run_do_not_count(tmp_path, make_record):
    path = tmp_path / "record.json"
    records.write(path, {**make_record(), "status": "interrupted"})
    assert records.read(path).metrics == {}


def test_a_run_that_never_scored_the_test_set_has_no_test_metric(tmp_path, make_record):
    record = make_record(curve=(120.0,))
    del record["final"]["test"]
    records.write(tmp_path / "record.json", record)
    assert records.read(tmp_path / "record.json").metrics == {"valid_ppl": 120.0}


def _set(record, path, value):
    *parents, last = path
    for key in parents:
        record = record[key]
    record[last] = value


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("schema",), 2, "field 'schema' is 2, not 1"),
        (("status",), "done", "field 'status' is 'done', not one of running, finished"),
        (("seed",), True, "field 'seed' is True, not a whole number"),
        (("seed",), "1", "field 'seed' is '1'"),
        (("table",), "", "field 'table' is empty"),
        (("final",), None, "field 'final' is null though the run is finished"),
        (("final",), {}, "field 'final.valid' is missing"),
        (("provenance", "data", "tokens", "train"), 0, "data.tokens' has no training tokens"),
        (("final", "test", "scored_tokens"), 78_669, "final.test.scored_tokens' is 78669, but"),
        (("final", "test", "scored_tokens"), 0, "final.test.scored_tokens' is 0"),
        (("final", "test", "ppl"), 58.8, r"final.test.ppl' is 58.8, but exp\(nll\) is 116"),
        (("final", "valid", "nll"), math.nan, "final.valid.nll' is nan, not a finite number"),
        (("final", "valid", "nll"), 1000.0, "final.valid.nll' is 1000.0, too large"),
        (("epochs", 1, "valid", "ppl"), 1.0, r"field 'epochs\[1\].valid.ppl' is 1.0"),
        (("epochs", 1, "train", "ppl"), 1.0, r"field 'epochs\[1\].train.ppl' is 1.0"),
        (("epochs", 1, "valid", "scored_tokens"), 0, "number from nothing"),
        (("epochs", 1, "epoch"), 1, r"field 'epochs\[1\].epoch' is 1, after epoch 1"),
        (("epochs", 0, "averaged"), 1, "averaged' is 1, not of type bool"),
        (("epochs",), {}, "field 'epochs' must be a list"),
        (("best_epoch",), 9, "field 'best_epoch' is 9, no epoch"),
        (("parameters", "total"), 7, "field 'parameters.total' is 7, but the parts sum to 1640000"),
        (("parameters", "io"), -1, "field 'parameters.io' is -1"),
        (("speed", "tokens_per_second"), -1.0, "must not be negative"),
        (("provenance", "versions"), {"torch": 2}, "field 'provenance.versions.torch' is 2"),
        (("provenance", "data", "tokens", "test"), 1, "provenance.data.tokens.test is 1"),
    ],
)
def test_a_faulty_field_is_named(tmp_path, path, value, sentence, make_record):
    record = make_record()
    _set(record, path, value)
    file = tmp_path / "record.json"
    with pytest.raises(InputError, match=sentence):
        records.write(file, record)
    assert not file.exists()
    file.write_text(json.dumps(record))
    with pytest.raises(InputError, match=sentence) as refusal:
        records.read(file)
    assert str(file) in str(refusal.value)


PROTOCOLS = {
    "training_lengths": ({"target": 64, "memory": 64}, 120.0, 116.0),
    "long_memory": ({"target": 64, "memory": 640, "same_length": True}, 118.0, 114.5),
}


def test_protocols_are_read_and_the_first_is_the_headline(tmp_path, put):
    record = records.read(put(tmp_path, protocols=PROTOCOLS))
    assert record.headline == "training_lengths" and list(record.protocols) == list(PROTOCOLS)
    assert record.protocols["long_memory"]["settings"]["memory"] == 640
    assert record.protocols["long_memory"]["scores"]["test"]["ppl"] == 114.5
    assert record.metrics == {"valid_ppl": 120.0, "test_ppl": 116.0}
    plain = records.read(put(tmp_path, seed=2))
    assert plain.headline is None and plain.protocols == {}


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ((), {}, "field 'protocols' is empty; leave it out"),
        ((), None, "field 'protocols' must be an object"),
        (("training_lengths", "settings"), None, "training_lengths.settings' is None, not of type"),
        (("training_lengths", "settings", "clamp"), [1], r"settings.clamp' is \[1\], not a plain"),
        (("long_memory", "scores"), {}, "protocols.long_memory.scores.valid' is missing"),
        (("long_memory", "scores", "test", "ppl"), 99.0, "long_memory.scores.test.ppl' is 99.0"),
        (("long_memory", "scores", "test", "scored_tokens"), 7, "is 7, but provenance.data.tokens"),
        (("training_lengths", "scores", "test"), None, "scores.test' must be an object"),
        (("",), {"settings": {}, "scores": {}}, "'protocols' has a protocol without a name"),
    ],
)
def test_a_faulty_protocol_is_refused(tmp_path, path, value, sentence, make_record):
    record = make_record(protocols=PROTOCOLS)
    _set(record, ("protocols", *path), value)
    with pytest.raises(InputError, match=sentence):
        records.write(tmp_path / "record.json", record)


def test_the_final_scores_are_those_of_the_first_protocol_and_of_no_other(tmp_path, make_record):
    record = make_record(protocols=dict(reversed(PROTOCOLS.items())))
    with pytest.raises(InputError, match="'final' differs from .* first protocol, 'long_memory'"):
        records.write(tmp_path / "record.json", record)
    record = make_record(protocols=PROTOCOLS)
    del record["protocols"]["training_lengths"]["scores"]["test"]
    with pytest.raises(InputError, match="'final' differs"):
        records.write(tmp_path / "record.json", record)
    record = {**make_record(protocols=PROTOCOLS), "status": "interrupted", "final": None}
    with pytest.raises(InputError, match="'final' differs"):
        records.write(tmp_path / "record.json", record)


TRANSLATIONS = {
    "beam_5": ({"beam": 5, "cache": True}, {"newstest2014": 25.5, "newstest2017": 26.25}),
    "beam_4": ({"beam": 4, "cache": True}, {"newstest2014": 25.25, "newstest2017": 27.0}),
}


def test_translations_are_read_and_the_first_is_the_bleu_of_the_run(tmp_path, put):
    record = records.read(put(tmp_path, table="3", curve=(9.0,), translations=TRANSLATIONS))
    assert record.translation == "beam_5" and list(record.translations) == list(TRANSLATIONS)
    assert record.translation_scores["newstest2014"]["sentences"] == 2_737
    assert record.metrics == {
        "valid_ppl": pytest.approx(9.0),
        "test_ppl": pytest.approx(116.0),
        "newstest2014_bleu": 25.5,
        "newstest2017_bleu": 26.25,
    }
    plain = records.read(put(tmp_path, seed=2))
    assert (plain.translation, plain.translations, plain.translation_scores) == (None, {}, {})
    cut_short = put(tmp_path, seed=3, status="interrupted", translations=TRANSLATIONS)
    assert records.read(cut_short).metrics == {}


SCORES = ("beam_5", "scores", "newstest2017")


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ((), {}, "field 'translations' is empty; leave it out"),
        ((), [], "field 'translations' must be an object"),
        (("",), {"settings": {}, "scores": {}}, "field 'translations' has '', no file name"),
        (("../a",), {"settings": {}, "scores": {}}, "field 'translations' has '../a', no file"),
        (("beam_5", "settings"), 5, "translations.beam_5.settings' is 5, not of type dict"),
        (("beam_4", "settings", "beam"), [4], r"beam_4.settings.beam' is \[4\], not a plain value"),
        (("beam_5", "scores"), {}, "translations.beam_5.scores' is empty"),
        (SCORES, {}, "scores.newstest2017.sentences' is missing"),
        ((*SCORES, "sentences"), 3_003, "beam_4.scores' has .*3004.*, 'beam_5', .*3003"),
        ((*SCORES, "sentences"), 0.5, "newstest2017.sentences' is 0.5, not a whole number"),
        ((*SCORES, "seconds"), -1.0, "newstest2017.seconds' is -1.0, which must not be negative"),
        ((*SCORES, "hypotheses_sha256"), "00", "hypotheses_sha256' is '00', not 64 hexadecimal"),
        ((*SCORES, "hypotheses_sha256"), "G" * 64, "sha256' is 'GG*', not 64 hexadecimal"),
        ((*SCORES, "bleu", "score"), 100.01, "newstest2017.bleu.score' is 100.01, above 100"),
        ((*SCORES, "bleu", "score"), -0.01, "newstest2017.bleu.score' is -0.01, which must not"),
        ((*SCORES, "bleu", "mean"), math.nan, "bleu.mean' is nan, not a finite number"),
        ((*SCORES, "chrf", "half_width"), math.inf, "chrf.half_width' is inf, not a finite"),
        ((*SCORES, "chrf", "signature"), "", "newstest2017.chrf.signature' is empty"),
        ((*SCORES, "bleu_compound_split"), None, "bleu_compound_split' must be an object"),
    ],
)
def test_a_faulty_translation_is_refused(tmp_path, path, value, sentence, make_record):
    record = make_record(translations=TRANSLATIONS)
    _set(record, ("translations", *path), value)
    with pytest.raises(InputError, match=sentence):
        records.write(tmp_path / "record.json", record)


def test_translations_have_the_same_sets(tmp_path, make_record):
    for name in TRANSLATIONS:
        record = make_record(translations=TRANSLATIONS)
        del record["translations"][name]["scores"]["newstest2014"]
        with pytest.raises(InputError, match="beam_4.scores' has the sentences .*, 'beam_5', "):
            records.write(tmp_path / "record.json", record)


def test_a_set_without_sentences_is_no_score(tmp_path, make_record):
    record = make_record(translations=TRANSLATIONS)
    for translation in record["translations"].values():
        translation["scores"]["newstest2014"]["sentences"] = 0
    with pytest.raises(InputError, match="newstest2014.sentences' is 0: a number from nothing"):
        records.write(tmp_path / "record.json", record)


def test_sacrebleus_perfect_score_is_no_error(tmp_path, make_record):
    record = make_record(translations=TRANSLATIONS)
    record["translations"]["beam_5"]["scores"]["newstest2014"]["bleu"]["score"] = 100.00000000000004
    records.write(tmp_path / "record.json", record)


def test_two_translations_of_one_run_in_one_folder_are_refused(tmp_path, put):
    put(tmp_path / "a", translations=TRANSLATIONS)
    put(tmp_path / "b", translations=TRANSLATIONS)
    assert len(records.find([tmp_path])) == 1
    other = {"beam_5": ({"beam": 5, "cache": True}, {"newstest2014": 25.5, "newstest2017": 26.0})}
    put(tmp_path / "c", translations=other)
    with pytest.raises(InputError, match="seed 1, with different results"):
        records.find([tmp_path])


def test_the_counts_of_a_pair_corpus_go_together(tmp_path, make_record):
    record = make_record(translations=TRANSLATIONS)
    data = record["provenance"]["data"]
    data["pairs"]["train"] = "many"
    with pytest.raises(InputError, match="provenance.data.pairs.train' is 'many'"):
        records.write(tmp_path / "record.json", record)
    data["pairs"] = {"train": 29_000}
    del data["source_types"]
    with pytest.raises(InputError, match="provenance.data.source_types' is missing"):
        records.write(tmp_path / "record.json", record)
    del data["pairs"]
    data["sets"] = [{"set": "val"}]
    records.write(tmp_path / "record.json", record)


def test_final_tokens_of_an_unknown_split_are_refused(tmp_path, make_record):
    record = make_record()
    del record["provenance"]["data"]["tokens"]["test"]
    with pytest.raises(InputError, match="provenance.data.tokens.test is None"):
        records.write(tmp_path / "record.json", record)


def test_every_required_field_is_required(tmp_path, make_record):
    for field in make_record():
        record = make_record()
        del record[field]
        with pytest.raises(InputError, match=f"field '{field}' is missing"):
            records.write(tmp_path / "record.json", record)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("{", "is not valid JSON"), ("[]", "field 'record' must be an object")],
)
def test_a_file_that_is_no_record_is_named(tmp_path, text, sentence):
    file = tmp_path / "record.json"
    file.write_text(text)
    with pytest.raises(InputError, match=sentence) as refusal:
        records.find([tmp_path])
    assert str(file) in str(refusal.value)


def test_perplexity_may_differ_by_rounding_only(tmp_path, make_record):
    record = make_record()
    record["final"]["test"]["ppl"] *= 1 + 5e-7
    records.write(tmp_path / "record.json", record)
    record["final"]["test"]["ppl"] *= 1 + 5e-6
    with pytest.raises(InputError, match="final.test.ppl"):
        records.write(tmp_path / "record.json", record)


def test_find_searches_below_its_folders_in_order(tmp_path, put):
    put(tmp_path / "deep" / "er", row="transformer_xl", seed=2)
    put(tmp_path / "deep", seed=2)
    put(tmp_path / "deep", seed=1)
    put(tmp_path / "other", table="1a", row="lstm_r1", data="wikitext-103")
    found = records.find([tmp_path])
    assert [(r.table, r.row, r.seed) for r in found] == [
        ("1a", "lstm_r1", 1),
        ("1c", "awd_lstm", 1),
        ("1c", "awd_lstm", 2),
        ("1c", "transformer_xl", 2),
    ]


def test_find_passes_over_search_trials(tmp_path, put):
    put(tmp_path / "search" / "trial_1", test_ppl=99.0)
    put(tmp_path / "runs", test_ppl=111.0)
    assert [record.metrics["test_ppl"] for record in records.find([tmp_path])] == [111.0]


def test_duplicates_prefer_finished_then_the_first_folder(tmp_path, put):
    first, second = tmp_path / "a", tmp_path / "b"
    put(first, seed=1, test_ppl=101.0)
    put(second, seed=1, test_ppl=201.0)
    put(first, seed=2, status="interrupted")
    put(second, seed=2, test_ppl=202.0)
    put(first, seed=3, status="interrupted")
    put(second, seed=3, status="running")
    found = {record.seed: record for record in records.find([first, second])}
    assert found[1].metrics["test_ppl"] == 101.0
    assert found[2].metrics["test_ppl"] == 202.0
    assert found[3].status == "interrupted"
    found = {record.seed: record for record in records.find([second, first])}
    assert found[1].metrics["test_ppl"] == 201.0


def test_superseded_results_count_only_where_their_folder_is_named(tmp_path, put, make_step):
    put(tmp_path / "table_1c", test_ppl=99.0)
    put(tmp_path / "one_rate" / "table_1c", test_ppl=111.0)  # another result of the same run
    put(tmp_path / "one_rate" / "table_1c" / "search" / "trial_1", row="awd_lstm_define")
    write_json(tmp_path / "one_rate" / "table_1a" / "steps" / "lstm_r2.json", make_step())
    assert [record.metrics["test_ppl"] for record in records.find([tmp_path])] == [99.0]
    assert steps.find([tmp_path]) == {} and records.find_trials([tmp_path]) == []
    for named in (tmp_path / "one_rate", tmp_path / "one_rate" / "table_1c"):
        assert [record.metrics["test_ppl"] for record in records.find([named])] == [111.0]
    assert list(steps.find([tmp_path / "one_rate"])) == ["1a"]


def test_runs_on_two_corpora_are_no_duplicates(tmp_path, put):
    put(tmp_path / "a", data="ptb")
    put(tmp_path / "b", data="python_docs")
    assert [record.data for record in records.find([tmp_path])] == ["ptb", "python_docs"]


def test_two_different_results_of_one_run_in_one_folder_are_refused(tmp_path, put):
    put(tmp_path / "a", test_ppl=101.0)
    put(tmp_path / "b", test_ppl=101.0)
    assert len(records.find([tmp_path])) == 1
    put(tmp_path / "c", test_ppl=102.0)
    with pytest.raises(
        InputError, match="row awd_lstm, scale mini, seed 1, with different results"
    ):
        records.find([tmp_path])


def test_default_folders_may_be_missing_but_a_given_one_may_not(tmp_path, monkeypatch, put):
    monkeypatch.chdir(tmp_path)
    assert records.find() == []
    put(tmp_path / "experiments" / "table_1c")
    assert len(records.find()) == 1
    with pytest.raises(InputError, match="'nowhere' is not a folder"):
        records.find(["nowhere"])


@pytest.mark.parametrize(
    "command, published",
    [
        ("define train scale=mini seed=3", "define train scale=mini seed=3"),
        (
            "define train run.dir=/a/b/lr_1 'task.x=[1, 2]'",
            "define train run.dir=lr_1 'task.x=[1, 2]'",
        ),
        (
            "define evaluate /a/b/best.pt --output c/d.json",
            "define evaluate best.pt --output c/d.json",
        ),
        ("define train '+x={a: 1}' run.dir='/a b/c d'", "define train '+x={a: 1}' 'run.dir=c d'"),
        ("define train \"run.dir='/a b/c=d'\"", "define train run.dir=c=d"),
    ],
)
def test_commands_name_no_folder_of_a_machine(command, published):
    assert records.without_places(command) == published
