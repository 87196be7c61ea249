"""Decoding: its settings, averaged checkpoints, text in and out, and what it refuses."""

from dataclasses import asdict, fields, replace

import pytest
import torch
from fairseq.data import LanguagePairDataset
from fairseq.data.indexed_dataset import MMapIndexedDataset

from define.errors import InputError
from define.evaluation import decodings
from define.evaluation.decodings import Decoding
from define.train import decoding
from define.train.decoding import (
    encode,
    last_checkpoints,
    load_model,
    mean_weights,
    search,
)
from define.train.decoding import translate as translate_dataset

HOW = Decoding(max_len_b=12)


@pytest.fixture
def task(pair_corpus, save_translator, tmp_path):
    save_translator(tmp_path / "task.pt")
    return decoding.task_for(decoding.read(tmp_path / "task.pt"), pair_corpus)


@pytest.fixture
def model(save_translator, task, tmp_path):
    save_translator(tmp_path / "model.pt", output_bias=True)
    return load_model(tmp_path / "model.pt", task, HOW)


# Settings.


def test_defaults_are_the_papers():
    assert Decoding().settings() == asdict(
        Decoding(beam=5, length_penalty=1, cache=True, average=0)
    )
    assert decodings.parse({}) == decodings.parse({"beam_5": None}) == {"beam_5": Decoding()}


