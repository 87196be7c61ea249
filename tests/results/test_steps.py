"""Paper-scale steps: refused where they contradict themselves, shown beside the paper's times."""

import json

import pytest

from define.analysis import steps
from define.errors import InputError


def _write(folder, step, name=None):
    path = folder / f"{name or step['row']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(step))
    return path


def test_a_step_is_read(tmp_path, make_step, make_batch_step):
    step = steps.read(_write(tmp_path, make_step()))
    assert (step.row, step.tokens_per_update, step.paper_tokens_per_update) == (
        "lstm_r2",
        20 * 140,
        60 * 140,
    )
    assert step.median_ms == 1000.0 and step.loss[-1] == 8.125
    step = steps.read(_write(tmp_path, make_batch_step()))
    assert (step.tokens_per_update, step.paper_tokens_per_update) == (4_096, 32_768)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"schema": 2}, "field 'schema' is 2, not 1"),
        ({"row": ""}, "field 'row' is empty"),
        ({"streams": 0}, "field 'streams' is 0"),
        ({"streams": 61, "tokens_per_update": 8_540}, "is 8540, more than the paper's 8400"),
        ({"tokens_per_update": 2801}, "is 2801, but streams x bptt is 2800"),
        ({"updates": 0}, "field 'updates' is 0"),
        ({"updates": 2}, "field 'ms_per_update' has 3 values, not 2"),
        ({"ms_per_update": [1.0, 0.0, 1.0]}, "field 'ms_per_update' holds 0"),
        ({"ms_per_update": [1.0, "fast"]}, r"field 'ms_per_update\[1\]' is 'fast'"),
        ({"loss": [9.0, 8.0, 7.0]}, "field 'loss' has 3 values, not 4"),
        ({"loss": [float("nan")]}, r"field 'loss\[0\]' is nan, not a finite number"),
        ({"peak_memory_mib": 0.0}, "field 'peak_memory_mib' is 0"),
        ({"parameters": {"define": 1, "context": 2, "io": 3, "total": 7}}, "is 7, but the parts"),
    ],
)
def test_a_faulty_field_is_named(tmp_path, make_step, values, sentence):
    file = _write(tmp_path, make_step() | values, "step")
    with pytest.raises(InputError, match=sentence) as refusal:
        steps.read(file)
    assert str(file) in str(refusal.value) and "run define step again" in str(refusal.value)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"max_tokens": 0}, "field 'max_tokens' is 0"),
        ({"tokens_per_update": 4_097}, "is 4097, but max_tokens x update_freq is 4096"),
        ({"paper_tokens_per_update": 4_095}, "is 4096, more than the paper's 4095"),
    ],
)
def test_a_faulty_field_of_a_translation_step_is_named(tmp_path, make_batch_step, values, sentence):
    with pytest.raises(InputError, match=sentence):
        steps.read(_write(tmp_path, make_batch_step() | values))


def test_every_field_is_required(tmp_path, make_step):
    for field in make_step():
        step = make_step()
        del step[field]
        with pytest.raises(InputError, match=f"field '{field}' is missing"):
            steps.read(_write(tmp_path, step, "step"))


def test_without_a_folder_there_are_none(tmp_path):
    assert steps.read_steps(tmp_path / "none", "1a") == [] and steps.chapter([]) == []


def test_steps_follow_the_papers_rows(tmp_path, make_step):
    for row in ("lstm_r3", "lstm_wide", "lstm_r1"):
        _write(tmp_path, make_step(row))
    _write(tmp_path / "gpu", make_step("lstm_r1", device="H100"))
    found = [(s.provenance["device"], s.row) for s in steps.read_steps(tmp_path, "1a")]
    rows = ("lstm_r1", "lstm_r3", "lstm_wide")
    assert found == [("H100", "lstm_r1"), *(("cpu", row) for row in rows)]


def test_steps_of_another_table_and_two_of_one_row_are_refused(tmp_path, make_step):
    _write(tmp_path, make_step())
    with pytest.raises(InputError, match="is a step of table '1a', not of '2'"):
        steps.read_steps(tmp_path, "2")
    _write(tmp_path, make_step(), "again")
    with pytest.raises(InputError, match="are steps of row 'lstm_r2' with as many tokens"):
        steps.read_steps(tmp_path, "1a")


def _cells(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_ratios_are_between_as_many_tokens(tmp_path, make_step):
    _write(tmp_path, make_step("lstm_r1", streams=5, ms_per_update=(2000.0,) * 3))
    _write(tmp_path, make_step("lstm_r2"))
    _write(tmp_path, make_step("lstm_r3", ms_per_update=(1500.0, 1500.0, 1600.0)))
    _write(tmp_path, make_step("lstm_wide", streams=60, ms_per_update=(4000.0,) * 3))
    blocks = steps.chapter(steps.read_steps(tmp_path, "1a"))
    assert blocks[0] == "## One paper-scale step"
    text = "\n".join(blocks)
    assert _cells(text) == [
        ["R1", "700 of 8,400", "2,000.0", "1.00", "1150", "1.00", "R1", "3.50", "8.125"],
        ["R2", "2,800 of 8,400", "1,000.0", "1.00", "297", "1.00", "R2", "3.50", "8.125"],
        # 1500 / 1000 and 298 / 297.
        ["R3", "2,800 of 8,400", "1,500.0", "1.50", "298", "1.00", "R2", "3.50", "8.125"],
        # A control has no number of the paper's.
        ["lstm_wide", "8,400 of 8,400", "4,000.0", "1.00", "-", "-", "lstm_wide", "3.50", "8.125"],
    ]
    assert "The paper's batch was cut: R1, R2, R3." in text
    assert "R1: the paper measured it on two GPUs." in text
    assert "zipf, 267,735 types" in text and "3 after 1 of warm-up" in text
    assert "* device: cpu; threads: 2" in text and "torch 2.13.0" in text


def test_devices_are_never_compared(tmp_path, make_step):
    _write(tmp_path / "cpu", make_step("lstm_r2"))
    _write(tmp_path / "gpu", make_step("lstm_r3", device="H100", ms_per_update=(50.0,) * 3))
    text = "\n".join(steps.chapter(steps.read_steps(tmp_path, "1a")))
    gpu, cpu = text.split("### cpu")
    assert [(row[0], row[3], row[6]) for row in _cells(gpu)] == [("R3", "1.00", "R3")]
    assert [row[0] for row in _cells(cpu)] == ["R2"]


def test_a_translation_has_no_time_of_the_papers(tmp_path, make_batch_step):
    _write(tmp_path, make_batch_step())
    _write(tmp_path, make_batch_step("transformer_define", ms_per_update=(1250.0,) * 3))
    text = "\n".join(steps.chapter(steps.read_steps(tmp_path, "3")))
    tokens, last = "4,096 of 32,768", ["Transformer", "3.50", "8.125"]
    assert _cells(text) == [
        ["Transformer", tokens, "1,000.0", "1.00", *last],
        ["Transformer + DeFINE", tokens, "1,250.0", "1.25", *last],
    ]
