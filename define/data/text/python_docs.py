"""The embedded corpus: English that every Python carries, in the manner of the Penn Treebank.

A document is one topic of the language reference (`pydoc_data.topics`), or the docstrings and
comment lines of one module of the standard library. The modules are read, never imported. A Python
version always gives the same corpus: documents are taken by name, and split by a hash of it.
"""

import ast
import hashlib
import re
import sys
import sysconfig
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

from define.data.text.vocabulary import EOS, UNK
from define.errors import InputError

TYPES = 10_000
"""Largest size of the vocabulary, `<eos>` and `<unk>` included."""

HELD_OUT = 0.05
"""Share of the tokens in the validation split, and in the test split."""

# Tests, generated tables, and what some distributions leave out, package apart or patch.
SKIPPED_MODULES = frozenset(
    (
        "ctypes distutils encodings ensurepip idlelib lib2to3 site sysconfig test tkinter turtle "
        "turtledemo venv"
    ).split()
)
SKIPPED_FOLDERS = frozenset(("test", "tests"))

COMMENT_BLOCK = re.compile(r"(?:^[ \t]*#[^\n]*\n)+", re.MULTILINE)
COMMENT_START = re.compile(r"^[ \t]*#+", re.MULTILINE)
CODE_MARK = re.compile(r"^\s*(>>>|\.\.\.(\s|$)|\$ |[-=~*^+|]{3,})|::=", re.MULTILINE)
CODE_CHARACTER = re.compile(r"[()\[\]{}=<>|\\_#@/&%$+~^]")
MOST_CODE_CHARACTERS = 0.08
"""Share of the visible characters above which a paragraph is taken for code."""
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[\"'(*]*[A-Z])")
TOKEN = re.compile(r"\d\w*(?:[.,]\d\w*)*|[^\W\d]\w*(?:[.'-]\w+)*|[.,;:?!]", re.ASCII)
FEWEST_WORDS = 3


def build() -> dict[str, list[str]]:
    """Builds the corpus.

    Returns:
        Split ("train", "valid", "test") -> lines, one sentence each: lower-case words, `N` for
        numbers, `<unk>` for what is not among the most frequent types of the training split.
    Raises:
        InputError: this Python comes without the sources of its library.
    """
    texts = documents()
    splits = assign(texts)
    lines = {
        split: [line for name, text in texts.items() if splits[name] == split for line in text]
        for split in ("train", "valid", "test")
    }
    counts = Counter(word for line in lines["train"] for word in line.split())
    kept = {word for word, _ in counts.most_common(TYPES - len((EOS, UNK)))}
    return {
        split: [" ".join(word if word in kept else UNK for word in line.split()) for line in text]
        for split, text in lines.items()
    }


def documents() -> dict[str, list[str]]:
    """Name -> tokenised lines of each document; a line that an earlier document has is left out."""
    seen: set[str] = set()
    texts = {}
    for name, text in _texts():
        lines = [line for line in dict.fromkeys(sentences(text)) if line not in seen]
        seen.update(lines)
        if lines:
            texts[name] = lines
    return texts


def assign(texts: dict[str, list[str]]) -> dict[str, str]:
    """Document name -> split: the first share of the tokens, by hash of the name, is held out."""
    sizes = {name: sum(len(line.split()) + 1 for line in lines) for name, lines in texts.items()}
    total, before, splits = sum(sizes.values()), 0, {}
    for name in sorted(texts, key=lambda name: hashlib.sha256(name.encode()).digest()):
        share = before / total
        splits[name] = "valid" if share < HELD_OUT else "test" if share < 2 * HELD_OUT else "train"
        before += sizes[name]
    return splits


def sentences(text: str) -> Iterator[str]:
    """The English sentences of a text, tokenised; paragraphs that look like code are left out."""
    for paragraph in re.split(r"\n\s*\n", text):
        words = paragraph.split()
        most = MOST_CODE_CHARACTERS * sum(map(len, words))
        if CODE_MARK.search(paragraph) or len(CODE_CHARACTER.findall(paragraph)) > most:
            continue
        for sentence in SENTENCE_END.split(" ".join(words)):
            tokens = ["N" if t[0].isdigit() else t.lower() for t in TOKEN.findall(sentence)]
            if sum(token[0].isalpha() for token in tokens) >= FEWEST_WORDS:
                yield " ".join(tokens)


def _texts() -> Iterator[tuple[str, str]]:
    """Names and raw text of all documents; the paragraphs are separated by empty lines."""
    for topic in sorted(topics):
        yield f"topic {topic}", topics[topic]
    root = Path(sysconfig.get_path("stdlib"))
    modules = _modules(root)
    if not modules:
        raise InputError(
            f"{root} holds no Python sources, from which python_docs is built; use a Python with "
            "the sources of its standard library, or another corpus."
        )
    for name in modules:
        with tokenize.open(root / name) as stream:
            source = stream.read()
        yield f"module {name}", "\n\n".join([*_docstrings(source), *_comments(source)])


def _modules(root: Path) -> list[str]:
    """Sorted paths of the library's modules, relative to `root`, with "/"."""
    names = sys.stdlib_module_names - SKIPPED_MODULES
    paths = (path.relative_to(root) for path in root.rglob("*.py"))
    return sorted(
        path.as_posix()
        for path in paths
        if path.with_suffix("").parts[0] in names and not SKIPPED_FOLDERS & set(path.parts)
    )


def _docstrings(source: str) -> list[str]:
    documented = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, documented))
    return [ast.get_docstring(node) or "" for node in nodes]


def _comments(source: str) -> list[str]:
    """Blocks of comment lines, without their hash signs."""
    return [COMMENT_START.sub("", block) for block in COMMENT_BLOCK.findall(source)]
