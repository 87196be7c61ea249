"""The page: complete, from records only, the same each time, and nothing in it fetched."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from define.analysis import ablations, published, tradeoff
from define.analysis.compare import compare, of_table
from define.cli.main import main
from define.errors import InputError
from define.report import plots, speed, style
from define.report.page import build
from define.runs import records

VOID = {"br", "link", "meta"}


class Tags(HTMLParser):
    """Collects (tag, attributes, text inside) of each element; every tag must close in turn."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append([tag, dict(attributes), ""])
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag, attributes):
        self.elements.append([tag, dict(attributes), ""])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag
        if tag in ("td", "th", "dt", "dd"):
            self.handle_data(" ")

    def handle_data(self, data):
        for element in self.open:
            element[2] += data

    def values(self, attribute):
        return [found[attribute] for _, found, _ in self.elements if attribute in found]

    def texts(self, tag):
        return [" ".join(text.split()) for name, _, text in self.elements if name == tag]

    def inside(self, anchor):
        """The text of the element with the id."""
        (text,) = (text for _, found, text in self.elements if found.get("id") == anchor)
        return " ".join(text.split())


@pytest.fixture(scope="module")
def text(written_page):
    return written_page.read_text()


@pytest.fixture(scope="module")
def tags(text):
    return Tags(text)


def test_every_table_of_the_paper_is_there_with_its_state(tags):
    assert tags.texts("h2") == [
        "The paper's claims",
        *(f"Table {name}" for name in published.names()),
        "Sizes",
        "Speed",
        "Environment",
        "Runs",
    ]
    overview = tags.inside("overview")
    assert "Table 1a LSTM language model, WikiText-103 mini wikitext-2 4 of 5 12 of 13" in overview
    assert "Table 1a LSTM language model, WikiText-103 smoke python_docs 1 of 5 1" in overview
    assert (
        "Table 4a The transformation, LSTM on WikiText-103 (N 7, n 384, k 1024, m 384) not run"
        in (overview)
    )
    assert "Smoke: seconds; shows that everything works, its numbers mean nothing." in (
        tags.inside("table-1a-smoke-python_docs")
    )


def test_a_section_has_the_papers_numbers_and_ours(tags):
    mini = tags.inside("table-1a-mini-wikitext-2")
    # Seeds at 353, 356 and 359: half the interval is 4.3027 x 3 / sqrt(3) = 7.45.
    assert "R1 43.24 356.00±7.45 +312.76 44.12 336.00±7.45 +291.88 92.17 1.64 3 finished" in mini
    assert "R5 34.94 - - 35.94 - - 48.69 1.64 - running" in mini
    assert "R3 less R2 test_ppl -12.00 [-12.00, -12.00] 3 1, 2, 3 -3.70 same" in mini
    assert "R3 180,000 1,000,000 640,000 1,820,000" in mini
    evaluated = tags.inside("table-1b-mini-wikitext-2")
    assert "Grave et al. 2017b, LSTM + neural cache 1a/lstm_r2 mini wikitext-2 1" in evaluated


def test_a_table_without_runs_shows_the_papers_numbers_and_says_so(tags):
    missing = tags.inside("table-4a-paper-wikitext-103")
    assert missing.startswith("Not run No run at scale paper is recorded")
    assert "HGT 39.79 - - 40.92 - - 40.73 - - not run" in missing


def test_numbers_of_two_scales_or_corpora_share_no_table(everything, tags):
    tables = tags.texts("table")
    assert len(tables) > 30
    for value, other in (("336.00", "116.00"), ("344.00", "901.00")):
        assert any(value in table for table in tables)
        assert not any(value in table and other in table for table in tables)


def test_claims_are_answered_where_the_runs_are(tags):
    claims = tags.inside("claims")
    assert "Does DeFINE help at equal n? the paper yes Table 1a mini, wikitext-2 yes" in claims
    assert "Is the reduce step free? the paper yes Table 6b" in claims
    assert "The differences behind each answer" in claims
    budget = "budget: 1,980 updates, 9.68 passes over 929,589 training tokens"
    assert f"Table 1a mini, wikitext-2 yes {budget}" in claims
    for caveat in published.caveats(published.names()):
        assert claims.count(caveat) == 1


