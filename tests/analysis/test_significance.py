"""Paired bootstrap tests are read from their folder."""

import json

from define.analysis import significance


def _write(folder, test, name="a"):
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(test))
    return path


def test_a_test_is_read(tmp_path, make_significance):
    test = significance.read(_write(tmp_path, make_significance()))
    assert (test.set, test.sentences, test.baseline) == ("test_2016_flickr", 1_000, "plain")
    assert test.systems["define"]["chrf"]["p_value"] == 0.001
    assert significance.read_tests(tmp_path / "none") == []
