"""The page: complete, from records only, the same each time, and nothing in it fetched."""

import re
from html.parser import HTMLParser

import pytest

from define.analysis import published
from define.cli.main import main
from define.errors import InputError
from define.report import page

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
    assert "(N 7, n 384, k 1024, m 384) not run" in overview
    smoke = tags.inside("table-1a-smoke-python_docs")
    assert "Smoke: seconds; shows that everything works, its numbers mean nothing." in smoke


def test_a_section_has_the_papers_numbers_and_ours(tags):
    mini = tags.inside("table-1a-mini-wikitext-2")
    # Seeds at 353, 356 and 359: half the interval is 4.3027 x 3 / sqrt(3) = 7.45.
    assert "R1 43.24 356.00±7.45 -0.25 +12.00 44.12 336.00±7.45 -0.75 +12.00 92.17 1.64 3" in mini
    assert "R5 34.94 - -8.55 - 35.94 - -8.93 - 48.69 1.64 - running" in mini
    assert "R3 less R2 test_ppl -12.00 [-12.00, -12.00] 3 1, 2, 3 -3.70 same" in mini
    assert "R3 180,000 1,000,000 640,000 1,820,000" in mini
    evaluated = tags.inside("table-1b")
    assert "Grave et al. 2017b, LSTM + neural cache 1a/lstm_r2 mini wikitext-2 1" in evaluated


def test_a_table_without_runs_shows_the_papers_numbers_and_says_so(tags):
    missing = tags.inside("table-4a-paper-wikitext-103")
    assert missing.startswith("Not run No run at scale paper is recorded")
    assert "HGT 39.79 40.92 40.73 - - not run" in missing


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
    assert "Transformer 1 finished 120.00 116.00 33.50 35.00 3 of 3" in tags.inside("runs")


def test_a_section_links_the_report_that_the_same_command_wrote(tmp_path, put, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "runs", row="awd_lstm")
    put(tmp_path / "runs" / "smoke", row="awd_lstm", scale="smoke")
    for words, link in (
        (["--tables", "reports"], "table_1c/mini/ptb/README.md"),
        (["--tables", "elsewhere"], "../elsewhere/table_1c/smoke/ptb/README.md"),
    ):
        assert main(["report", *words]) == 0
        text = (tmp_path / "reports" / "report.html").read_text()
        assert f'<a href="{link}">report of the table</a>' in text
        assert (tmp_path / "reports" / link).is_file()


def test_the_page_is_the_same_each_time_and_names_no_folder(everything, text):
    assert page.page([everything], everything.parent / "reports") == text
    assert str(everything.parent) not in text
    assert len(text.encode()) < 3_000_000


def test_nothing_is_fetched(tags, text):
    assert not {"script", "img", "iframe", "object", "video"} & {tag for tag, _, _ in tags.elements}
    assert tags.values("src") == [] and "@import" not in text
    assert [found["href"] for tag, found, _ in tags.elements if tag == "link"] == ["data:,"]
    assert {target[0] for target in re.findall(r"url\((.)", text)} == {"#"}
    outside = {value for value in tags.values("href") if ":" in value} - {"data:,"}
    assert outside == {page.PAPER}


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
    text = page.page([tmp_path / "runs"], tmp_path)
    assert "<i>x" not in text and "&lt;i&gt;x&lt;/i&gt;" in text


def test_only_the_scales_asked_for(everything):
    tags = Tags(page.page([everything], everything, ["smoke"]))
    assert "mini" not in tags.inside("overview") and "paper" not in tags.inside("environment")
    assert "No run at scale smoke is recorded" in tags.inside("table-2")
    assert len([1 for _, found, _ in tags.elements if found.get("class") == "record"]) == 1


def test_a_page_without_runs_and_one_with_bad_records(tmp_path):
    (tmp_path / "runs").mkdir()
    text = page.page([tmp_path / "runs"], tmp_path)
    assert "Nothing has been run yet." in text and Tags(text).texts("svg") == []
    (tmp_path / "runs" / "record.json").write_text("{}")
    with pytest.raises(InputError, match="field 'schema' is missing"):
        page.write_page([tmp_path / "runs"], tmp_path / "a" / "report.html")
    assert not (tmp_path / "a").exists()


def test_the_command_writes_the_page_or_says_why_not(tmp_path, put, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "runs")
    assert main(["report"]) == 0
    assert capsys.readouterr().err == "wrote reports/report.html\n"
    link = "../runs/table_1c/awd_lstm/mini/seed_1/record.json"
    assert f'href="{link}"' in (tmp_path / "reports" / "report.html").read_text()
    assert main(["report", "--scale", "huge", "--output", "a/b.html"]) == 2
    assert "scale 'huge' does not exist; choose one of paper, mini" in capsys.readouterr().err
    assert main(["report", "--runs", "none", "--output", "a/b.html"]) == 2
    assert "'none' is not a folder" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
