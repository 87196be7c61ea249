"""Registers everything with fairseq, as `--user-dir define` does."""


def register() -> None:
    """Idempotent: imports the modules whose import registers their classes."""
    import define.criterions.translation
    import define.models.awd_lstm
    import define.models.transformer
    import define.models.transformer_xl
    import define.tasks.language_modeling
    import define.tasks.translation  # noqa: F401
