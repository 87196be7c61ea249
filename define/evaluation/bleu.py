"""Scores of translations by sacreBLEU, and its paired bootstrap test between systems.

Each score comes with the 95 % interval of 1,000 bootstrap resamples and with sacreBLEU's signature,
which names all settings. The seed is sacreBLEU's own: 12345, unless SACREBLEU_SEED is set.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import sacremoses
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.metrics.base import Metric
from sacrebleu.significance import PairedTest, Result
from sacremoses.corpus import NonbreakingPrefixes

from define.errors import InputError

RESAMPLES = 1_000

METRICS: dict[str, Callable[[], Metric]] = {
    "bleu": BLEU,
    "chrf": CHRF,
    # Without `force`, sacreBLEU warns of text that is tokenised already, as it has to be here.
    "bleu_compound_split": partial(BLEU, tokenize="none", force=True),
}
"""Name of each metric -> sacreBLEU's metric; `compound_split` makes the tokens of the last one."""

TOKENIZERS = {"zh": "zh", "yue": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}
"""Language -> sacreBLEU's tokenizer where that is not 13a; these have no `bleu_compound_split`."""

WITHOUT_SPACES = ("bo", "dz", "km", "lo", "my", "th")
"""Languages that 13a cannot split into words, nor has sacreBLEU a tokenizer of its own for them."""

ISO_639_1 = """
aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv
dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie
ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv
mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm
rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts
tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
""".split()


def require_language(code: str) -> None:
    """Refuses a language whose words sacreBLEU would not find.

    Raises:
        InputError: an unknown code, a language without spaces, or a tokenizer that is missing.
    """
    if code not in {*ISO_639_1, *NonbreakingPrefixes().available_langs.values()}:
        raise InputError(
            f"--language {code} is unknown; take the two letters of ISO 639-1, such as de or zh"
        )
    if code in WITHOUT_SPACES:
        raise InputError(
            f"--language {code} is written without spaces between words, and sacreBLEU has no "
            f"tokenizer for it; split the words of both files and score the pieces elsewhere"
        )
    try:
        BLEU(tokenize=TOKENIZERS.get(code, "13a"))
    except RuntimeError:
        raise InputError(
            f"--language {code} needs a tokenizer that is not installed; install it with "
            f"`pip install 'sacrebleu[{code}]'`"
        ) from None


JOINERS = "\u200c\u200d"
"""Format characters that belong to the spelling of some languages."""


def doubts(hypotheses: Sequence[str], references: Sequence[str]) -> list[str]:
    """Reasons for a low score that lie in the files: all metrics compare code points.

    Returns:
        sentences without a subject, such as "is not in the Unicode normal form NFC, ...".
    """
    found, texts = [], ["\n".join(hypotheses), "\n".join(references)]
    composed = [unicodedata.is_normalized("NFC", text) for text in texts]
    if composed[0] != composed[1]:
        words = ("is", "are not") if composed[0] else ("is not", "are")
        found.append(
            f"{words[0]} in the Unicode normal form NFC, but the references {words[1]}; convert one"
        )
    extra = set(texts[0]) - set(texts[1]) - set(JOINERS)
    marks = sorted(c for c in extra if unicodedata.category(c)[0] == "C")
    if marks:
        names = ", ".join(f"U+{ord(mark):04X}" for mark in marks[:5])
        found.append(
            f"contains control characters that the references do not ({names}); remove them"
        )
    return found


def score(hypotheses: Sequence[str], references: Sequence[str], language: str) -> dict[str, Any]:
    """The scores of one translation.

    Args:
        hypotheses: detokenised sentences.
        references: as many, untouched.
        language: code of their language, for the tokenizers.
    Returns:
        "sentences", and for each of the language's `METRICS` a dict with "score", "mean" and
        "half_width" (of the interval), all three between 0 and 100, and "signature".
    Raises:
        InputError: no sentences, or not as many hypotheses as references.
    """
    test = compare({"the translation": hypotheses}, references, language)
    (results,) = test["systems"].values()
    scores: dict[str, Any] = {"sentences": test["sentences"]}
    for metric, result in results.items():
        del result["p_value"]
        scores[metric] = {**result, "signature": test["signatures"][metric]}
    return scores