def test_sizes_come_from_the_models_of_the_papers_size(tags):
    sizes = tags.inside("sizes")
    # The step of R2 has 1, 2, 3 and 6 parameters.
    assert "R2 0.00 0.00 23.36 0.00 9.25 0.00 32.61 0.00 -32.61" in sizes
    assert "AWD-LSTM 0.00 1.00 0.64 24 1.64 -22.36" in sizes
    for name in published.names():
        for told in published.contradictions(name):
            assert sizes.count(told) == 1


def test_speed_never_mixes_machines(everything, tags):
    assert "AWD-LSTM 1 93.00 1.00 15,000 512" in tags.inside("speed")
    found = of_table("1c", records.find([everything]))
    section = [row for row in compare("1c", found) if row.scale == "mini"]
    timed = speed.timings(section, [record for record in found if record.scale == "mini"])
    assert {name: [(row.label, row.ms.mean) for row in rows] for name, rows in timed.items()} == {
        "NVIDIA H100, 2 threads": [("awd_lstm_define_with_a_long_name (control)", 9.5)],
        "cpu, 2 threads": [
            ("AWD-LSTM", 93.0),
            ("AWD-LSTM + DeFINE", 93.0),
            ("awd_lstm_define_with_a_long_name (control)", 93.0),
        ],
    }
    assert "Table 1a on cpu" in tags.inside("steps")


def test_environment_tells_machines_versions_commits_and_checksums(tags):
    text = tags.inside("environment")
    assert "NVIDIA H100 2 3.11.7 1" in text
    assert "torch 2.13.0" in text
    assert "0123456789ab (with uncommitted changes) 2026-01-02 2026-01-02 1" in text
    assert f"train.npy {'a' * 64} valid.npy {'b' * 64}" in text


def test_every_run_has_a_link_to_its_record(everything, tags, text):
    links = [found["href"] for _, found, _ in tags.elements if found.get("class") == "record"]
    files = {(everything.parent / "reports" / link).resolve() for link in links}
    assert files == set(everything.rglob("record.json"))
    assert '<a href="../experiments/table_1a/README.md">' in text
    runs = tags.inside("runs")
    assert "R1 2 finished 356.00 336.00 10.0 0123456789ab record.json" in runs
    assert "Transformer 1 finished 120.00 116.00 33.50 35.00 10.0" in runs


def test_the_page_is_the_same_each_time_and_names_no_folder(everything, text):
    assert build.page([everything], everything.parent / "reports") == text
    assert str(everything.parent) not in text
    assert len(text.encode()) < 3_000_000


def test_nothing_is_fetched(tags, text):
    assert not {"script", "img", "iframe", "object", "video"} & {tag for tag, _, _ in tags.elements}
    assert tags.values("src") == [] and "@import" not in text
    assert [found["href"] for tag, found, _ in tags.elements if tag == "link"] == ["data:,"]
    assert {target[0] for target in re.findall(r"url\((.)", text)} == {"#"}
    outside = {value for value in tags.values("href") if ":" in value} - {"data:,"}
    assert outside == {build.PAPER}


def test_references_lead_to_one_place_each(tags):
    names = tags.values("id")
    assert len(names) == len(set(names))
    targets = [value[1:] for value in tags.values("href") if value.startswith("#")]
    clips = [value[5:-1] for value in tags.values("clip-path")]
    assert len(targets) > 300 and len(clips) > 50
    assert {*targets, *clips} <= set(names)


def test_every_figure_is_told_in_words(tags):
    plots_shown = [found for tag, found, _ in tags.elements if tag == "svg"]
    assert len(plots_shown) > 15 and all(found["role"] == "img" for found in plots_shown)
    told = [found["aria-label"] for found in plots_shown]
    assert any("k 256: N 3 372.20, 2.41 M, N 7 352.20, 3.43 M" in text for text in told)
    assert any("R1: lowest 4.61 at update 1,980" in text for text in told)
    assert any("adaptive input: R2 1.73 M 324.00" in text for text in told)


def test_other_markup_in_a_record_stays_text(tmp_path, put):
    put(tmp_path / "runs", row="a_b", data="<i>x</i>")
    text = build.page([tmp_path / "runs"], tmp_path)
    assert "<i>x" not in text and "&lt;i&gt;x&lt;/i&gt;" in text


def test_only_the_scales_asked_for(everything):
    tags = Tags(build.page([everything], everything, ["smoke"]))
    assert "mini" not in tags.inside("overview") and "paper" not in tags.inside("environment")
    assert "No run at scale smoke is recorded" in tags.inside("table-2")
    assert len([1 for _, found, _ in tags.elements if found.get("class") == "record"]) == 1


