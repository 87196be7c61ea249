"""Commas, capitals and full stops, common to both languages."""

from define.data.grammar.phrases import Sentence


def comma(words: list[str]) -> None:
    """Sets off a clause; none at the very start, and one where two clauses meet."""
    if words and words[-1][-1] != ",":
        words[-1] += ","


def written(words: list[str], sentence: Sentence) -> str:
    text = " ".join(words)
    return text[0].upper() + text[1:].rstrip(",") + ("?" if sentence.question else ".")
