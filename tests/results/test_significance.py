"""Paired bootstrap tests: refused where they contradict themselves, shown with their runs."""

import json

from define.results import significance
from define.runs import records


def _write(folder, test, name="a"):
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(test))
    return path


def _cells(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_chapter_names_the_run_with_the_hypotheses(tmp_path, translation_runs, make_significance):
    found = records.find([translation_runs])
    test = make_significance()
    runs = {(r.row, r.seed): r.translations["beam_5"]["scores"] for r in found}
    digests = test["hypotheses_sha256"]
    digests["plain"] = runs["transformer", 2]["test_2016_flickr"]["hypotheses_sha256"]
    digests["define"] = runs["transformer_define", 3]["test_2016_flickr"]["hypotheses_sha256"]
    # The hypotheses of another set are not those of this one.
    digests["linear"] = runs["transformer_linear", 1]["val"]["hypotheses_sha256"]
    _write(tmp_path / "significance", test)
    labels = {
        "transformer": "Transformer",
        "transformer_define": "DeFINE",
        "transformer_linear": "L",
    }
    tests = significance.read_tests(tmp_path / "significance")
    blocks = significance.chapter(tests, found, labels)
    assert blocks[0] == "## Paired bootstrap"
    text = "\n".join(blocks)
    assert "### test_2016_flickr, 1,000 sentences, against plain\n" in text
    plain, define = (
        "Transformer, mini, multi30k, seed 2, beam_5", "DeFINE, mini, multi30k, seed 3, beam_5",
    )  # fmt: skip
    rows = _cells(text)
    assert rows[:3] == [
        ["plain", plain, "BLEU", "33.00", "[31.80, 34.30]", "-", "-"],
        ["define", define, "BLEU", "35.00", "[33.80, 36.30]", "+2.00", "0.001"],
        ["linear", "-", "BLEU", "32.50", "[31.30, 33.80]", "-0.50", "0.400"],
    ]
    assert [row[2] for row in rows[3::3]] == ["chrF2", "tokenised BLEU, compounds split"]
    assert "* BLEU: `bs:1000|bleu`\n* chrF2: `bs:1000|chrf`\n" in text
    assert significance.chapter([], found, labels) == []
