"""Overrides as Hydra reads them."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from define.launch.compose import override


@pytest.mark.parametrize(
    "path",
    ["runs/search/x+1", "/a b/c,d=e/[x](y){z}:q", "/it's", '/a"b', "/a\\b", "/a\\'b", "/~c$d%é"],
)
def test_any_path_comes_through_hydra_s_grammar(path):
    parsed = OverridesParser.create().parse_override(override("run.dir", path))
    assert (parsed.key_or_group, parsed.value()) == ("run.dir", path)
