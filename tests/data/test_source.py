"""Text files in folders and in archives: which are taken, which are refused, and why."""

import hashlib

import pytest

from define.cli.main import main
from define.data.corpora import REGISTRY, Archive, load
from define.data.prepare import prepare
from define.data.source import TextFile
from define.errors import InputError


def md5(content: bytes) -> str:
    return "md5:" + hashlib.md5(content).hexdigest()


@pytest.fixture
def archive_folder(toy_zip, tmp_path):
    """A folder with toy.zip."""
    folder = tmp_path / "zips"
    folder.mkdir()
    (folder / "toy.zip").write_bytes(toy_zip)
    return folder


def refused(capsys, tmp_path, folder) -> str:
    """What `define prepare toy` prints when it fails; it must leave nothing."""
    before = sorted(folder.rglob("*"))
    output = tmp_path / "data"
    assert main(["prepare", "toy", "--source", str(folder), "--output", str(output)]) == 2
    assert not output.exists() or list(output.iterdir()) == []
    assert sorted(folder.rglob("*")) == before
    return capsys.readouterr().err


@pytest.mark.parametrize("subfolder", [".", "toy"])
def test_an_archive_gives_what_its_files_give(archive_folder, toy_source, tmp_path, subfolder):
    expected = prepare("toy", tmp_path / "plain" / "toy", source=toy_source)
    source = archive_folder
    if subfolder == "toy":
        source = tmp_path / "all"
        source.mkdir()
        archive_folder.rename(source / "toy")
    corpus = prepare("toy", tmp_path / "data" / "toy", source=source)
    assert corpus.meta == expected.meta
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["toy"]


def test_lines_of_an_archive_end_at_newlines_only(zipped, tmp_path):
    text = " a \n \nb\rc\r\né\u2028d"
    (tmp_path / "x.zip").write_bytes(zipped({"in/x.txt": text}))
    (tmp_path / "x.txt").write_bytes(text.encode())
    packed, plain = TextFile(tmp_path / "x.zip", "in/x.txt"), TextFile(tmp_path / "x.txt")
    assert list(packed) == list(plain) == [" a \n", " \n", "b\rc\r\n", "é\u2028d"]
    assert list(packed) == list(plain)
    assert packed.name == plain.name == "x.txt"


def test_any_accepted_checksum_will_do(toy, change_toy, toy_source, tmp_path):
    content = b"c c d\na b a c\nb a\n"
    (toy_source / "toy.train.txt").write_bytes(content)
    with pytest.raises(InputError, match="not the published file"):
        prepare("toy", tmp_path / "toy", source=toy_source)
    other = ("sha1:" + "0" * 40, md5(content))
    change_toy(checksums={**toy.checksums, "toy.train.txt": other})
    corpus = prepare("toy", tmp_path / "toy", source=toy_source)
    assert corpus.meta["source_sha256"]["toy.train.txt"] == hashlib.sha256(content).hexdigest()
    assert prepare("toy", tmp_path / "toy", source=tmp_path / "nowhere").meta == corpus.meta
    (toy_source / "toy.train.txt").write_bytes(content[:-1])
    with pytest.raises(InputError) as raised:
        prepare("toy", tmp_path / "other", source=toy_source)
    found = hashlib.sha1(content[:-1]).hexdigest()
    assert f"expected {other[0]} or {other[1]}, found sha1:{found} and md5:" in str(raised.value)


def test_text_files_are_preferred_to_their_archive(archive_folder, toy_source, tmp_path):
    (archive_folder / "toy.zip").replace(toy_source / "toy.zip")
    (toy_source / "toy.zip").write_bytes(b"not needed")
    assert prepare("toy", tmp_path / "toy", source=toy_source).types == 5


def test_neither_files_nor_archive(archive_folder, tmp_path, capsys):
    (archive_folder / "toy.zip").rename(archive_folder / "toy-v2.zip")
    message = refused(capsys, tmp_path, archive_folder)
    for part in (str(archive_folder), "toy.train.txt", "or toy.zip", "--source"):
        assert part in message
    (archive_folder / "toy.train.txt").write_text("alone")
    assert "toy.valid.txt" in refused(capsys, tmp_path, archive_folder)


def test_without_network_the_archive_is_looked_for_in_the_cache(archive_folder, tmp_path):
    with pytest.raises(InputError, match=r"raw/toy does not hold .* or toy.zip.*switched off"):
        prepare("toy", tmp_path / "data" / "toy", download=False)
    (tmp_path / "data" / "raw").mkdir(parents=True)
    archive_folder.rename(tmp_path / "data" / "raw" / "toy")
    assert prepare("toy", tmp_path / "data" / "toy", download=False).types == 5


@pytest.mark.parametrize("damage", ["truncated", "changed", "empty"])
def test_an_archive_with_a_wrong_checksum(archive_folder, toy_zip, tmp_path, capsys, damage):
    content = {"truncated": toy_zip[:-30], "changed": b"x" + toy_zip[1:], "empty": b""}[damage]
    (archive_folder / "toy.zip").write_bytes(content)
    message = refused(capsys, tmp_path, archive_folder)
    for part in (str(archive_folder / "toy.zip"), md5(toy_zip), md5(content)):
        assert part in message


def test_an_archive_without_the_files(archive_folder, change_toy, zipped, tmp_path, capsys):
    content = zipped({"toy/toy.train.txt": "a\n", "else/toy.valid.txt": "a\n"})
    (archive_folder / "toy.zip").write_bytes(content)
    change_toy(
        archive=Archive("toy.zip", md5(content), "toy"),
        checksums={**REGISTRY["toy"].checksums, "toy.train.txt": (md5(b"a\n"),)},
    )
    assert "toy.zip does not hold toy/toy.valid.txt" in refused(capsys, tmp_path, archive_folder)


def test_an_archive_with_other_files(archive_folder, change_toy, zipped, tmp_path, capsys):
    content = zipped({f"toy/toy.{split}.txt": "a\n" for split in ("train", "valid", "test")})
    (archive_folder / "toy.zip").write_bytes(content)
    change_toy(archive=Archive("toy.zip", md5(content), "toy"))
    message = refused(capsys, tmp_path, archive_folder)
    assert f"toy/toy.train.txt in {archive_folder / 'toy.zip'} is not the published" in message


@pytest.mark.parametrize("damage", ["truncated", "flipped", "no zip"])
def test_damage_that_the_checksum_does_not_show(
    archive_folder, change_toy, toy_zip, tmp_path, capsys, damage
):
    flipped = bytearray(toy_zip)
    start = toy_zip.index(b"toy/toy.train.txt") + len("toy/toy.train.txt")
    flipped[start] ^= 0xFF
    content = {"truncated": toy_zip[:-30], "flipped": bytes(flipped), "no zip": b"<html>"}[damage]
    (archive_folder / "toy.zip").write_bytes(content)
    change_toy(archive=Archive("toy.zip", md5(content), "toy"))
    assert "toy.zip is damaged" in refused(capsys, tmp_path, archive_folder)


def test_a_refused_source_keeps_what_was_prepared(archive_folder, tmp_path, capsys):
    output = tmp_path / "data"
    corpus = prepare("toy", output / "toy", source=archive_folder)
    (archive_folder / "toy.zip").write_bytes(b"")
    arguments = ["--source", str(archive_folder), "--output", str(output), "--force"]
    assert main(["prepare", "toy", *arguments]) == 2
    assert load(output / "toy").meta == corpus.meta
