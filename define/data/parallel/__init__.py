"""Parallel text: corpora, subwords, and preparation as data sets of fairseq."""
