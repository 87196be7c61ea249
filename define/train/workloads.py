"""The two kinds of run, language modelling and translation, behind one interface.

A workload is a module with these functions:

check_recipe(config): raises InputError for what fairseq accepts and these models do not.
load(config): the corpus.
check(config, corpus): raises InputError for what could not be trained or scored; returns the
    model's parameters by part.
score(config, corpus, quiet): the record's fields with the final scores; only this reads test sets.
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
