"""`define score`: what it prints and writes, which sets it scores, and what it refuses."""

import json

import pytest

from define.cli.main import main
from define.evaluation import bleu
from define.files import sha256
from define.runs import significance
from define.runs.schema import TRANSLATED

FULL = [
    "Der Hund läuft heute schnell.",
    "Das grün-weiße Haus ist alt.",
    "Ein Mann liest die Zeitung.",
    "Zwei Kinder spielen im Park.",
]
LINES = [3, 0, 1]
PLAIN = ["Der Hund rennt heute.", "Das grüne Haus ist alt.", "Ein Mann liest.", "Kinder spielen."]
DEFINE = [FULL[0], "Das grün-weiße Haus ist neu.", "Ein Mann liest eine Zeitung.", FULL[3]]


def picked(lines: list[str]) -> list[str]:
    return [lines[i] for i in LINES]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder with two translations, and a corpus whose set "some" lies within its set "full"."""
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)
    monkeypatch.chdir(tmp_path)
    for name, lines in (("full.de", FULL), ("plain.txt", PLAIN), ("define.txt", DEFINE)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    references = {"some": picked(FULL), "other": FULL, "full": FULL}
    (tmp_path / "corpus" / "references").mkdir(parents=True)
    for name, lines in references.items():
        (tmp_path / "corpus" / "references" / f"{name}.de").write_text("\n".join(lines), "utf-8")
    meta = {
        "name": "tiny",
        "source": "en",
        "target": "de",
        "sets": [
            {"set": "some", "split": "test", "sentences": 3, "within": "full", "lines": LINES},
            {"set": "other", "split": "valid", "sentences": 4},
            {"set": "full", "split": "test", "sentences": 4},
        ],
        "sha256": {},
    }
    (tmp_path / "corpus" / "meta.json").write_text(json.dumps(meta), "utf-8")
    return tmp_path


def score(capsys, *arguments: str) -> dict:
    """`define score --json`."""
    assert main(["score", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_reference_of_ones_own(place, capsys):
    result = score(capsys, "plain.txt", "define.txt", "--reference", "full.de", "--language", "de")
    assert result == {
        "language": "de",
        "systems": {
            name: {
                "full": {
                    **bleu.score(lines, FULL, "de"),
                    "hypotheses_sha256": sha256(place / f"{name}.txt"),
                }
            }
            for name, lines in (("plain", PLAIN), ("define", DEFINE))
        },
        "references_sha256": {"full": sha256(place / "full.de")},
    }


def test_chinese_and_a_warning(place, capsys):
    for name, text in (("a.zh", "今天天气很好。\n"), ("b.zh", "\ufeff今天的天气很好。\n")):
        (place / name).write_text(text, encoding="utf-8")
    command = ["score", "--reference", "a.zh", "--language", "zh"]
    assert main([*command, "b.zh"]) == 0
    captured = capsys.readouterr()
    assert "|tok:zh|" in captured.out and "compounds" not in captured.out
    assert captured.err == (
        "define: warning: b contains control characters that the references do not (U+FEFF); "
        "remove them\n"
    )
    assert main([*command, "a=a.zh", "--baseline", "b.zh", "--output", "test.json"]) == 0
    assert set(significance.read("test.json").signatures) == {"bleu", "chrf"}


def test_one_file_gives_the_scores_of_the_set_and_of_those_within(place, capsys):
    result = score(capsys, "define.txt", "--data", "corpus", "--set", "full")
    found = result["systems"]["define"]
    assert list(found) == ["full", "some"]
    assert found["full"]["sentences"] == 4 and found["some"]["sentences"] == 3
    for name, lines, references in (("full", DEFINE, FULL), ("some", picked(DEFINE), picked(FULL))):
        digest = found[name].pop("hypotheses_sha256")
        assert digest == bleu.digest(lines)
        assert found[name] == bleu.score(lines, references, "de")
        assert result["references_sha256"][name] == bleu.digest(references)
    assert found["full"]["bleu"] != found["some"]["bleu"]


def test_a_set_takes_its_own_file_and_that_of_the_larger_set(place, capsys):
    (place / "own.txt").write_text("\n".join(picked(DEFINE)), encoding="utf-8")
    options = "--data", "corpus", "--set", "some"
    found = score(capsys, "own.txt", "define.txt", *options)["systems"]
    assert list(found["own"]) == ["some"]
    assert found["own"] == found["define"]
    assert found["own"]["some"]["hypotheses_sha256"] == bleu.digest(picked(DEFINE))


@pytest.mark.parametrize(("name", "sentences"), [("full", 4), ("some", 3)])
def test_significance(name, sentences, place, capsys):
    lines = {"ours": DEFINE, "plain": PLAIN}
    references = FULL
    if name == "some":
        lines = {system: picked(hypotheses) for system, hypotheses in lines.items()}
        references = picked(FULL)
    result = score(
        capsys,
        *("ours=define.txt", "--baseline", "plain.txt"),
        *("--data", "corpus", "--set", name, "--output", "significance/a.json"),
    )
    assert json.loads((place / "significance" / "a.json").read_text(encoding="utf-8")) == result
    expected = bleu.compare({"plain": lines["plain"], "ours": lines["ours"]}, references, "de")
    assert result == {
        "schema": 1,
        "kind": "significance",
        "set": name,
        "sentences": sentences,
        "language": "de",
        "baseline": "plain",
        "systems": expected["systems"],
        "signatures": expected["signatures"],
        "hypotheses_sha256": {system: bleu.digest(text) for system, text in lines.items()},
        "references_sha256": bleu.digest(references),
    }
    assert list(result["systems"]) == ["plain", "ours"]
    assert significance.read("significance/a.json").systems == result["systems"]
    assert result["systems"]["plain"]["bleu"]["p_value"] is None
    assert 0 < result["systems"]["ours"]["bleu"]["p_value"] < 1


def test_terminal_listing(capsys):
    assert main(["score", "define.txt", "--data", "corpus", "--set", "full"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, text, references in (("full", DEFINE, FULL), ("some", picked(DEFINE), picked(FULL))):
        found = bleu.score(text, references, "de")
        for metric, label in TRANSLATED.items():
            numbers = f"{found[metric]['score']:.2f} ± {found[metric]['half_width']:.2f}"
            words = f"define {name} {found['sentences']} {label} {numbers}"
            assert words in [" ".join(line.split()) for line in lines]
            assert f"{label}: {found[metric]['signature']}" in lines
    assert "±: half of the 95 % interval of 1,000 bootstrap resamples" in lines


def test_terminal_listing_of_a_test(capsys):
    options = "--reference", "full.de", "--language", "de"
    assert main(["score", "define.txt", "--baseline", "plain.txt", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].rstrip() == "full, 4 sentences: paired bootstrap test against plain"
    systems = bleu.compare({"plain": PLAIN, "define": DEFINE}, FULL, "de")["systems"]
    for metric, label in TRANSLATED.items():
        plain, ours = systems["plain"][metric], systems["define"][metric]
        difference = ours["score"] - plain["score"]
        assert difference > 0
        squeezed = [" ".join(line.split()) for line in lines]
        assert f"plain {label} {plain['score']:.2f} ± {plain['half_width']:.2f} - -" in squeezed
        assert (
            f"define {label} {ours['score']:.2f} ± {ours['half_width']:.2f} "
            f"+{difference:.2f} {ours['p_value']:.3f}"
        ) in squeezed


def test_names_of_systems(place, capsys):
    """The name before "=", else that of the file; but folders may have "=" in their names."""
    folder = place / "lr=0.1"
    folder.mkdir()
    (folder / "plain.txt").write_bytes((place / "plain.txt").read_bytes())
    words = "lr=0.1/plain.txt", "b=lr=0.1/plain.txt", "c=plain.txt"
    result = score(capsys, *words, "--reference", "full.de", "--language", "de")
    assert list(result["systems"]) == ["plain", "b", "c"]


def test_only_a_line_feed_ends_a_line(place, capsys):
    """Characters at which Python too would break lines stay inside their sentences."""
    (place / "odd.txt").write_bytes("a\u2028b\n\x85c\x0cd\r\ne".encode())
    result = score(capsys, "odd.txt", "--reference", "odd.txt", "--language", "de")
    assert result["systems"]["odd"]["odd"]["sentences"] == 3


OWN = ["--reference", "full.de", "--language", "de"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["short.txt", *OWN], "short, full: the translation has 1 lines and the references have 4"),
        (["empty.txt", *OWN], "empty, full: the translation has 0 lines and the references have 4"),
        (["plain.txt", "--baseline", "short.txt", *OWN], "short has 1 lines and the references"),
        (["short.txt", "--data", "corpus", "--set", "full"], "short, full: the translation has 1"),
        (["short.txt", "--data", "corpus", "--set", "some"], "short, some: the translation has 1"),
        (["none.txt", *OWN], "none.txt: No such file"),
        (["latin.txt", *OWN], "latin.txt is not UTF-8 text"),
        (["plain.txt", "--baseline", "b/plain.txt", *OWN], "(b/plain.txt is named 'plain' too)"),
        (["a=plain.txt", "a=define.txt", *OWN], "define.txt needs a name of its own"),
        (["=plain.txt", *OWN], "plain.txt needs a name of its own (its name is empty)"),
        (["plain.txt", *OWN[:2]], "--reference goes with --language CODE and without --set"),
        (["plain.txt", *OWN, "--set", "full"], "--reference goes with --language CODE and without"),
        (["plain.txt", "--data", "b", "--set", "full"], "There is no prepared corpus in b"),
        (["plain.txt", "--data", "corpus"], "needs --set with one of some, other, full, not None"),
        (["plain.txt", "--data", "corpus", "--set", "new"], "one of some, other, full, not new"),
        (
            ["plain.txt", "--data", "corpus", "--set", "full", "--language", "de"],
            "--language de goes with --reference",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(arguments, sentence, place, capsys):
    (place / "short.txt").write_text("Ein Hund\n", encoding="utf-8")
    (place / "empty.txt").write_text("", encoding="utf-8")
    (place / "latin.txt").write_bytes("grün\n".encode("latin-1"))
    (place / "b").mkdir()
    (place / "b" / "plain.txt").write_text("a\n", encoding="utf-8")
    assert main(["score", *arguments, "--output", "out.json"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("define: ") and err.count("\n") == 1
    assert sentence in err
    assert not (place / "out.json").exists()


@pytest.mark.parametrize("arguments", [["plain.txt"], ["plain.txt", *OWN, "--data", "corpus"], OWN])
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as raised:
        main(["score", *arguments])
    assert raised.value.code == 2
    assert "usage: define score" in capsys.readouterr().err
