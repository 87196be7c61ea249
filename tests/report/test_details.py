"""The chapter on translations: scores, intervals, settings, and what the cache saves."""

from define.analysis.compare import compare
from define.evaluation import bleu
from define.report import translations
from define.runs import records, schema


def _chapter(folder, scales=None):
    found = records.find([folder])
    return "\n\n".join(translations.chapter(compare("3", found, scales), found))


def _tables(text):
    """The cells of each table, its header first."""
    tables = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        if lines:
            del lines[1]
            tables.append([[c.strip() for c in line.strip("|").split("|")] for line in lines])
    return tables


def test_the_metrics_are_the_scorers():
    assert list(schema.TRANSLATED) == list(bleu.METRICS)


def test_each_seed_and_set_has_its_scores_and_interval(translation_runs):
    text = _chapter(translation_runs)
    assert text.startswith("## Translation scores\n")
    assert "### Table 3, scale mini, data multi30k\n" in text
    header, *rows = _tables(text)[0]
    assert header == [
        "row", "seed", "set", "sentences", "BLEU", "95 % interval", "chrF2",
        "tokenised BLEU, compounds split",
    ]  # fmt: skip
    assert len(rows) == 2 * (3 + 3 + 2)
    # The interval goes around the mean of the resamples, 0.05 above the score.
    assert rows[6:8] == [
        ["Transformer + DeFINE", "1", "val", "1,014", "33.50", "[32.30, 34.80]", "53.50", "35.00"],
        [
            "Transformer + DeFINE", "1", "test_2016_flickr", "1,000", "35.00", "[33.80, 36.30]",
            "55.00", "36.50",
        ],
    ]  # fmt: skip
    assert rows[-1][:3] == ["transformer_linear (control)", "2", "test_2016_flickr"]


def test_every_translation_has_its_mean_and_settings(translation_runs):
    text = _chapter(translation_runs)
    header, *rows = _tables(text)[1]
    assert header == ["row", "translation", "val", "test_2016_flickr", "n", ""]
    assert rows == [
        ["Transformer", "beam_5", "32.20±1.88", "33.70±1.88", "3", "headline"],
        ["Transformer + DeFINE", "beam_5", "34.13±1.37", "35.63±1.37", "3", "headline"],
        ["Transformer + DeFINE", "average_of_5", "34.38±1.37", "35.88±1.37", "3", ""],
        ["Transformer + DeFINE", "beam_5_uncached", "34.13±1.37", "35.63±1.37", "3", ""],
        ["transformer_linear (control)", "beam_5", "31.05±6.99", "32.55±6.99", "2", "headline"],
    ]
    assert "* `beam_5`: beam 5, length penalty 1.0, cache, average 0.\n" in text
    assert "* `average_of_5`: beam 5, length penalty 1.0, cache, average 5.\n" in text
    assert "* `beam_5_uncached`: beam 5, length penalty 1.0, no cache, average 0.\n" in text


def test_the_cache_is_told_by_comparison(translation_runs):
    text = _chapter(translation_runs)
    lines = [line for line in text.splitlines() if "hypotheses are" in line]
    assert lines == [
        f"* Transformer + DeFINE, seed {seed}: `beam_5` 5.0 s, `beam_5_uncached` 8.0 s; the "
        "hypotheses are identical on val, test_2016_flickr."
        for seed in (1, 2, 3)
    ]


def test_hypotheses_that_differ_without_the_cache_are_told(tmp_path, put):
    ways = {
        "beam_5_uncached": ({"beam": 5, "cache": False}, {"val": 30.0, "test_2016_flickr": 31.0}),
        "beam_4": ({"beam": 4, "cache": True}, {"val": 30.0, "test_2016_flickr": 31.0}),
        "beam_5": ({"beam": 5, "cache": True}, {"val": 30.0, "test_2016_flickr": 31.5}),
        "beam_3_uncached": ({"beam": 3, "cache": False}, {"val": 1.0, "test_2016_flickr": 1.0}),
    }
    put(tmp_path, table="3", row="transformer_define", data="multi30k", translations=ways)
    lines = [line for line in _chapter(tmp_path).splitlines() if " s; " in line]
    # Only what differs in nothing but the cache is compared.
    assert lines == [
        "* Transformer + DeFINE, seed 1: `beam_5` 5.0 s, `beam_5_uncached` 8.0 s; the hypotheses "
        "differ on test_2016_flickr."
    ]


def test_signatures_are_listed_once_and_with_their_runs_where_they_differ(tmp_path, put):
    corpus = {"table": "3", "data": "multi30k"}
    ways = {"beam_5": ({"beam": 5}, {"val": 30.0, "test_2016_flickr": 31.0})}
    put(tmp_path, **corpus, row="transformer", translations=ways)
    put(tmp_path, **corpus, row="transformer_define", translations=ways)
    before, listed = _chapter(tmp_path).split("The signatures of these scores:")
    signature = "nrefs:1|bs:1000|seed:12345|case:mixed|eff:no|tok:{}|smooth:exp|version:2.6.0"
    assert listed.strip().splitlines() == [
        f"* BLEU: `{signature.format('13a')}`",
        f"* chrF2: `{signature.format('chrf')}`",
        f"* tokenised BLEU, compounds split: `{signature.format('moses-compound-split')}`",
    ]
    assert "nrefs" not in before and "BLEU by translation" not in before
    path = tmp_path / "table_3/transformer/mini/seed_1/record.json"
    record = records.read_plain(path)
    record["translations"]["beam_5"]["scores"]["val"]["bleu"]["signature"] = "tok:intl"
    records.write(path, record)
    listed = _chapter(tmp_path).split("The signatures of these scores:")[1].strip().splitlines()
    assert listed[:2] == [
        "* BLEU (Transformer on multi30k): `tok:intl`",
        "* BLEU (Transformer on multi30k, Transformer + DeFINE on multi30k): "
        f"`{signature.format('13a')}`",
    ]
    assert len(listed) == 4


def test_directions_are_sections_of_their_own(translation_runs, put):
    ways = {"beam_5": ({"beam": 5}, {"val": 30.0, "test_2016_flickr": 31.0})}
    corpus = {"table": "3", "row": "transformer", "translations": ways}
    put(translation_runs / "reversed", **corpus, data="multi30k-de-en")
    put(translation_runs / "smoke", **corpus, data="multi30k", scale="smoke")
    text = _chapter(translation_runs, ["mini"])
    titles = [line for line in text.splitlines() if line.startswith("### ")]
    assert titles == [
        "### Table 3, scale mini, data multi30k",
        "### Table 3, scale mini, data multi30k-de-en",
    ]
    assert _tables(text)[-1][1:] == [
        ["Transformer", "1", "val", "1,014", "30.00", "[28.80, 31.30]", "50.00", "31.50"],
        ["Transformer", "1", "test_2016_flickr", "1,000", "31.00", "[29.80, 32.30]", "51.00",
         "32.50"],
    ]  # fmt: skip


def test_without_finished_translations_there_is_no_chapter(tmp_path, put):
    put(tmp_path, table="3", row="transformer", data="multi30k")
    ways = {"beam_5": ({}, {"val": 30.0})}
    put(tmp_path, table="3", row="transformer_define", status="interrupted", translations=ways)
    found = records.find([tmp_path])
    assert translations.chapter(compare("3", found), found) == []
