"""Paper-scale steps: refused where they contradict themselves, shown beside the paper's times."""

import json

import pytest

from define.errors import InputError
from define.results import steps


def _write(folder, step, name=None):
    path = folder / f"{name or step['row']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(step))
    return path


def test_a_step_is_read(tmp_path, make_step):
    step = steps.read(_write(tmp_path, make_step()))
    assert (step.row, step.streams, step.paper_streams, step.bptt) == ("lstm_r2", 20, 60, 140)
    assert step.median_ms == 1000.0 and step.loss[-1] == 8.125


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("schema",), 2, "field 'schema' is 2, not 1"),
        (("row",), "", "field 'row' is empty"),
        (("streams",), 0, "field 'streams' is 0"),
        (("streams",), 61, "field 'streams' is 61, more than the paper's 60"),
        (("tokens_per_update",), 2801, "is 2801, but streams x bptt is 2800"),
        (("updates",), 0, "field 'updates' is 0"),
        (("updates",), 2, "field 'ms_per_update' has 3 values, not 2"),
        (("ms_per_update", 1), 0.0, "field 'ms_per_update' holds 0"),
        (("ms_per_update", 1), "fast", r"field 'ms_per_update\[1\]' is 'fast'"),
        (("loss",), [9.0, 8.0, 7.0], "field 'loss' has 3 values, not 4"),
        (("loss", 3), float("nan"), r"field 'loss\[3\]' is nan, not a finite number"),
        (("peak_memory_mib",), 0.0, "field 'peak_memory_mib' is 0"),
        (("parameters", "total"), 7, "is 7, but the parts sum to 6"),
        (("provenance", "data", "types"), None, "provenance.data.types' is None"),
        (("provenance", "device"), 3, "provenance.device' is 3"),
    ],
)
def test_a_faulty_field_is_named(tmp_path, make_step, path, value, sentence):
    step = make_step()
    *parents, last = path
    target = step
    for key in parents:
        target = target[key]
    target[last] = value
    file = _write(tmp_path, step)
    with pytest.raises(InputError, match=sentence) as refusal:
        steps.read(file)
    assert str(file) in str(refusal.value) and "run define step again" in str(refusal.value)


def test_every_field_is_required(tmp_path, make_step):
    for field in make_step():
        step = make_step()
        del step[field]
        with pytest.raises(InputError, match=f"field '{field}' is missing"):
            steps.read(_write(tmp_path, step, "step"))


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("max_tokens", 0, "field 'max_tokens' is 0"),
        ("update_freq", 0, "field 'update_freq' is 0"),
        ("sentences", 0, "field 'sentences' is 0"),
        ("source_tokens", "many", "field 'source_tokens' is 'many'"),
        ("target_tokens", 4_097, "'target_tokens' is 4097, more than the 4096 of an update with"),
        ("tokens_per_update", 4_097, "is 4097, but max_tokens x update_freq is 4096"),
        ("paper_tokens_per_update", 4_095, "is 4096, more than the paper's 4095"),
        ("paper_tokens_per_update", None, "field 'paper_tokens_per_update' is None"),
        ("updates", 0, "field 'updates' is 0"),
    ],
)
def test_a_faulty_field_of_a_translation_step_is_named(
    tmp_path, make_batch_step, field, value, sentence
):
    with pytest.raises(InputError, match=sentence):
        steps.read(_write(tmp_path, make_batch_step() | {field: value}))


def test_every_field_of_a_translation_step_is_required(tmp_path, make_batch_step):
    for field in make_batch_step().keys() - {"max_tokens"}:
        step = make_batch_step()
        del step[field]
        with pytest.raises(InputError, match=f"field '{field}' is missing"):
            steps.read(_write(tmp_path, step, "step"))
    # Without its batch it is taken for a step of streams.
    step = make_batch_step()
    del step["max_tokens"]
    with pytest.raises(InputError, match="field 'streams' is missing"):
        steps.read(_write(tmp_path, step, "step"))


def test_no_json_and_no_folder(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match="a.json is not a step record: it is not valid JSON"):
        steps.read_steps(tmp_path, "1a")
    assert steps.read_steps(tmp_path / "none", "1a") == [] and steps.chapter([]) == []


def test_steps_follow_the_papers_rows(tmp_path, make_step):
    for row in ("lstm_r3", "lstm_wide", "lstm_r1"):
        _write(tmp_path, make_step(row))
    _write(tmp_path / "gpu", make_step("lstm_r1", device="H100"))
    found = [(s.provenance["device"], s.row) for s in steps.read_steps(tmp_path, "1a")]
    assert found == [
        ("H100", "lstm_r1"),
        ("cpu", "lstm_r1"),
        ("cpu", "lstm_r3"),
        ("cpu", "lstm_wide"),
    ]


def test_steps_of_another_table_and_two_of_one_row_are_refused(tmp_path, make_step):
    _write(tmp_path, make_step())
    with pytest.raises(InputError, match="is a step of table '1a', not of '2'"):
        steps.read_steps(tmp_path, "2")
    _write(tmp_path, make_step(), "again")
    with pytest.raises(InputError, match="are steps of row 'lstm_r2' with the same streams"):
        steps.read_steps(tmp_path, "1a")


