"""Atomic writes: links and devices."""

import os

from define.files import atomic_write


def write(path, text: str) -> None:
    with atomic_write(path) as stream:
        stream.write(text)


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("before")
    link.symlink_to(target)
    write(link, "after")
    assert link.is_symlink() and target.read_text() == "after"
    assert sorted(tmp_path.iterdir()) == [link, target]


def test_a_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write(pipe, "after")
    assert os.read(reader, 99) == b"after" and pipe.is_fifo()
    os.close(reader)
