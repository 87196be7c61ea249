"""`python -m define.train.sweep.distribute CONFIGS OVERRIDES`: Hydra gives jobs to a launcher.

A process of its own, so that Hydra pickles nothing of fairseq for the launchers' processes.
"""

import sys

import hydra

from define.train.sweep.job import run

if __name__ == "__main__":
    configs = sys.argv.pop(1)
    hydra.main(version_base="1.3", config_path=configs, config_name="sweep")(run)()