def compare(
    hypotheses: Mapping[str, Sequence[str]], references: Sequence[str], language: str
) -> dict[str, Any]:
    """The scores of several systems, and a paired bootstrap test of each against the first.

    The resamples are the same sentences for all systems (Koehn 2004). The p-value estimates how
    often chance makes a difference in score as large as the one observed, in either direction.

    Args:
        hypotheses: system -> detokenised sentences; the first is the baseline.
        references, language: as for `score`.
    Returns:
        "sentences", "systems": system -> metric -> "score", "mean", "half_width" and "p_value"
        (None for the baseline; 1 where both scores are equal, which sacreBLEU would call
        significant), and "signatures": metric -> text.
    Raises:
        InputError: no sentences, or not as many hypotheses as references.
    """
    for name, lines in hypotheses.items():
        if not lines or len(lines) != len(references):
            raise InputError(
                f"{name} has {len(lines):,} lines and the references have {len(references):,}; "
                "both must have the same number, at least one"
            )
    systems: dict[str, dict[str, Any]] = {name: {} for name in hypotheses}
    signatures = {}
    for metric in METRICS:
        if metric == "bleu_compound_split" and language in TOKENIZERS:
            continue
        signatures[metric], results = _paired_test(metric, hypotheses, references, language)
        for scores, result in zip(systems.values(), results, strict=True):
            is_tie = result is not results[0] and result.score == results[0].score
            scores[metric] = {
                "score": result.score,
                "mean": float(result.mean),
                "half_width": float(result.ci),
                "p_value": 1.0 if is_tie else result.p_value,
            }
    return {"sentences": len(references), "systems": systems, "signatures": signatures}


def _paired_test(
    metric: str, hypotheses: Mapping[str, Sequence[str]], references: Sequence[str], language: str
) -> tuple[str, list[Result]]:
    """sacreBLEU's signature and its result for each system."""
    systems, make = dict(hypotheses), METRICS[metric]
    if metric == "bleu":
        make = partial(make, tokenize=TOKENIZERS.get(language, "13a"))
    if metric == "bleu_compound_split":
        references = compound_split(references, language)
        systems = {name: compound_split(lines, language) for name, lines in systems.items()}
    # A test of its own for each metric: sacreBLEU would take both kinds of BLEU for the same one.
    test = PairedTest(
        list(systems.items()),
        {metric: make()},
        [references],
        test_type="bs",
        n_samples=RESAMPLES,
    )
    signatures, results = test()
    ((name, signature),) = signatures.items()
    if metric == "bleu_compound_split":
        signature.update("tok", "moses-compound-split")
        signature.update("sacremoses", sacremoses.__version__)
    return str(signature), results[name]


def compound_split(lines: Sequence[str], language: str) -> list[str]:
    """Tokens of the BLEU that many papers report for English-German, Vaswani et al. (2017) too.

    As tensor2tensor's utils/get_ende_bleu.sh: Moses' replace-unicode-punctuation and tokenizer,
    with its escapes and without its splitting of hyphens; then every hyphen between two characters
    becomes a token, so that a compound counts as three tokens. The script takes a reference that
    was changed by hand, its lower quotes too made straight (tensor2tensor#317, 12 April 2018); here
    references and hypotheses get the same treatment, that of the quotes included. fairseq's
    scripts/compound_split_bleu.sh differs: it splits tokens as training saw them, in which
    fairseq's preparation has already set off hyphens ("a @-@ b" becomes "a @ ##AT##-##AT## @ b").

    sacremoses stands for Moses as it was before November 2018, when its tokenizer began to part a
    full stop at the end of a line from an ordinal or abbreviation before it.

    Args:
        language: whose abbreviations keep their dots; English for one that Moses does not know.
    """
    normalizer = sacremoses.MosesPunctNormalizer()
    tokenizer = sacremoses.MosesTokenizer(language)
    split = []
    for line in lines:
        line = normalizer.replace_unicode_punct(line).replace("„", '"')
        tokens = tokenizer.tokenize(line, return_str=True)
        split.append(re.sub(r"(\S)-(\S)", r"\1 ##AT##-##AT## \2", tokens))
    return split


def digest(lines: Sequence[str]) -> str:
    """The SHA-256 of the text file that holds the lines, as 64 hexadecimal digits."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
