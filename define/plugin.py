"""Registers everything with fairseq; `--user-dir define` comes to the same by importing the task."""


def register() -> None:
    """Idempotent: imports the modules whose import registers their classes."""
    import define.models.awd_lstm
    import define.tasks.language_modeling  # noqa: F401
