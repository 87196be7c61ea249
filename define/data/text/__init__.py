"""Text for language models: corpora, their preparation, and contiguous streams."""
