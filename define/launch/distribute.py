"""`python -m define.launch.distribute CONFIGS OVERRIDES`: Hydra gives a sweep's jobs to a launcher.

A process of its own, so that Hydra pickles nothing of fairseq for the launchers' processes.
"""

import sys

import hydra

from define.launch.sweep_job import run

if __name__ == "__main__":
    configs = sys.argv.pop(1)
    hydra.main(version_base="1.3", config_path=configs, config_name="sweep")(run)()