def _cells(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_ratios_are_between_equal_streams(tmp_path, make_step):
    _write(tmp_path, make_step("lstm_r1", streams=5, ms_per_update=(2000.0,) * 3))
    _write(tmp_path, make_step("lstm_r2"))
    _write(tmp_path, make_step("lstm_r3", ms_per_update=(1500.0, 1500.0, 1600.0)))
    _write(tmp_path, make_step("lstm_r5", streams=60, ms_per_update=(4000.0,) * 3))
    blocks = steps.chapter(steps.read_steps(tmp_path, "1a"))
    assert blocks[0] == "## One paper-scale step"
    text = "\n".join(blocks)
    assert _cells(text) == [
        ["R1", "5 of 60", "700", "2,000.0", "1.00", "1150", "1.00", "R1", "3.50", "8.125"],
        ["R2", "20 of 60", "2,800", "1,000.0", "1.00", "297", "1.00", "R2", "3.50", "8.125"],
        # 1500 / 1000 and 298 / 297.
        ["R3", "20 of 60", "2,800", "1,500.0", "1.50", "298", "1.00", "R2", "3.50", "8.125"],
        ["R5", "60 of 60", "8,400", "4,000.0", "1.00", "459", "1.00", "R5", "3.50", "8.125"],
    ]
    assert "cut from 60 to 5 streams of 140 tokens: R1." in text
    assert "cut from 60 to 20 streams of 140 tokens: R2, R3." in text
    assert "R1: the paper measured it on two GPUs." in text
    assert "zipf, 267,735 types" in text and "3 after 1 of warm-up" in text
    assert "* device: cpu; threads: 2" in text and "torch 2.13.0" in text


def test_devices_are_never_compared(tmp_path, make_step):
    _write(tmp_path / "cpu", make_step("lstm_r2"))
    _write(tmp_path / "gpu", make_step("lstm_r3", device="H100", ms_per_update=(50.0,) * 3))
    text = "\n".join(steps.chapter(steps.read_steps(tmp_path, "1a")))
    assert [(row[0], row[4], row[7]) for row in _cells(text.split("### cpu")[0])] == [
        ("R3", "1.00", "R3")
    ]
    assert [row[0] for row in _cells(text.split("### cpu")[1])] == ["R2"]


def test_translation_steps_have_tokens_instead_of_streams(tmp_path, make_batch_step):
    _write(tmp_path, make_batch_step())
    _write(tmp_path, make_batch_step("transformer_define", ms_per_update=(1250.0,) * 3))
    whole = {"update_freq": 16, "tokens_per_update": 32_768, "source_tokens": 30_000}
    _write(tmp_path, make_batch_step("transformer_linear") | whole)
    text = "\n".join(steps.chapter(steps.read_steps(tmp_path, "3")))
    header = next(line for line in text.splitlines() if line.startswith("| row"))
    assert [cell.strip() for cell in header.strip("|").split("|")] == [
        "row", "tokens per update", "batches", "sentences", "source", "target", "ms per update",
        "ratio ours", "ratio to", "peak GiB", "last loss",
    ]  # fmt: skip
    assert _cells(text) == [
        ["Transformer", "4,096 of 32,768", "2", "144", "3,811", "3,902", "1,000.0", "1.00",
         "Transformer", "3.50", "8.125"],
        ["Transformer + DeFINE", "4,096 of 32,768", "2", "144", "3,811", "3,902", "1,250.0", "1.25",
         "Transformer", "3.50", "8.125"],
        ["transformer_linear", "32,768 of 32,768", "16", "144", "30,000", "3,902", "1,000.0",
         "1.00", "transformer_linear", "3.50", "8.125"],
    ]  # fmt: skip
    assert "The paper's batch was cut from 32,768 to 4,096 tokens: Transformer, Transf" in text
    assert "the table's first with equal batches;" in text and "streams" not in text
    _write(tmp_path, make_batch_step(), "again")
    with pytest.raises(InputError, match="row 'transformer' with the same batches on the same dev"):
        steps.read_steps(tmp_path, "3")


def test_steps_of_both_forms_have_a_table_each(tmp_path, make_step, make_batch_step):
    _write(tmp_path, make_step("transformer_linear", table="3"))
    _write(tmp_path, make_batch_step())
    text = "\n".join(steps.chapter(steps.read_steps(tmp_path, "3")))
    streams, batches = (part.splitlines() for part in text.split("| row ")[1:])
    assert [line.split("|")[1].strip() for line in (streams[2], batches[2])] == [
        "transformer_linear",
        "Transformer",
    ]
    assert "equal batches / streams and tokens;" in text


def test_a_control_has_no_number_of_the_papers(tmp_path, make_step):
    _write(tmp_path, make_step("lstm_wide"))
    (row,) = _cells("\n".join(steps.chapter(steps.read_steps(tmp_path, "1a"))))
    assert row[0] == "lstm_wide" and row[5:8] == ["-", "-", "lstm_wide"]
