"""The line that `define train` ends with."""

from pathlib import Path

from define.runs.records import RunRecord
from define.runs.summary import summary


def record(**fields) -> RunRecord:
    score = {"valid": {"ppl": 12.345, "scored_tokens": 1_234}}
    return RunRecord(
        path=Path("runs/seed_7/record.json"),
        table="3",
        row="transformer",
        scale="mini",
        seed=7,
        status="finished",
        config={},
        parameters={"total": 2_835_584},
        epochs=[],
        final=score,
        best_epoch=1,
        speed={"seconds": 61.2},
        peak_memory_mib=1.0,
        provenance={},
        **fields,
    )


def test_of_a_language_model_it_has_perplexities():
    assert summary(record()) == (
        "table 3, transformer, mini, seed 7: valid ppl 12.35 (1,234 tokens), "
        "2,835,584 parameters, 61 s; runs/seed_7"
    )


def test_of_a_translation_it_has_the_bleu_of_the_first_decoding():
    def scores(bleu):
        return {"scores": {"newstest2014": {"bleu": {"score": bleu}, "sentences": 2_737}}}

    line = summary(record(translations={"beam_5": scores(27.014), "beam_1": scores(1.0)}))
    assert line.startswith(
        "table 3, transformer, mini, seed 7: newstest2014 BLEU 27.01 (2,737 sentences), "
        "valid subword ppl 12.35 (1,234 tokens), 2,835,584 parameters"
    )
    assert "1.00" not in line
