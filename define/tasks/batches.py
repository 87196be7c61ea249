"""fairseq's interface to contiguous streams: a data set and a resumable epoch iterator."""

from collections.abc import Callable

import numpy as np
import torch
from fairseq.data import FairseqDataset
from fairseq.data.iterators import CountingIterator, EpochBatchIterating

from define.core.outputs import IGNORED
from define.data.text.streams import Streams
from define.errors import InputError


class TokenDataset(FairseqDataset):
    """One split: its tokens (memory-mapped) and its name."""

    def __init__(self, tokens: np.ndarray, split: str):
        self.tokens, self.split = tokens, split

    def __len__(self) -> int:
        return len(self.tokens)


def collate(inputs_TB: np.ndarray, targets_TB: np.ndarray, first: bool) -> dict:
    """A fairseq sample; `first` marks the start of the streams, where no state is carried."""
    return {
        "net_input": {"src_tokens": torch.from_numpy(inputs_TB)},
        "target": torch.from_numpy(targets_TB),
        "ntokens": int((targets_TB != IGNORED).sum()),
        "nsentences": targets_TB.shape[1],
        "length": len(targets_TB),
        "first": first,
    }


class StreamBatches(EpochBatchIterating):
    """Consecutive windows of the streams; saves and restores the exact position.

    Args:
        streams: this worker's columns.
        lengths: epoch -> its window lengths, the same for all workers.
        total_streams: columns of all workers together; saved positions need the same number.
        epoch: the first epoch.
    """

    def __init__(
        self, streams: Streams, lengths: Callable[[int], list[int]], total_streams: int, epoch: int
    ):
        self.streams, self.lengths, self.total_streams = streams, lengths, total_streams
        self.epoch = max(epoch, 1)
        self._offset = 0
        self._windows: CountingIterator | None = None

    def __len__(self) -> int:
        return len(self.lengths(self.epoch))

    @property
    def first_batch(self) -> dict:
        return collate(*self.streams.window(0, self.lengths(self.epoch)[0]), first=True)

    @property
    def next_epoch_idx(self) -> int:
        return self.epoch + 1 if self._windows is not None and self.end_of_epoch() else self.epoch

    def next_epoch_itr(
        self, shuffle=True, fix_batches_to_gpus=False, set_dataset_epoch=True
    ) -> CountingIterator:
        """The rest of this epoch, or the next epoch; streams are never shuffled."""
        self.epoch = self.next_epoch_idx
        lengths, offset, self._offset = self.lengths(self.epoch), self._offset, 0
        self._windows = CountingIterator(
            self._read(lengths, offset), start=offset, total=len(lengths)
        )
        return self._windows

    def _read(self, lengths: list[int], offset: int):
        start = sum(lengths[:offset])
        for index in range(offset, len(lengths)):
            yield collate(*self.streams.window(start, lengths[index]), first=index == 0)
            start += lengths[index]

    def end_of_epoch(self) -> bool:
        return self._windows is not None and not self._windows.has_next()

    @property
    def iterations_in_epoch(self) -> int:
        return self._offset if self._windows is None else self._windows.n

    def state_dict(self) -> dict:
        done = self.end_of_epoch()
        return {
            "version": 2,
            "epoch": self.epoch + 1 if done else self.epoch,
            "iterations_in_epoch": 0 if done else self.iterations_in_epoch,
            "streams": self.total_streams,
        }

    def load_state_dict(self, state_dict: dict) -> None:
        if state_dict["iterations_in_epoch"] and state_dict["streams"] != self.total_streams:
            raise InputError(
                f"the checkpoint was saved in the middle of an epoch of {state_dict['streams']} "
                f"streams, but this run has {self.total_streams}; use the same product of "
                f"dataset.batch_size and number of workers"
            )
        self.epoch = state_dict["epoch"]
        self._offset = state_dict["iterations_in_epoch"]
        self._windows = None