def test_a_page_without_runs_and_one_with_bad_records(tmp_path):
    (tmp_path / "runs").mkdir()
    text = build.page([tmp_path / "runs"], tmp_path)
    assert "Nothing has been run yet." in text and Tags(text).texts("svg") == []
    (tmp_path / "runs" / "record.json").write_text("{}")
    with pytest.raises(InputError, match="field 'schema' is missing"):
        build.write_page([tmp_path / "runs"], tmp_path / "a" / "report.html")
    assert not (tmp_path / "a").exists()


def test_inline_svg_takes_the_pages_colours_and_keeps_text(everything):
    found = records.find([everything])
    *_, panel = tradeoff.panels("2", found)
    svg = style.inline_svg(tradeoff.draw("2", [panel], for_page=True), "a", 'x < "y"')
    assert svg.startswith('<svg class="plot" role="img" viewBox="0 0 302.4 ')
    assert 'aria-label="x &lt; &quot;y&quot;"' in svg
    assert not re.search(r"#[0-9a-fA-F]{6}\b", svg) and "font-family" not in svg
    for part in ("currentColor", "var(--series-2)", "var(--rule)", ">test perplexity</text>"):
        assert part in svg
    assert all(name.startswith("a-") for name in re.findall(r' id="([^"]+)"', svg))
    assert svg == style.inline_svg(tradeoff.draw("2", [panel], for_page=True), "a", 'x < "y"')


def test_depth_and_width_are_those_of_the_runs_own_configs(everything):
    runs = of_table("5", records.find([everything]))
    ours = ablations.ours("5", runs)
    assert ours.metric == "test_ppl" and list(ours.models) == [256, 384, 512]
    assert [(m.depth, m.mean, m.millions) for m in ours.models[384]] == [
        (3, pytest.approx(365.8), 2.792),
        (7, pytest.approx(345.8), 4.328),
        (11, pytest.approx(325.8), 5.864),
    ]
    model = runs[0].config["model"]
    again = replace(runs[0], seed=99, final={"test": {"ppl": runs[0].metrics["test_ppl"] + 4.0}})
    (both,) = [
        found
        for found in ablations.ours("5", [*runs, again]).models[model["expand_dim"]]
        if found.depth == model["depth"]
    ]
    first = runs[0].metrics["test_ppl"]
    assert (both.mean, both.low, both.high) == (first + 2.0, first, first + 4.0)
    papers = ablations.papers("5", "test_ppl")
    assert [(m.depth, m.mean) for m in papers.models[2048]] == [(3, 41.37), (7, 37.84), (11, 35.92)]
    scores, sizes = ablations.depth_figure(papers).axes
    assert [container.get_label() for container in scores.containers] == [
        "k 1024",
        "k 1536",
        "k 2048",
    ]
    assert list(sizes.lines[0].get_ydata()) == [33.02, 40.73, 49.55]
    assert ablations.varies("5") and not ablations.varies("2")
    assert ablations.ours("5", [record for record in runs if not record.finished]) is None


def test_curves_by_update_take_the_journal(everything):
    runs = [r for r in of_table("5", records.find([everything])) if r.row == "n3_k1024"]
    assert plots.valid_by_update(runs[0]) == pytest.approx({300: 240.0, 600: 120.0, 660: 392.2})
    losses = plots.training_by_update(runs[0])
    assert list(losses) == list(range(60, 601, 60)) and losses[600] == pytest.approx(4.60517)
    assert plots.curves(runs, plots.training_by_update, points=11) == {}


def test_a_journal_without_losses_is_refused(tmp_path, put):
    path = put(tmp_path).with_name("journal.jsonl")
    path.write_text('{"event": "trained", "updates": 5}\n')
    with pytest.raises(InputError, match=r"journal.jsonl: the event 'trained' at update 5 has no"):
        build.page([tmp_path], tmp_path)


def test_the_command_writes_the_page_or_says_why_not(tmp_path, put, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "runs")
    assert main(["report"]) == 0
    assert capsys.readouterr().err == "wrote reports/report.html\n"
    link = "../runs/table_1c/awd_lstm/mini/seed_1/record.json"
    assert f'<a href="{link}"' in (tmp_path / "reports" / "report.html").read_text()
    assert main(["report", "--scale", "huge", "--output", "a/b.html"]) == 2
    assert "scale 'huge' does not exist; choose one of paper, mini" in capsys.readouterr().err
    assert main(["report", "--runs", "none", "--output", "a/b.html"]) == 2
    assert "'none' is not a folder" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
