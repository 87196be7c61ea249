"""The commands and links of the project's pages are what the project has."""

import importlib.util
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from define.cli.main import build_parser

ROOT = Path(__file__).parents[1]
PAGES = (
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "experiments" / "README.md"),
    *sorted((ROOT / "docs").rglob("*.md")),
)
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def _commands() -> list[list[str]]:
    text = "\n".join(_blocks("sh")).replace("\\\n", " ")
    return [
        words
        for line in text.splitlines()
        if (words := shlex.split(line.partition(" > ")[0], comments=True))
    ]


COMMANDS = _commands()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    own = [link for link in links if not link.startswith("https://")]
    assert [link for link in own if not (page.parent / link).is_file()] == []


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


def test_the_generated_parts_are_current(tmp_path):
    spec = importlib.util.spec_from_file_location("update", ROOT / "scripts" / "update_readme.py")
    update = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(update)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert update.with_results(readme) == readme
    update.write_picture(tmp_path / "unit.svg")
    assert (tmp_path / "unit.svg").read_bytes() == (ROOT / update.PICTURE).read_bytes()


def test_every_report_is_linked():
    folder = ROOT / "experiments"
    text = (folder / "README.md").read_text(encoding="utf-8")
    reports = sorted(path.relative_to(folder) for path in folder.rglob("table_*/README.md"))
    assert reports and [path for path in reports if f"]({path.as_posix()})" not in text] == []


def test_every_command_of_the_readme_is_of_a_known_kind():
    known = {"define", "source", "fairseq-train", "fairseq-hydra-train", "fairseq-generate"}
    known |= {f"scripts/{name}.sh" for name in ("setup", "reproduce", "check", "test")}
    assert {words[0] for words in COMMANDS} == known


@pytest.mark.parametrize(
    "words", [words for words in COMMANDS if words[0] == "define"], ids=shlex.join
)
def test_define_commands(words):
    args = build_parser().parse_args(words[1:])
    if words[1] in ("train", "step", "search"):
        from define.train.compose import compose
        from define.train.sweep.plan import split

        for job in split(args.overrides)[1]:
            config = compose(job)
            assert f"experiment=table_{config.run.table}/{config.run.row}" in job


@pytest.mark.parametrize(
    "words", [words for words in COMMANDS if words[0].startswith("scripts/")], ids=shlex.join
)
def test_scripts_exist_and_explain_their_options(words):
    script = ROOT / words[0]
    assert script.stat().st_mode & 0o111
    if words[0] == "scripts/reproduce.sh":
        usage = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
        options = [word for word in words[1:] if word.startswith("--")]
        assert all(f"\n  {option} " in usage.stdout for option in options)
        tables = [word for word in words[1:] if word.startswith("table_")]
        assert all((ROOT / "configs" / "experiment" / table).is_dir() for table in tables)


@pytest.mark.parametrize(
    ("task", "recipe"),
    [
        (
            "define_language_modeling",
            ["experiment=table_1c/awd_lstm_define", "scale=paper"],
        ),
        ("define_translation", ["experiment=table_3/transformer_define", "scale=mini"]),
    ],
)
def test_the_fairseq_train_commands_are_our_recipes(task, recipe):
    from fairseq import options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf
    from omegaconf import OmegaConf

    from define import plugin
    from define.train.compose import compose, fairseq_config

    plugin.register()
    (words,) = [words for words in COMMANDS if words[0] == "fairseq-train" and task in words]
    flags = [str(ROOT / "define") if word == "define" else word for word in words[1:]]
    parser = options.get_training_parser()
    args = options.parse_args_and_arch(parser, flags)
    config = convert_namespace_to_omegaconf(args)
    recipe = OmegaConf.create(fairseq_config(compose(recipe)))
    for section in ("model", "task", "criterion", "optimizer", "lr_scheduler", "optimization"):
        for key, value in recipe[section].items():
            if (section, key) not in (("task", "data"), ("model", "_name")):
                assert config[section][key] == value, f"{section}.{key}"
    for key in ("batch_size", "max_tokens", "required_batch_size_multiple"):
        assert config.dataset[key] == recipe.dataset[key]
        valid = f"{key}_valid"
        assert valid not in recipe.dataset or config.dataset[valid] == recipe.dataset[valid]
    assert config.common.seed == recipe.common.seed


def test_library_example_runs():
    scope: dict = {}
    for block in _blocks("python"):
        exec(block, scope)
    assert scope["e_o"].shape == (1, 3, 256)
    assert scope["embedding"].cached
