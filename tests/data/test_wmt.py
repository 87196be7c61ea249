"""WMT'14 from archives like the published ones, against sacreBLEU, and fairseq's script by hand."""

import dataclasses
import io
import random
import tarfile

import pytest
from fairseq.data import Dictionary, data_utils
from sacrebleu.dataset import DATASETS
from sacremoses import MosesTokenizer
from subword_nmt.apply_bpe import BPE
from subword_nmt.learn_bpe import learn_bpe

from define.data.parallel import wmt
from define.data.parallel.pairs import PAIRS
from define.data.parallel.prepare import prepare_pairs
from define.data.parallel.subwords import MosesBPE
from define.errors import InputError

ENGLISH = "the a house mouse re-elected president said “quoted” that's 3.5 , it runs . fast"
GERMAN = "das ein Haus Maus wiedergewählter Präsident sagte „zitiert“ ist 3,5 , es läuft . bald"
WORDS = {"en": ENGLISH.split(), "de": GERMAN.split()}


def lines(language: str, count: int, seed: int) -> list[str]:
    generator = random.Random(seed)
    return [
        " ".join(generator.choices(WORDS[language], k=generator.randint(3, 12)))
        for _ in range(count)
    ]


def training(count: int, seed: int) -> dict[str, list[str]]:
    return {language: lines(language, count, seed) for language in WORDS}


FULL = {
    "en": [f"{line} {n} &amp; <b>" for n, line in enumerate(lines("en", 9, 1))],
    "de": [f"{line} {n}’s" for n, line in enumerate(lines("de", 9, 1))],
}
FILTERED = {language: [FULL[language][n] for n in (0, 1, 3, 4, 8)] for language in FULL}
LATER = {language: lines(language, 6, 2) for language in WORDS}
TRAINING = {
    wmt.EUROPARL_7: training(150, 3),
    wmt.COMMON_CRAWL: training(90, 4),
    wmt.NEWS_COMMENTARY_9: training(60, 5),
    wmt.NEWS_COMMENTARY_11: training(70, 6),
}
TESTS = {wmt.NEWSTEST_2014: FILTERED, wmt.NEWSTEST_2014_FULL: FULL, wmt.NEWSTEST_2017: LATER}


def sgml(sentences: list[str]) -> str:
    """Like the published files: some segments padded, other markup around them."""
    segments = [
        f'<seg id="{n}">{" " * (n % 3)}{text.replace(" ", "  ", 1)} </seg>\n'
        for n, text in enumerate(sentences, start=1)
    ]
    head = '<srcset setid="newstest" srclang="any">\n<doc docid="x" origlang="de">\n<p>\n'
    return head + "".join(segments) + "</p>\n</doc>\n</srcset>\n"


