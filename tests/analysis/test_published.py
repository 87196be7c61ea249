"""The published numbers: equal to their source, in plain counts, one slug per row."""

import os
from pathlib import Path

import pytest
import yaml

from define.analysis import published
from define.errors import InputError
from define.runs.schema import PARTS

SOURCE = os.environ.get("DEFINE_PAPER_TABLES")
CONFIGS = Path(__file__).parents[2] / "configs" / "experiment"
OWN_KEYS = ("row", "label", "ours", "same_run", "cited")
NAME_KEYS = ("row", "model", "layer", "connection", "unit")


# The transcript of the paper's tables that published.yaml was made from is no part of the project.
@pytest.mark.skipif(
    not SOURCE,
    reason="needs the transcript of the paper's tables: set DEFINE_PAPER_TABLES to its tables.yaml",
)
def test_every_number_is_the_sources():
    source = yaml.safe_load(Path(SOURCE).read_text(encoding="utf-8"))
    ours = yaml.safe_load(
        Path(published.__file__).with_name("published.yaml").read_text(encoding="utf-8")
    )["tables"]
    assert [f"table_{name}" for name in ours] == list(source)
    for name, entry in ours.items():
        theirs = source[f"table_{name}"]
        assert len(entry["rows"]) == len(theirs)
        for row, their_row in zip(entry["rows"], theirs, strict=True):
            printed_name = next((their_row[key] for key in NAME_KEYS if key in their_row), "")
            assert row["label"].startswith(printed_name)
            numbers = {key: value for key, value in their_row.items() if key not in NAME_KEYS}
            shared = {"define": {"N": 3, "k": 4096, "m": 384}} if "DeFINE (" in row["label"] else {}
            ours = {k: v for k, v in row.items() if k not in OWN_KEYS}
            assert ours == numbers | shared


@pytest.mark.parametrize("name", published.names())
def test_pairs_and_series_name_rows_of_the_table(name):
    rows = {row.row: row for row in published.table(name)}
    for first, second in published.pairs(name):
        # What a pair claims must be printed for both.
        claimed = {"ppl": "test_ppl", "bleu": "newstest2017_bleu"}[published.metric(name)]
        assert claimed in rows[first].metrics and claimed in rows[second].metrics
    drawn = [slug for series in published.series(name) for slug in series.rows]
    sized = {row.row for row in rows.values() if "total" in row.parameters}
    assert len(drawn) == len(set(drawn)) and (not drawn or set(drawn) == sized)
    for series in published.series(name):
        sizes = [rows[slug].parameters["total"] for slug in series.rows]
        assert sizes == sorted(sizes)
        assert series.point == "label" or all(series.point in rows[s].raw for s in series.rows)


@pytest.mark.parametrize("name", published.names())
def test_slugs_and_labels_are_unique_and_parts_sum_up(name):
    rows = published.table(name)
    assert len({row.row for row in rows}) == len({row.label for row in rows}) == len(rows)
    for row in rows:
        assert row.row.isidentifier() and row.row == row.row.lower()
        assert row.metrics
        if set(row.parameters) == set(PARTS):
            parts = sum(row.parameters[part] for part in PARTS[:-1])
            # Three printed summands, each rounded to 0.01 M.
            assert abs(parts - row.parameters["total"]) <= 15_000


def test_table_3_compares_bleu_and_the_others_perplexity():
    for name in published.names():
        assert published.metric(name) == ("bleu" if name == "3" else "ppl")
        ends = {m.rpartition("_")[2] for row in published.table(name) for m in row.metrics}
        assert ends == {published.metric(name)}


def test_our_run_of_the_authors_row_is_not_called_theirs():
    labels = published.our_labels("3")
    assert labels["transformer"] == "Transformer"
    others = {row.row: row.label for row in published.table("3") if row.row != "transformer"}
    assert {row: label for row, label in labels.items() if row != "transformer"} == others


def test_unknown_table_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"'1d'.*1a, 1b, 1c, 2, 3, 4a, 4b, 5, 6a, 6b"):
        published.table("1d")


def test_the_caveats_numbers_are_those_of_the_table():
    one_seed, opennmt = published.caveats(["3"])
    assert published.caveats(["1a", "5"]) == [one_seed] and "one seed each" in one_seed
    bleu = {row.row: row.metrics for row in published.table("3")}
    for name in ("newstest2014", "newstest2017"):
        ours, theirs, define = (
            bleu[row][f"{name}_bleu"]
            for row in ("transformer", "transformer_opennmt", "transformer_define")
        )
        assert f"{ours} against {theirs} on {name}" in " ".join(opennmt.split())
        assert round(theirs - ours) == 2 and abs(define - theirs) < 0.2
        assert str(define) in opennmt


@pytest.mark.parametrize("name", published.names())
def test_rows_are_cited_or_have_a_config_and_baselines_are_rows(name):
    rows = {row.row: row for row in published.table(name)}
    configs = {path.stem for path in (CONFIGS / f"table_{name}").glob("*.yaml")}
    assert {slug for slug, row in rows.items() if not row.cited} <= configs | {
        slug for slug, row in rows.items() if row.same_run
    }
    assert not configs & {slug for slug, row in rows.items() if row.cited}
    for row in rows.values():
        assert row.baseline is None or not rows[row.baseline].cited
        if row.same_run:
            source, slug = row.same_run
            (twin,) = [other for other in published.table(source) if other.row == slug]
            assert row.metrics.items() <= twin.metrics.items()
