"""The folder of a prepared corpus: it appears whole or not at all, and is checked when opened."""

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from define import __version__
from define.errors import InputError
from define.files import sha256, write_json

SPLITS = ("train", "valid", "test")
META = "meta.json"
ALLOW_OTHER_CORPUS = (
    "read a corpus that the checkpoint was not trained on; its dictionary must be the same"
)
T = TypeVar("T")
C = TypeVar("C")


def chosen(name: str, registry: Mapping[str, T], kind: str) -> T:
    """The entry `name`. Raises InputError if there is none; `kind` says of what."""
    if name not in registry:
        raise InputError(f"There is no {kind} {name!r}; choose one of {', '.join(registry)}.")
    return registry[name]


@contextmanager
def opened(folder: Path) -> Iterator[dict[str, Any]]:
    """Yields the content of meta.json, after comparing the files with their checksums in it.

    Raises:
        InputError: a file is missing or was changed, or the block cannot read meta.json.
    """
    fix = f"prepare it with `define prepare {folder.name} --output {folder.parent}`"
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        for name, digest in meta["sha256"].items():
            if sha256(folder / name) != digest:
                raise InputError(
                    f"{folder / name} is not the file that was prepared (its SHA-256 is not the "
                    f"one in {META}); {fix}."
                )
        yield meta
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            f"There is no prepared corpus in {folder} ({error.strerror}: {error.filename}); {fix}."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder / META} is not readable ({error!r}); {fix}.") from None


def identity(
    name: str, sha256: Mapping[str, str], dictionaries: Mapping[str, Iterable[str]]
) -> dict[str, Any]:
    """What a checkpoint keeps of the corpus that it is trained on.

    Args:
        sha256: checksums of the corpus's files.
        dictionaries: file of a dictionary -> its types by id; their counts do not matter.
    """
    digests = {
        file: hashlib.sha256("\n".join(types).encode()).hexdigest()
        for file, types in dictionaries.items()
    }
    return {"name": name, "sha256": dict(sha256), "dictionaries": digests}


def require_same(
    trained: Mapping[str, Any] | None, given: Mapping[str, Any], allow_other: bool = False
) -> None:
    """Refuses a corpus that is not the one of the training; what only one of them names is passed.

    Args:
        trained, given: from `identity`; None for a checkpoint of an earlier version, which does not
            know its corpus.
        allow_other: whether only the dictionaries must be equal.
    Raises:
        InputError: a dictionary or, unless allowed, another file differs.
    """
    if trained is None:
        return
    fix = f"name the corpus {trained['name']!r} as it was prepared for the training"
    other = " (`define evaluate` and `define translate` read another with --allow-other-corpus)"
    for kind, rule in (
        ("dictionaries", "the same types in the same order"),
        ("sha256", "the same SHA-256"),
    ):
        old, new = trained.get(kind, {}), given[kind]
        differing = sorted(file for file in old.keys() & new.keys() if old[file] != new[file])
        if differing and kind == "sha256" and allow_other:
            continue
        if differing:
            raise InputError(
                f"{differing[0]} of the corpus {given['name']!r} differs from the one used in "
                f"training (it must have {rule}); {fix}{other if kind == 'sha256' else ''}"
            )


def prepare_folder(
    output: Path,
    load: Callable[[Path], C],
    is_current: Callable[[C], bool],
    own: Collection[str],
    find: Callable[[], T],
    write: Callable[[T, Path], None],
    force: bool,
) -> C:
    """The corpus in `output`, which is prepared unless it is there, intact and current.

    Args:
        own: names of what the folder may hold; a folder with anything else is never replaced.
        find: finds and checks the texts.
        write: writes what was found into a new folder, whose parent takes temporary files.
        force: prepare it in any case.
    Raises:
        InputError: `find` or `write` raised it, or `output` cannot be written.
    """

    def current() -> C | None:
        try:
            corpus = load(output)
        except InputError:
            return None
        return corpus if is_current(corpus) else None

    if not force and (corpus := current()):
        return corpus
    _refuse_foreign(output, own)
    try:
        found = find()
        with _whole_folder(output) as built:
            write(found, built)
    except OSError as error:
        # Another process may have prepared the same corpus in the meantime.
        if corpus := current():
            return corpus
        raise InputError(
            f"{output} could not be prepared ({error}); make room or give access, or choose "
            "another folder with --output."
        ) from error
    return load(output)


def write_meta(
    folder: Path,
    facts: Mapping[str, Any],
    source_sha256: Mapping[str, str],
    generated: bool,
) -> None:
    """Writes meta.json: the facts, checksums of the texts and of all files, and versions."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    meta = {
        **facts,
        "source_sha256": source_sha256,
        "sha256": {path.relative_to(folder).as_posix(): sha256(path) for path in files},
        "version": __version__,
    }
    if generated:
        meta["python"] = platform.python_version()
    write_json(folder / META, meta)


def require_count(title: str, what: str, found: int, expected: int | None) -> None:
    """Raises InputError if a published count is not what was found."""
    if expected is not None and found != expected:
        raise InputError(
            f"{title}: {found:,} {what} were counted but {expected:,} are published; the text "
            "files differ from the published ones, fetch them again."
        )


def watched(items: Iterable[T], title: str, total: int | None, unit: str, quiet: bool) -> tqdm:
    """The items, with a progress bar if they take more than a second."""
    return tqdm(items, title, total, unit=unit, mininterval=1, delay=1, disable=quiet)


@contextmanager
def _whole_folder(output: Path) -> Iterator[Path]:
    """Yields a new folder that replaces `output` when the block ends well, and else vanishes."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{output.name}.", suffix=".tmp", dir=output.parent
    ) as workspace:
        built, replaced = Path(workspace, "built"), Path(workspace, "replaced")
        built.mkdir()
        yield built
        if output.exists():
            os.rename(output, replaced)
        try:
            os.rename(built, output)
        except BaseException:
            if replaced.exists():
                os.rename(replaced, output)
            raise


def _refuse_foreign(output: Path, own: Collection[str]) -> None:
    """Raises InputError for an `output` that is a file, or holds more than files named in `own`."""
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file; choose another folder with --output.")
    foreign = sorted(entry.name for entry in output.glob("*") if entry.name not in own)
    if foreign:
        raise InputError(
            f"{output} holds {foreign[0]!r}, which is not part of a prepared corpus and would be "
            "lost; choose another folder with --output."
        )
