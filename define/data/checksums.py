"""Checksums that name their algorithm: "sha256:fcea91...", "md5:9ddaac..."."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO


def of_stream(stream: IO[bytes], algorithms: Iterable[str]) -> dict[str, str]:
    """Algorithm -> checksum of what is left in `stream`, read once."""
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    while chunk := stream.read(1 << 20):
        for digest in digests.values():
            digest.update(chunk)
    return {name: f"{name}:{digest.hexdigest()}" for name, digest in digests.items()}


def like(path: str | Path, checksum: str) -> str:
    """The checksum of the file `path`, by the algorithm of `checksum`."""
    algorithm = checksum.partition(":")[0]
    with open(path, "rb") as stream:
        return of_stream(stream, [algorithm])[algorithm]
