"""Subword models: learnt on training text, text to pieces, pieces back to text.

`sentencepiece` works on raw text; `moses_bpe` on text tokenised as Moses does it, with the merges
of subword-nmt (Sennrich et al. 2016).
"""

import io
import random
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr
from importlib import metadata
from pathlib import Path
from typing import ClassVar

import sentencepiece
from sacremoses import MosesDetokenizer, MosesPunctNormalizer, MosesTokenizer
from subword_nmt.apply_bpe import BPE
from subword_nmt.learn_bpe import learn_bpe

from define.errors import InputError
from define.files import atomic_write

SAMPLE_LINES = 2_000_000
"""How many lines sentencepiece learns from at most, drawn at random."""
SEED = 1
SEPARATOR = "@@"
"""How subword-nmt marks a piece that does not end its word."""
MOST_WORDS = 1_000_000
"""How many different words merges are learnt from, the most frequent ones, and kept in memory."""


class Subwords(ABC):
    """Text of one language to pieces and back.

    Args:
        path: the file that `learn` wrote.
        language: two-letter code.
    """

    kind: ClassVar[str]
    file: ClassVar[str]
    """Name of the learnt file in a prepared corpus."""
    libraries: ClassVar[tuple[str, ...]]
    """The distributions on whose versions the pieces depend."""

    @abstractmethod
    def __init__(self, path: str | Path, language: str): ...

    @staticmethod
    @abstractmethod
    def tokeniser(language: str, training: bool = False) -> Callable[[str], str]:
        """Raw line -> the line that pieces are learnt from and cut from.

        Args:
            training: whether the line is of the training text, which may be cleaned further.
        """

    @staticmethod
    @abstractmethod
    def learn(lines: Iterable[str], pieces: int, path: Path) -> None:
        """Learns from tokenised lines, in memory that does not grow with them, and writes `path`.

        Raises:
            InputError: the text is too small for that many pieces.
        """

    @abstractmethod
    def segment(self, lines: list[str]) -> list[list[str]]:
        """The pieces of tokenised lines."""

    @abstractmethod
    def decode(self, pieces: list[str]) -> str:
        """The detokenised text of the pieces of a line."""

    def encode(self, line: str) -> list[str]:
        """The pieces of a raw line."""
        return self.segment([self.tokeniser(self.language)(line)])[0]

    @classmethod
    def versions(cls) -> dict[str, str]:
        """Distribution -> installed version."""
        return {name: metadata.version(name) for name in cls.libraries}


class SentencePiece(Subwords):
    """Byte pair encoding of raw text by sentencepiece, with its own Unicode normalisation."""

    kind = "sentencepiece"
    file = "subwords.model"
    libraries = ("sentencepiece",)

    def __init__(self, path: str | Path, language: str):
        self.language = language
        self._processor = sentencepiece.SentencePieceProcessor(model_file=str(path))

    @staticmethod
    def tokeniser(language: str, training: bool = False) -> Callable[[str], str]:
        return str

    @staticmethod
    def learn(lines: Iterable[str], pieces: int, path: Path) -> None:
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(sample(lines, SAMPLE_LINES)),
                model_writer=model,
                vocab_size=pieces,
                model_type="bpe",
                character_coverage=1.0,
                minloglevel=2,
            )
        except RuntimeError as error:
            reason = str(error).rpartition("] ")[2].rstrip(".")
            raise InputError(
                f"sentencepiece cannot learn {pieces} pieces from this text ({reason}); choose "
                "another number with --subwords."
            ) from None
        with atomic_write(path, "wb") as stream:
            stream.write(model.getvalue())

    def segment(self, lines: list[str]) -> list[list[str]]:
        return self._processor.encode(lines, out_type=str)

    def decode(self, pieces: list[str]) -> str:
        return self._processor.decode(pieces)


class MosesBPE(Subwords):
    """Moses' tokenisation and joint byte pair encoding, as fairseq's prepare-wmt14en2de.sh.

    Its scripts are Perl; sacremoses is their port, which differs in places.
    """

    kind = "moses_bpe"
    file = "codes"
    libraries = ("sacremoses", "subword-nmt")

    def __init__(self, path: str | Path, language: str):
        self.language = language
        with open(path, encoding="utf-8", newline="\n") as stream:
            self._bpe = BPE(stream, separator=SEPARATOR)
        self._detokenizer = MosesDetokenizer(language)

    @staticmethod
    def tokeniser(language: str, training: bool = False) -> Callable[[str], str]:
        tokenizer = MosesTokenizer(language)
        normalizer = MosesPunctNormalizer(language, perl_parity=True)

        def tokenise(line: str) -> str:
            if training:
                line = printable(normalizer.normalize(line))
            # The script does this to the test set, whose punctuation it leaves alone otherwise.
            line = line.replace("’", "'")
            return tokenizer.tokenize(line, aggressive_dash_splits=True, return_str=True)

        return tokenise

    @staticmethod
    def learn(lines: Iterable[str], pieces: int, path: Path) -> None:
        words: Counter[str] = Counter()
        for line in lines:
            words.update(line.split())
        counts = (f"{word} {count}" for word, count in words.most_common(MOST_WORDS))
        codes = io.StringIO()
        # It prints a progress bar, and when it stops early.
        with redirect_stderr(io.StringIO()):
            learn_bpe(counts, codes, pieces, is_dict=True)
        # The first line is a version.
        merges = codes.getvalue().count("\n") - 1
        if merges < pieces:
            raise InputError(
                f"subword-nmt cannot learn {pieces} merges from this text (no pair of pieces "
                f"occurs twice after {merges}); choose another number with --subwords."
            )
        with atomic_write(path) as stream:
            stream.write(codes.getvalue())

    def segment(self, lines: list[str]) -> list[list[str]]:
        # It remembers every word.
        if len(self._bpe.cache) > MOST_WORDS:
            self._bpe.cache.clear()
        return [self._bpe.segment_tokens(line.split()) for line in lines]

    def decode(self, pieces: list[str]) -> str:
        # The last piece may end within a word where a hypothesis was cut off.
        words = " ".join([*pieces, ""]).replace(f"{SEPARATOR} ", "").split(" ")
        return self._detokenizer.detokenize([word for word in words if word])


KINDS: dict[str, type[Subwords]] = {cls.kind: cls for cls in (SentencePiece, MosesBPE)}


def printable(line: str) -> str:
    """The line with a space for every character of Unicode's category C, as Moses' script does."""
    return "".join(" " if unicodedata.category(c)[0] == "C" else c for c in line)


def sample(lines: Iterable[str], most: int) -> list[str]:
    """`most` of the lines, drawn evenly and always the same; all of them where they are fewer."""
    generator = random.Random(SEED)
    kept: list[str] = []
    for number, line in enumerate(lines):
        if number < most:
            kept.append(line)
        elif (place := generator.randrange(number + 1)) < most:
            kept[place] = line
    return kept
