"""Lines of two languages stay side by side, whatever is in them."""

import pytest

from define.data.parallel.bitext import BadPair, Bitext, Pair, decode, read
from define.data.source import TextFile
from define.errors import InputError


def files(folder, source: bytes, target: bytes) -> tuple[TextFile, TextFile]:
    for name, content in (("x.en", source), ("x.de", target)):
        (folder / name).write_bytes(content)
    return TextFile(folder / "x.en"), TextFile(folder / "x.de")


ODD = ["a\rb", "c\u2028d", "e\x0cf", "g\x85h", "i\x1cj", "\ttab ", "k\r"]


def test_only_newlines_end_lines(tmp_path):
    source = "".join(f"{line}\n" for line in ODD).encode()
    sides = files(tmp_path, source, b"1\n2\n3\n4\n5\n6\n7")
    found = [decode(lines) for lines in read(*sides)]
    assert found == [Pair(line, str(n)) for n, line in enumerate(ODD, start=1)]

    bitext = Bitext(tmp_path / "copy", "en", "de")
    with bitext.writing() as write:
        for pair in found:
            write(pair)
    assert list(bitext) == found
    assert list(bitext.lines(1)) == [pair.target for pair in found]
    assert (tmp_path / "copy.en").read_bytes() == source


def test_pieces_are_split_at_spaces_only(tmp_path):
    bitext = Bitext(tmp_path / "copy", "en", "de")
    with bitext.writing() as write:
        write(Pair("▁a \x85 b", "c"))
    assert list(bitext.pieces(0)) == [["▁a", "\x85", "b"]]


@pytest.mark.parametrize(
    ("source", "target", "counts"),
    [(b"a\nb\nc\n", b"1\n2\n", (3, 2)), (b"a\n", b"1\n2\n3", (1, 3)), (b"", b"1\n", (0, 1))],
)
def test_sides_of_different_length_are_refused(tmp_path, source, target, counts):
    sides = files(tmp_path, source, target)
    with pytest.raises(InputError) as raised:
        list(read(*sides))
    assert f"x.en has {counts[0]} lines but {tmp_path / 'x.de'} has {counts[1]}" in str(
        raised.value
    )


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((b"a\n", b"\n"), "empty"),
        ((b" \t\r\n", b"b\n"), "empty"),
        ((b"\xe2\x80\xa8", b"b"), "empty"),
        ((b"a\n", b"\xfcber\n"), "not UTF-8"),
        ((b"a\xff\n", b"\n"), "not UTF-8"),
    ],
)
def test_bad_pairs_tell_their_reason(lines, reason):
    with pytest.raises(BadPair) as raised:
        decode(lines)
    assert str(raised.value) == reason
