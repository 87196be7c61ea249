"""WMT'14 English-German: where its texts are published, and the text of its SGML test sets.

Training texts: as in OpenNMT-py's examples/scripts/prepare_wmt_data.sh and in fairseq's
examples/translation/prepare-wmt14en2de.sh, which differ in News Commentary's version. No checksums
of them are known here; meta.json of a prepared corpus tells what was found. Test sets: addresses,
checksums and extraction are sacreBLEU's own, so that the references are those of `sacrebleu -t`.
"""

import shutil
from pathlib import Path

from sacrebleu.dataset import DATASETS

from define.data.parallel.bitext import Parallel, Side
from define.data.source import PublishedFile, TextFile

LICENCE = (
    "Texts of the European Parliament, of Project Syndicate (News Commentary), of the web (Common "
    "Crawl) and of newspapers (newstest), released by the Workshop on Machine Translation for "
    "research."
)


def _training(name: str, folder: str, member: str) -> tuple[PublishedFile, Parallel]:
    file = PublishedFile(name, (f"https://www.statmt.org/{folder}/",))
    return file, Parallel(Side(name, f"{member}.en"), Side(name, f"{member}.de"))


def _test(dataset: str) -> tuple[PublishedFile, Parallel]:
    published = DATASETS[dataset]
    (address,), (md5,) = published.data, published.md5
    prefix, _, name = address.rpartition("/")
    source, target = published.langpairs["en-de"]
    file = PublishedFile(name, (f"{prefix}/",), (f"md5:{md5}",))
    return file, Parallel(Side(name, source), Side(name, target), sgml=True)


EUROPARL_7 = _training("training-parallel-europarl-v7.tgz", "wmt13", "training/europarl-v7.de-en")
COMMON_CRAWL = _training("training-parallel-commoncrawl.tgz", "wmt13", "commoncrawl.de-en")
NEWS_COMMENTARY_9 = _training(
    "training-parallel-nc-v9.tgz", "wmt14", "training/news-commentary-v9.de-en"
)
NEWS_COMMENTARY_11 = _training(
    "training-parallel-nc-v11.tgz",
    "wmt16/translation-task",
    "training-parallel-nc-v11/news-commentary-v11.de-en",
)
NEWSTEST_2014 = _test("wmt14")
NEWSTEST_2014_FULL = _test("wmt14/full")
NEWSTEST_2017 = _test("wmt17")


def plain(sgml: TextFile, scratch: Path) -> TextFile:
    """The segments of an SGML file as lines of a file in the folder `scratch`, by sacreBLEU."""
    markup, text = scratch / f"{sgml.name}.sgm", scratch / f"{sgml.name}.txt"
    with sgml.open() as stream, open(markup, "wb") as copy:
        shutil.copyfileobj(stream, copy)
    DATASETS["wmt14"]._convert_format(str(markup), str(text))
    return TextFile(text)
