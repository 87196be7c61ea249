"""The results of a run in one line."""

from define.runs.records import RunRecord


def scores(record: RunRecord) -> list[str]:
    """Of a finished run, such as "valid ppl 12.35 (1,234 tokens)"; BLEU first, if it has that."""
    found = [
        f"{set_name} BLEU {score['bleu']['score']:.2f} ({score['sentences']:,} sentences)"
        for set_name, score in record.translation_scores.items()
    ]
    ppl = "subword ppl" if found else "ppl"
    return found + [
        f"{split} {ppl} {score['ppl']:.2f} ({score['scored_tokens']:,} tokens)"
        for split, score in record.final.items()
    ]


def summary(record: RunRecord) -> str:
    """Of a finished run: which it is, its scores, size, time and folder."""
    return (
        f"table {record.table}, {record.row}, {record.scale}, seed {record.seed}: "
        f"{', '.join(scores(record))}, {record.parameters['total']:,} parameters, "
        f"{record.speed['seconds']:.0f} s; {record.path.parent}"
    )
