"""What a run is about: language modelling or translation, behind one interface.

A workload is a module with these functions:

check_recipe(config): raises InputError for what fairseq would take and these models do not.
load(config): the corpus, after a check of all that training will read and build.
types(corpus): V, as `define.train.counting.Types`.
score(config, corpus, quiet): the record's fields that hold the final scores; the only reader of
    test sets.
"""

from types import ModuleType

from omegaconf import DictConfig

from define.data.parallel import pairs
from define.data.text import corpora
from define.train import language_modeling, translation

Corpus = corpora.Corpus | pairs.PairCorpus

WORKLOADS = {
    "define_language_modeling": language_modeling,
    "define_translation": translation,
}
"""Name of the task -> workload."""


def workload(config: DictConfig) -> ModuleType:
    """The workload of a composed run config."""
    return WORKLOADS[config.task._name]
