"""`define translate`: text in, text out, its options, and what it refuses."""

import io
import json
import re
import shutil
from dataclasses import fields

import pytest
import torch

from define.cli.main import build_parser, main
from define.data.parallel.pairs import PairCorpus
from define.evaluation.decodings import Decoding
from define.train import decoding

SHORT = ["--max-len-b", "9"]


@pytest.fixture
def checkpoint(save_translator, workplace) -> str:
    """The name of the checkpoint of an untrained model, in the current folder."""
    for number in (1, 2):
        save_translator(workplace / f"checkpoint{number}.pt", seed=number)
    save_translator(workplace / "checkpoint_best.pt", seed=3)
    return "checkpoint_best.pt"


@pytest.fixture
def expected(checkpoint, pair_corpus):
    """(lines, settings) -> their translations, by the library."""

    def translate(lines: list[str], **settings) -> str:
        how = Decoding(**{"max_len_b": 9, **settings})
        task = decoding.task_for(decoding.read(checkpoint), pair_corpus)
        model = decoding.load_model(checkpoint, task, how)
        data = decoding.encode(lines, task, pair_corpus.subwords("xa"))
        found = decoding.translate(model, task, data, pair_corpus.subwords(), how, quiet=True)
        return "".join(f"{line}\n" for line in found)

    return translate


@pytest.fixture
def stdin(monkeypatch):
    """(bytes) -> what the command will read from standard input."""
    return lambda content: monkeypatch.setattr(
        "sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")
    )


def test_standard_input_to_standard_output(checkpoint, expected, stdin, capsys):
    lines = ["ba ki", "", "du ge ßo", "\u2028", "ko"]
    stdin("\n".join(lines).encode())
    assert main(["translate", checkpoint, *SHORT]) == 0
    out, err = capsys.readouterr()
    assert out == expected(lines)
    assert [bool(line) for line in out.split("\n")] == [True, False, True, False, True, False]
    pattern = (
        r"3 sentences in [\d.]+ s: [\d.,]+ sentences/s, [\d,]+ tokens/s, input layers folded into "
        r"tables; 2 empty lines\n"
    )
    assert re.fullmatch(pattern, err.rpartition("\r")[2].lstrip())


def test_only_a_line_feed_ends_a_sentence(checkpoint, expected, stdin, capsys):
    content = "ba\x0cki\x85du\r\nko\u2029ge\n"
    stdin(content.encode())
    assert main(["translate", checkpoint, *SHORT, "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert out == expected(["ba\x0cki\x85du\r", "ko\u2029ge"]) and out.count("\n") == 2
    assert err == ""


def test_nothing_gives_nothing(checkpoint, stdin, capsys):
    stdin(b"")
    assert main(["translate", checkpoint]) == 0
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("0 sentences in ")


@pytest.mark.parametrize("name", ["grammar_valid", "grammar_test"])
def test_an_evaluation_set_to_a_file(name, checkpoint, expected, pair_corpus, workplace, capsys):
    arguments = ["--set", name, "--output", "out/hypotheses.txt", *SHORT, "--quiet"]
    assert main(["translate", checkpoint, *arguments]) == 0
    assert capsys.readouterr().out == ""
    text = (workplace / "out" / "hypotheses.txt").read_text("utf-8")
    assert text == expected(pair_corpus.source_text(name))
    source = pair_corpus.folder / "references" / f"{name}.xa"
    assert main(["translate", checkpoint, "--input", str(source), *SHORT, "--quiet"]) == 0
    assert capsys.readouterr().out == text


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ("--beam 1", {"beam": 1}),
        ("--length-penalty 0.2", {"length_penalty": 0.2}),
        ("--max-len-a 0.3 --max-len-b 1", {"max_len_a": 0.3, "max_len_b": 1}),
        ("--max-tokens 20", {"max_tokens": 20}),
        ("--no-cache", {"cache": False}),
        ("--average 2", {"average": 2}),
    ],
)
def test_options_are_the_settings_of_a_decoding(
    options, settings, checkpoint, expected, pair_corpus, capsys, monkeypatch
):
    used, search = [], decoding.search

    def spied(model, task, dataset, how, quiet):
        used.append(how)
        assert all(embedding.cached == how.cache for embedding in model.embeddings)
        return search(model, task, dataset, how, quiet)

    monkeypatch.setattr(decoding, "search", spied)
    assert main(["translate", checkpoint, "--set", "grammar_test", *SHORT, *options.split()]) == 0
    out, err = capsys.readouterr()
    assert used == [Decoding(**{"max_len_b": 9, **settings})]
    assert out == expected(pair_corpus.source_text("grammar_test"), **settings)
    how = "computed for every token" if "--no-cache" in options else "folded into tables"
    assert f"input layers {how}; 0 empty lines" in err


