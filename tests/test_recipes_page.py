"""docs/recipes.md says of every paper-scale value what the composed config has."""

import re
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from define.train.compose import compose

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
FACT = re.compile(r"(?:(?P<rows>\S+): )?(?P<key>[\w.\[\]]+) = (?P<value>.+)")
STATUS = ("known", "assumed")
NO_KEY = "–"


def sections(page: str) -> dict[str, str]:
    """Title -> text of each section that names configs."""
    parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)[1:]
    named = zip(parts[::2], parts[1::2], strict=True)
    return {title: text for title, text in named if "`experiment=" in text}


def experiments(section: str) -> list[str]:
    folders = re.findall(r"`experiment=(\w+)/\*`", section)
    return [
        f"{folder}/{path.stem}"
        for folder in folders
        for path in sorted((CONFIGS / "experiment" / folder).glob("*.yaml"))
    ]


def cells(section: str) -> list[list[str]]:
    """The cells of each row of the section's table, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def facts(section: str) -> list[tuple[str, str, str]]:
    """(pattern of rows, key, value) of everything in the second column; "*" without a pattern."""
    spans = [span for row in cells(section) for span in re.findall(r"`([^`]+)`", row[1])]
    found = [FACT.fullmatch(span) for span in spans]
    assert None not in found, spans[found.index(None)]
    return [(match["rows"] or "*", match["key"], match["value"]) for match in found]


@cache
def composed(experiment: str) -> DictConfig:
    return compose([f"experiment={experiment}", "scale=paper"])


def belongs(experiment: str, pattern: str) -> bool:
    """Whether a pattern of rows (`row`, `table/row`, `!` for the others) names the experiment."""
    glob = pattern.removeprefix("!")
    named = fnmatchcase(experiment, glob if "/" in glob else f"*/{glob}")
    return named != pattern.startswith("!")


def differences(page: str) -> list[str]:
    """Facts of the page that a composed config contradicts, and facts of no row."""
    found = []
    for title, section in sections(page).items():
        rows = experiments(section)
        for pattern, key, value in facts(section):
            chosen = [row for row in rows if belongs(row, pattern)]
            found += [] if chosen else [f"{title}: no row is {pattern}"]
            wanted = OmegaConf.create(f"value: {value}").value
            for row in chosen:
                ours = OmegaConf.select(composed(row), key)
                if ours != wanted or isinstance(ours, bool) != isinstance(wanted, bool):
                    found.append(f"{title}: {row} has {key} = {ours}, the page {value}")
    return found


def keys(config: DictConfig, prefix: str = "") -> set[str]:
    """Names of all leaves, `defaults` left out."""
    found = set()
    for key in config:
        if isinstance(value := config._get_node(key), DictConfig):
            found |= keys(value, f"{prefix}{key}.")
        elif key != "defaults":
            found.add(f"{prefix}{key}")
    return found


def recipe_keys(folder: str) -> set[str]:
    """What the recipe of a table and its optimization, model and io set at scale paper."""
    recipe = OmegaConf.load(CONFIGS / "recipe" / folder / "paper.yaml")
    (optimization,) = [d["/optimization"] for d in recipe.defaults if "/optimization" in d]
    found = keys(recipe) | keys(OmegaConf.load(CONFIGS / "optimization" / f"{optimization}.yaml"))
    for path in (CONFIGS / "experiment" / folder).glob("*.yaml"):
        for default in OmegaConf.load(path).defaults:
            for group in ("model", "io"):
                if isinstance(default, DictConfig) and (name := default.get(f"/{group}")):
                    found |= keys(OmegaConf.load(CONFIGS / group / f"{name}.yaml"), "model.")
    return found


def test_the_page_has_what_the_configs_have():
    assert differences(PAGE) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("optimization.clip_norm = 0.25", "optimization.clip_norm = 0.26"),
        ("awd_lstm: model.map_dim = 400", "awd_lstm_define: model.map_dim = 400"),
        ("model.tie_tables = true", "model.tie_tables = 1"),
        ("{window: 150}", "{window: 150, memory_length: 1}"),
        ("criterion.label_smoothing = 0.1", "criterion.label_smothing = 0.1"),
        ("txl_410: model.map_dim", "txl_411: model.map_dim"),
        ("!*_text: model.unit", "model.unit"),
    ],
)
def test_a_wrong_fact_is_found(right, wrong):
    assert right in PAGE
    assert set(differences(PAGE.replace(right, wrong, 1))) - set(differences(PAGE))


@pytest.mark.parametrize("title", sections(PAGE))
def test_every_row_has_a_value_a_status_and_a_reason(title):
    rows = cells(sections(PAGE)[title])
    assert rows
    for row in rows:
        value, used, status, reason = row
        assert value and reason and status in STATUS, row
        assert used == NO_KEY or "`" in used, row


@pytest.mark.parametrize("folder", sorted(path.name for path in (CONFIGS / "recipe").iterdir()))
def test_no_value_of_a_recipe_is_left_out(folder):
    (section,) = [text for text in sections(PAGE).values() if f"`experiment={folder}/*`" in text]
    named = {key.partition("[")[0] for _, key, _ in facts(section)}
    missing = {
        key
        for key in recipe_keys(folder)
        if not any(key == name or key.startswith(f"{name}.") for name in named)
    }
    assert missing == set()