def test_a_config_names_translations_in_their_order():
    found = decodings.parse({"b": {"beam": 4, "length_penalty": 0.6}, "a": {"average": 5}})
    assert list(found) == ["b", "a"]
    assert found == {"b": Decoding(beam=4, length_penalty=0.6), "a": Decoding(average=5)}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"beams": 5}, r"run.translations.own.beams is unknown; take some of beam, length_penalty"),
        (5, r"run.translations.own = 5 must be settings such as \{beam: 5\}"),
        ({"beam": 0}, r"run.translations.own: beam = 0 must be at least 1"),
        ({"beam": "five"}, r"run.translations.own: beam = 'five' must be a whole number"),
        ({"beam": True}, r"beam = True must be a whole number"),
        ({"length_penalty": "avg"}, r"length_penalty = 'avg' must be a number"),
        ({"max_len_a": -0.1}, r"max_len_a = -0.1 must be at least 0"),
        ({"max_len_b": 0}, r"max_len_b = 0 must be at least 1"),
        ({"max_tokens": 0}, r"max_tokens = 0 must be at least 1"),
        ({"cache": "no"}, r"cache = 'no' must be true or false"),
        ({"average": -1}, r"average = -1 must be at least 0"),
    ],
)
def test_bad_settings_are_named(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        decodings.parse({"own": settings})


# Checkpoints.


def test_the_last_checkpoints_are_those_of_the_most_updates_or_epochs(tmp_path):
    for name in ("9", "10", "8", "_best", "_last", "100.tmp"):
        (tmp_path / f"checkpoint{name}.pt").touch()
    assert last_checkpoints(tmp_path, 2) == [tmp_path / f"checkpoint{n}.pt" for n in (9, 10)]
    assert last_checkpoints(tmp_path, 3)[0] == tmp_path / "checkpoint8.pt"
    with pytest.raises(InputError, match="keeps 3 checkpoints, but 4 are to be averaged; train wi"):
        last_checkpoints(tmp_path, 4)
    for name in ("_2_1000", "_1_500", "_2_1500"):
        (tmp_path / f"checkpoint{name}.pt").touch()
    between = [tmp_path / f"checkpoint_2_{n}.pt" for n in (1000, 1500)]
    assert last_checkpoints(tmp_path, 2) == between
    with pytest.raises(InputError, match="keeps 3 checkpoints, but 4 are to be averaged"):
        last_checkpoints(tmp_path, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_mean_of_three_checkpoints_is_taken_in_float64(dtype, tmp_path):
    paths = [tmp_path / f"checkpoint{number}.pt" for number in (1, 2, 3)]
    torch.manual_seed(0)
    # So different in size that a sum in float32 would lose the small ones.
    values = [scale * torch.rand(3, 5) for scale in (3e4, 1e-3, 1e-3)]
    for path, value in zip(paths, values, strict=True):
        torch.save({"cfg": {}, "model": {"a": value.to(dtype), "b": -value.to(dtype)}}, path)
    found = mean_weights(paths)
    for name, sign in (("a", 1), ("b", -1)):
        exact = [
            sum(sign * float(value.to(dtype)[i, j]) for value in values) / 3
            for i in range(3)
            for j in range(5)
        ]
        expected = torch.tensor(exact, dtype=torch.float64).view(3, 5).float()
        assert found[name].dtype == torch.float32
        assert torch.equal(found[name], expected)


def test_an_average_is_loaded_in_the_place_of_the_checkpoint(save_translator, task, tmp_path):
    best = tmp_path / "checkpoint_best.pt"
    save_translator(best, seed=9)
    states = [
        save_translator(tmp_path / f"checkpoint{n}.pt", seed=n).state_dict() for n in (1, 2, 3)
    ]
    loaded = load_model(best, task, Decoding(average=2)).state_dict()
    for name, value in loaded.items():
        mean = (states[1][name].double() + states[2][name].double()) / 2
        assert torch.equal(value, mean.float()), name
    plain = load_model(best, task, Decoding()).state_dict()
    name = "decoder.output_projection.weight"
    assert not torch.equal(plain[name], loaded[name])


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("saved", [True, False])
def test_the_decoding_decides_about_the_fold(saved, cache, save_translator, task, tmp_path):
    save_translator(tmp_path / "model.pt", cache=saved)
    model = load_model(tmp_path / "model.pt", task, Decoding(cache=cache))
    assert [embedding.cached for embedding in model.embeddings] == [cache, cache]
    assert not model.training


def test_checkpoints_that_do_not_fit_are_refused(
    save_translator, pair_corpus, task, tmp_path, monkeypatch
):
    path = tmp_path / "model.pt"
    with pytest.raises(InputError, match="there is no checkpoint .*model.pt; train first, or name"):
        load_model(path, task, HOW)
    path.write_text("text")
    with pytest.raises(InputError, match="model.pt is not a readable checkpoint"):
        load_model(path, task, HOW)
    for name in ("define_lstm", "transformer", None):
        torch.save({"cfg": {"model": {"_name": name}}, "model": {}}, path)
        with pytest.raises(InputError, match=f"holds a {name}; name a checkpoint of define_transf"):
            load_model(path, task, HOW)
    save_translator(path)
    checkpoint = decoding.read(path)
    checkpoint["model"]["decoder.output_projection.weight"][3, 2] = torch.nan
    torch.save(checkpoint, path)
    with pytest.raises(InputError, match="model.pt holds weights that are not finite; name anot"):
        load_model(path, task, HOW)
    del checkpoint["cfg"]["model"]["share"]
    torch.save(checkpoint, path)
    with pytest.raises(InputError, match="the config of define_transformer has no model.share"):
        load_model(path, task, HOW)
    save_translator(path)
    with monkeypatch.context() as patch:
        patch.setattr(task, "tgt_dict", task.src_dict)  # 21 types for 20
        with pytest.raises(InputError, match="does not fit dictionaries of 21 and 21 types; name "):
            load_model(path, task, HOW)
    reversed_corpus = replace(pair_corpus, source="xb", target="xa")
    with pytest.raises(
        InputError, match="translates xa to xb, but grammar is a corpus of xb to xa"
    ):
        decoding.task_for(decoding.read(path), reversed_corpus)


# Text.


@pytest.mark.parametrize("split", ["valid", "test"])
def test_encoded_text_is_the_prepared_data_set(split, task, pair_corpus):
    lines = pair_corpus.source_text(f"grammar_{split}")
    encoded = encode(lines, task, pair_corpus.subwords("xa"))
    prepared = MMapIndexedDataset(str(pair_corpus.folder / f"{split}.xa-xb.xa"))
    assert len(encoded) == len(prepared) == len(lines)
    for ours, theirs in zip(encoded.src, prepared, strict=True):
        assert ours.tolist() == theirs.tolist()
    assert encoded.tgt is None


def test_unknown_pieces_become_unk(task, pair_corpus):
    dictionary = task.source_dictionary
    (known, unknown, empty) = encode(["ba", "ßa", ""], task, pair_corpus.subwords("xa")).src
    assert dictionary.unk() not in known.tolist() and dictionary.unk() in unknown.tolist()
    assert empty.tolist() == [dictionary.eos()]


def test_special_symbols_are_left_out_of_text(task, pair_corpus):
    dictionary, subwords = task.target_dictionary, pair_corpus.subwords()
    line = pair_corpus.reference("grammar_test")[0]
    ids = [dictionary.index(piece) for piece in subwords.encode(line)]
    tokens = [dictionary.bos(), *ids, dictionary.eos(), dictionary.pad()]
    assert decoding.text(torch.tensor(tokens), dictionary, subwords) == line


# Search.


def texts(model, task, pair_corpus, lines, how=HOW) -> list[str]:
    data = encode(lines, task, pair_corpus.subwords("xa"))
    return translate_dataset(model, task, data, pair_corpus.subwords(), how, quiet=True)


def test_translations_are_in_order_whatever_the_batches(model, task, pair_corpus):
    lines = pair_corpus.source_text("grammar_valid")
    alone = [texts(model, task, pair_corpus, [line])[0] for line in lines]
    assert len(set(alone)) > 3, "the translations must differ"
    for max_tokens in (1, 40, 4096):
        how = replace(HOW, max_tokens=max_tokens)
        assert texts(model, task, pair_corpus, lines, how) == alone


def test_targets_do_not_change_the_batches(model, task, pair_corpus, monkeypatch):
    seen, step = [], task.inference_step
    monkeypatch.setattr(
        task, "inference_step", lambda g, m, s: seen.append(s["id"].tolist()) or step(g, m, s)
    )
    lines = pair_corpus.source_text("grammar_valid")
    data = encode(lines, task, pair_corpus.subwords("xa"))
    targets = [torch.full((3 * i % 7 + 1,), 5) for i in range(len(data))]
    with_targets = LanguagePairDataset(
        *(data.src, data.src_sizes, task.src_dict),
        *(targets, [len(t) for t in targets], task.tgt_dict),
    )
    how = replace(HOW, max_tokens=50)
    one, other = (search(model, task, d, how, quiet=True) for d in (data, with_targets))
    assert [t.tolist() for t in one] == [t.tolist() for t in other]
    assert len(seen) > 4 and seen[: len(seen) // 2] == seen[len(seen) // 2 :]


def test_empty_sentences_stay_empty(model, task, pair_corpus):
    found = texts(model, task, pair_corpus, ["", "ba ki", " \t", "du", ""])
    assert [bool(line) for line in found] == [False, True, False, True, False]
    assert found[1::2] == texts(model, task, pair_corpus, ["ba ki", "du"])
    assert texts(model, task, pair_corpus, []) == []
    assert texts(model, task, pair_corpus, ["", ""]) == ["", ""]


def test_the_length_of_hypotheses_is_bounded(model, task, pair_corpus):
    data = encode(pair_corpus.source_text("grammar_test"), task, pair_corpus.subwords("xa"))
    for how, most in ((Decoding(max_len_b=3), 3), (Decoding(max_len_a=1.0, max_len_b=1), 15)):
        lengths = [len(tokens) - 1 for tokens in search(model, task, data, how, quiet=True)]
        assert max(lengths) <= most


def test_a_sentence_that_is_too_long_is_named(task, pair_corpus, save_translator, tmp_path):
    save_translator(tmp_path / "short.pt", max_source_positions=6)
    model = load_model(tmp_path / "short.pt", task, HOW)
    with pytest.raises(
        InputError, match="source sentence 2 has 9 tokens, but the model reads at most 6; split it"
    ):
        texts(model, task, pair_corpus, ["ba", "ba ki ba ki ba", "ki"])


def test_a_lost_sentence_is_an_error(model, task, pair_corpus, monkeypatch):
    batches = task.get_batch_iterator
    monkeypatch.setattr(
        task,
        "get_batch_iterator",
        lambda data, **options: batches(data, **options | {"num_shards": 2, "shard_id": 0}),
    )
    with pytest.raises(RuntimeError, match="1 sentences were not translated, sentence 3"):
        texts(model, task, pair_corpus, ["ba", "", "ki ba ki"], replace(HOW, max_tokens=4))


def test_every_setting_reaches_the_search(model, task, pair_corpus, monkeypatch):
    seen, build = [], task.build_generator
    monkeypatch.setattr(
        task, "build_generator", lambda m, args: seen.append(args) or build(m, args)
    )
    how = Decoding(beam=3, length_penalty=0.6, max_len_a=1.5, max_len_b=7)
    texts(model, task, pair_corpus, ["ba"], how)
    (args,) = seen
    assert (args.beam, args.lenpen, args.max_len_a, args.max_len_b) == (3, 0.6, 1.5, 7)
    assert {f.name for f in fields(Decoding)} == {
        *("beam", "length_penalty", "max_len_a", "max_len_b"),
        *("max_tokens", "cache", "average"),
    }
