"""Journals: lines of many writers, torn lines, and what a resumed run takes back."""

import subprocess
import sys
from datetime import datetime

import pytest

from define.errors import InputError
from define.runs import journal


def test_events_come_back_in_order_with_their_time(tmp_path):
    path = tmp_path / "new" / journal.FILE_NAME
    assert journal.read(path) == []
    for number in (3, 1, 2):
        journal.append(path, {"event": "trained", "updates": number, "text": "ä\nb"})
    events = journal.read(path)
    assert [event["updates"] for event in events] == [3, 1, 2]
    assert all(event["text"] == "ä\nb" for event in events)
    assert all(datetime.fromisoformat(event["time"]).utcoffset() is not None for event in events)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 3


WRITER = """
import sys
from define.runs import journal
for number in range(200):
    event = {"event": "e", "writer": sys.argv[2], "number": number, "x": "y" * 300}
    journal.append(sys.argv[1], event)
"""


def test_writers_at_once_lose_and_mix_nothing(tmp_path):
    path = tmp_path / journal.FILE_NAME
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in "abcd"]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        events = journal.read(path)  # readable all the while
        assert len(events) >= seen
        seen = len(events)
    assert all(writer.wait() == 0 for writer in writers)
    events = journal.read(path)
    assert len(path.read_bytes().splitlines()) == len(events) == 800
    for name in "abcd":
        assert [e["number"] for e in events if e["writer"] == name] == list(range(200))


def test_a_torn_line_is_left_out_and_spoils_no_other(tmp_path):
    path = tmp_path / journal.FILE_NAME
    journal.append(path, {"event": "first"})
    with open(path, "ab") as stream:
        stream.write(b'{"event": "torn", "upd')
    assert [event["event"] for event in journal.read(path)] == ["first"]
    journal.append(path, {"event": "last"})
    assert [event["event"] for event in journal.read(path)] == ["first", "last"]


def test_nothing_that_json_lacks_is_written(tmp_path):
    path = tmp_path / journal.FILE_NAME
    with pytest.raises(ValueError, match="Out of range float"):
        journal.append(path, {"event": "trained", "loss": float("nan")})
    assert not path.exists()


def test_a_line_that_is_no_event_is_named(tmp_path):
    path = tmp_path / journal.FILE_NAME
    journal.append(path, {"event": "first"})
    whole = path.read_text(encoding="utf-8")
    for line, gist in (
        ("[1, 2]", r"line 2: it is \[1, 2\]; it should be an object; remove the line"),
        ('{"event": "trained", "updates": -1}', "line 2: field 'updates' is -1"),
        ('{"event": "trained", "train": {"nll": 1.0}}', "line 2: field 'train.ppl' is missing"),
    ):
        path.write_text(f"{whole}{line}\n", encoding="utf-8")
        with pytest.raises(InputError, match=f"journal.jsonl, {gist}"):
            journal.read(path)


def test_a_resumed_run_takes_back_what_its_checkpoint_did_not_hold():
    events = [
        {"event": "started", "updates": 0},
        *({"event": "trained", "updates": u, "start": 1} for u in (10, 20, 25, 30, 40)),
        {"event": "validated", "updates": 25, "start": 1},
        {"event": "interrupted"},
        {"event": "started", "updates": 25},
        *({"event": "trained", "updates": u, "start": 2} for u in (30, 40)),
        {"event": "validated", "updates": 25, "start": 2},
    ]
    trained = journal.curve(events, "trained")
    kept = [(e["updates"], e["start"]) for e in trained]
    assert kept == [(10, 1), (20, 1), (25, 1), (30, 2), (40, 2)]
    validated = journal.curve(events, "validated")
    assert [(e["updates"], e["start"]) for e in validated] == [(25, 2)]