def test_every_setting_has_an_option_and_its_default(checkpoint):
    args = build_parser().parse_args(["translate", checkpoint])
    assert {field.name for field in fields(Decoding)} <= set(vars(args))
    help_text = build_parser()._subparsers._group_actions[0].choices["translate"].format_help()
    help_text = help_text.partition("\nsearch:")[2]
    for name, shown in (
        *(("beam", "5"), ("length-penalty", "1"), ("max-len-a", "0")),
        *(("max-len-b", "200"), ("max-tokens", "4096")),
    ):
        option = re.search(rf"--{name} .*?\(default: ([\d.]+)\)", help_text, re.DOTALL)
        assert option[1] == shown
        assert float(shown) == getattr(Decoding(), name.replace("-", "_"))


def test_another_copy_of_the_corpus(checkpoint, pair_corpus, workplace, capsys):
    saved = torch.load(checkpoint, weights_only=True)
    saved["cfg"]["task"]["data"] = "/nowhere/grammar"
    torch.save(saved, checkpoint)
    own = ["--data", str(pair_corpus.folder), "--set", "grammar_test", *SHORT]
    assert main(["translate", checkpoint, "--set", "grammar_test"]) == 2
    assert "There is no prepared corpus in /nowhere/grammar" in capsys.readouterr().err
    assert main(["translate", checkpoint, *own]) == 0
    assert capsys.readouterr().out.count("\n") == 17


def test_threads(checkpoint, capsys):
    threads = torch.get_num_threads()
    try:
        arguments = ["--set", "grammar_test", "--threads", "1", "--quiet", *SHORT]
        assert main(["translate", checkpoint, *arguments]) == 0
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)


BEST = "checkpoint_best.pt"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.pt"], "there is no checkpoint none.pt; train first, or name another"),
        (["text.txt"], "text.txt is not a readable checkpoint"),
        (["lstm.pt"], "lstm.pt holds a define_lstm; name a checkpoint of define_transformer"),
        ([BEST, "--set", "newstest2014"], "named 'newstest2014'; choose one of"),
        ([BEST, "--data", "nowhere"], "There is no prepared corpus in nowhere"),
        ([BEST, "--data", "wide"], "does not fit dictionaries of 21 and 22 types; name the corpus"),
        ([BEST, "--data", "turned"], "translates xa to xb, but grammar is a corpus of xb to xa"),
        ([BEST, "--input", "none.txt"], "none.txt: No such file or directory"),
        ([BEST, "--input", "latin.txt"], "latin.txt is not UTF-8 text"),
        ([BEST, "--input", "long.txt"], "source sentence 2 has 1202 tokens, but the model reads"),
        ([BEST, "--beam", "0"], "beam = 0 must be at least 1"),
        ([BEST, "--average", "3"], "keeps 2 checkpoints, but 3 are to be averaged"),
        ([BEST, "--threads", "0"], "--threads 0 must be at least 1"),
        ([BEST, "--device", "cuda"], "--device cuda needs an NVIDIA GPU, and torch sees none"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    arguments, sentence, checkpoint, pair_corpus, workplace, stdin, capsys, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (workplace / "text.txt").write_text("text")
    (workplace / "latin.txt").write_bytes("größer\n".encode("latin-1"))
    (workplace / "long.txt").write_text("ba\n" + "g " * 1201 + "\n")
    torch.save({"cfg": {"model": {"_name": "define_lstm"}}, "model": {}}, "lstm.pt")
    if "--data" in arguments:
        write_copies(pair_corpus, workplace)
    stdin(b"ba\n")
    assert main(["translate", *arguments, "--output", "out.txt"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("define: ") and err.count("\n") == 1
    assert sentence in err
    assert not (workplace / "out.txt").exists()


def write_copies(corpus: PairCorpus, folder) -> None:
    """Beside the corpus: one with two more types, and one of the other direction."""

    for name in ("wide", "turned"):
        shutil.copytree(corpus.folder, folder / name)
        path = folder / name / "meta.json"
        meta = json.loads(path.read_text("utf-8"))
        meta["sha256"] = {}
        if name == "turned":
            meta["source"], meta["target"] = "xb", "xa"
        path.write_text(json.dumps(meta), "utf-8")
    with open(folder / "wide" / "dict.xb.txt", "a", encoding="utf-8") as stream:
        stream.write("more 1\nand_more 1\n")


@pytest.mark.parametrize(
    "arguments", [[], [BEST, "--input", "a", "--set", "b"], [BEST, "--device", "tpu"]]
)
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as raised:
        main(["translate", *arguments])
    assert raised.value.code == 2
    assert "usage: define translate" in capsys.readouterr().err
