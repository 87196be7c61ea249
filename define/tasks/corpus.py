"""Checkpoints that know the corpus of their training."""

from typing import Any

from define.data.prepared import require_same


class KnowsCorpus:
    """A task that keeps its corpus's `identity` in checkpoints and refuses those of another.

    fairseq hands the two states to different readers: that of `state_dict` to its generators, that
    of `get_checkpoint_dict` to a training that resumes.
    """

    identity: dict[str, Any]
    """Of the task's corpus, see `define.data.prepared.identity`; each task has its own."""

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "corpus": self.identity}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        require_same(state_dict.get("corpus"), self.identity)
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "corpus"})

    def get_checkpoint_dict(self) -> dict[str, Any]:
        return {type(self).__name__: {"corpus": self.identity}}

    def set_checkpoint_dict(self, saved: dict[str, Any]) -> None:
        require_same(saved.get("corpus"), self.identity)
