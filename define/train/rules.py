"""What every run keeps to, checked without fairseq."""

import torch
from omegaconf import DictConfig

from define.errors import InputError
from define.optim.by_part import groups_by_part
from define.optim.options import require_nonmono
from define.train.workloads import workload

LOSSES = ("loss", "nll_loss")
"""What the best checkpoint may be chosen by; the record's best epoch is that of the least loss."""


def check_recipe(config: DictConfig) -> None:
    """Refuses what fairseq would take and no run here does.

    Raises:
        InputError: a value of fairseq's sections that breaks a rule.
    """
    devices, optimization = config.distributed_training.distributed_world_size, config.optimization
    if devices != 1:
        raise InputError(
            f"distributed_training.distributed_world_size = {devices} must be 1 for define, which "
            f"trains on one device; fairseq-hydra-train with the config that `define train "
            f"--fairseq` prints trains on several"
        )
    if not (optimization.max_epoch > 0 or optimization.max_update > 0):
        raise InputError("training would never end; set optimization.max_epoch or max_update")
    if not optimization.lr or min(optimization.lr) <= 0:
        raise InputError(f"optimization.lr = {optimization.lr} must be greater than 0")
    if config.dataset.valid_subset != "valid" or config.dataset.disable_validation:
        raise InputError("a run is validated on valid; leave the validation of `dataset` as it is")
    checkpoint = config.checkpoint
    if checkpoint.best_checkpoint_metric not in LOSSES:
        raise InputError(
            f"checkpoint.best_checkpoint_metric = {checkpoint.best_checkpoint_metric} cannot "
            f"choose the best checkpoint; take {' or '.join(LOSSES)}"
        )
    if checkpoint.maximize_best_checkpoint_metric:
        raise InputError(
            f"checkpoint.maximize_best_checkpoint_metric = true would keep the worst epoch, for "
            f"{checkpoint.best_checkpoint_metric} is a loss; set it to false"
        )
    parameter = torch.nn.Parameter(torch.zeros(1))
    common = config.common
    if not common.fp16 or common.fp16_no_flatten_grads or common.memory_efficient_fp16:
        parameter.param_group = "context"
    optimizer = config.optimizer
    for key in ("memory_efficient_fp16", "memory_efficient_bf16"):
        if common[key] and not optimizer.get("use_old_adam", True):
            raise InputError(
                f"common.{key} = true needs optimizer.use_old_adam = true: the fused Adam would "
                f"keep its moments in half precision"
            )
    if "lr_factor_unit" in optimizer:
        groups_by_part(optimizer, [parameter])
    if "nonmono" in optimizer:
        require_nonmono(optimizer.nonmono)
    workload(config).check_recipe(config)