def tgz(files: dict[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, text in {"other/README": "x", **files}.items():
            content = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def archives(tmp_path):
    """A folder with small archives that are laid out as the published ones."""
    folder = tmp_path / "source" / "wmt14"
    folder.mkdir(parents=True)
    for (file, parallel), texts in (TRAINING | TESTS).items():
        made = {
            side.member: sgml(sentences) if parallel.sgml else "\n".join(sentences)
            for side, sentences in ((parallel.source, texts["en"]), (parallel.target, texts["de"]))
        }
        (folder / file.name).write_bytes(tgz(made))
    return folder


@pytest.fixture
def prepare(archives, tmp_path, monkeypatch):
    """Prepares a WMT corpus from the small archives, whose sizes and checksums are others."""

    def run(name, pieces):
        sizes = {"newstest2014": 5, "newstest2014_full": 9, "newstest2017": 6}
        spec = PAIRS[name]
        changed = dataclasses.replace(
            spec,
            sets=tuple(
                dataclasses.replace(entry, sentences=sizes[entry.name]) for entry in spec.sets
            ),
            files=tuple(dataclasses.replace(file, checksums=()) for file in spec.files),
        )
        monkeypatch.setitem(PAIRS, name, changed)
        output = tmp_path / "data" / name
        return prepare_pairs(name, output, source=archives.parent, quiet=True, pieces=pieces)

    return run


def sacrebleu_texts(name, archive, folder, monkeypatch) -> tuple[list[str], list[str]]:
    """What `sacrebleu -t NAME -l en-de --echo src` and `--echo ref` print."""
    dataset = DATASETS[name]
    monkeypatch.setattr(dataset, "_outdir", str(folder))
    monkeypatch.setattr(dataset, "_rawdir", str(folder / "raw"))
    monkeypatch.setattr(dataset, "maybe_download", lambda: None)
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "raw", filter="data")
    return list(dataset.source("en-de")), [line for (line,) in dataset.references("en-de")]


def test_evaluation_sets_are_those_of_sacrebleu(prepare, archives, tmp_path, monkeypatch):
    corpus = prepare("wmt14-en-de", 150)
    names = {"newstest2014": "wmt14", "newstest2014_full": "wmt14/full", "newstest2017": "wmt17"}
    for number, (ours, theirs) in enumerate(names.items()):
        archive = archives / DATASETS[theirs].data[0].rpartition("/")[2]
        source, reference = sacrebleu_texts(theirs, archive, tmp_path / f"{number}", monkeypatch)
        assert corpus.source_text(ours) == source
        assert "".join(f"{line}\n" for line in corpus.reference(ours)) == "".join(reference)
    described = {entry["set"]: entry for entry in corpus.sets}
    assert described["newstest2014"] == {
        "set": "newstest2014",
        "split": "valid",
        "sentences": 5,
        "within": "newstest2014_full",
        "lines": [0, 1, 3, 4, 8],
    }
    assert corpus.meta["pairs"] == {"train": 310, "valid": 5, "test": 6, "full": 9}
    assert {"full.en-de.de.bin", "valid.en-de.en.idx"} <= set(corpus.meta["sha256"])
    assert set(corpus.meta["source_sha256"]) == {file.name for file in PAIRS["wmt14-en-de"].files}


def test_a_filtered_set_that_is_no_part_of_the_full_one(prepare, archives):
    _, parallel = wmt.NEWSTEST_2014
    texts = {**FILTERED, "de": [*FILTERED["de"][:-1], "anders"]}
    content = {
        parallel.source.member: sgml(texts["en"]),
        parallel.target.member: sgml(texts["de"]),
    }
    (archives / "test-filtered.tgz").write_bytes(tgz(content))
    with pytest.raises(InputError, match="Sentence 5 of newstest2014, .* newstest2014_full"):
        prepare("wmt14-en-de", 150)


@pytest.mark.parametrize("damage", ["truncated", "not gzip", "other content"])
def test_a_damaged_archive(prepare, archives, tmp_path, damage):
    path = archives / "training-parallel-europarl-v7.tgz"
    content = path.read_bytes()
    broken = {"truncated": content[:-200], "not gzip": b"<html>", "other content": tgz({"x": "y"})}
    path.write_bytes(broken[damage])
    with pytest.raises(
        InputError, match=r"europarl-v7\.tgz (is damaged|does not hold training/eur)"
    ):
        prepare("wmt14-en-de", 150)
    assert list((tmp_path / "data").iterdir()) == []


def text(corpus, split: str, language: str) -> list[str]:
    symbols = Dictionary.load(str(corpus.folder / f"dict.{language}.txt"))
    stem = corpus.folder / f"{split}.en-de.{language}"
    dataset = data_utils.load_indexed_dataset(str(stem), None)
    return [symbols.string(dataset[i]) for i in range(len(dataset))]


def cleaned(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """clean-corpus-n.perl -ratio 1.5 ... 1 250"""
    kept = []
    for pair in pairs:
        source, target = (len(side.split()) for side in pair)
        if 1 <= source <= 250 and 1 <= target <= 250:
            if source / target <= 1.5 and target / source <= 1.5:
                kept.append(pair)
    return kept


def test_the_fairseq_variant_follows_its_script(prepare):
    corpus = prepare("wmt14-en-de-fairseq", 90)
    order = (wmt.EUROPARL_7, wmt.COMMON_CRAWL, wmt.NEWS_COMMENTARY_9)
    tokenised = {}
    for language in ("en", "de"):
        tokenise = MosesBPE.tokeniser(language, training=True)
        tokenised[language] = [tokenise(x) for key in order for x in TRAINING[key][language]]
    train = {key: [x for n, x in enumerate(all_, 1) if n % 100] for key, all_ in tokenised.items()}
    valid = {key: all_[99::100] for key, all_ in tokenised.items()}
    codes = io.StringIO()
    learn_bpe(io.StringIO("\n".join(train["en"] + train["de"])), codes, 90)
    bpe = BPE(codes)
    for split, sides in (("train", train), ("valid", valid)):
        cut = [[bpe.process_line(line) for line in sides[key]] for key in ("en", "de")]
        kept = cleaned(list(zip(*cut, strict=True)))
        assert list(zip(*(text(corpus, split, key) for key in ("en", "de")), strict=True)) == kept
        assert 0 < len(kept)
    assert sum(corpus.meta["dropped"]["train"].values()) == 297 - corpus.meta["pairs"]["train"] > 0

    # The test set: no punctuation normalised but one apostrophe, nothing left out.
    for language in ("en", "de"):
        tokenise = MosesTokenizer(language).tokenize
        expected = [
            bpe.process_line(tokenise(line.replace("’", "'"), True, return_str=True))
            for line in FULL[language]
        ]
        symbols = Dictionary.load(str(corpus.folder / f"dict.{language}.txt"))
        known = [
            " ".join(piece if piece in symbols else "<unk>" for piece in line.split())
            for line in expected
        ]
        assert text(corpus, "test", language) == known
    assert (corpus.folder / "dict.en.txt").read_bytes() == (
        corpus.folder / "dict.de.txt"
    ).read_bytes()
    assert corpus.types == corpus.source_types
    assert [entry["set"] for entry in corpus.sets] == ["newstest2014_full", "newstest2014"]
    assert corpus.sets[1]["lines"] == [0, 1, 3, 4, 8]
