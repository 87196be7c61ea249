"""Fetching a file from the first mirror that has it, resumed, and checked by its checksum."""

import http.client
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from define.data import checksums
from define.errors import InputError

TIMEOUT_SECONDS = 30
ATTEMPTS_PER_MIRROR = 2
# Some hosts of corpora refuse clients that do not look like a browser.
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def download(
    name: str,
    checksum: str | None,
    mirrors: tuple[str, ...],
    cache: Path,
    note: str = "",
    quiet: bool = False,
) -> Path:
    """Returns `cache / name` with that checksum, downloading it where it is not there yet.

    What arrived before a failure stays in `<name>.part` and is continued by the next attempt; a
    file with a wrong checksum is deleted and fetched anew.

    Args:
        checksum: "algorithm:digits", the algorithm one of hashlib's; None accepts any file.
        mirrors: URL prefixes, tried in order.
        note: what else the user can do; ends the message when every mirror failed.
    Raises:
        InputError: no mirror delivered the right file.
    """
    target = cache / name
    if target.exists() and (checksum is None or checksums.like(target, checksum) == checksum):
        return target
    cache.mkdir(parents=True, exist_ok=True)
    part = cache / f"{name}.part"
    failures = []
    for url in (mirror + name for mirror in mirrors for _ in range(ATTEMPTS_PER_MIRROR)):
        try:
            _fetch(url, part, quiet)
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{url}: {error}")
            continue
        found = checksum and checksums.like(part, checksum)
        if found == checksum:
            part.replace(target)
            return target
        part.unlink()
        failures.append(f"{url}: expected {checksum}, found {found}")
    tried = "; ".join(dict.fromkeys(failures))
    raise InputError(f"{name} could not be downloaded ({tried}). {note}".rstrip())


def _fetch(url: str, part: Path, quiet: bool) -> None:
    """Appends to `part` what it lacks of `url`, or starts anew where the server cannot resume.

    Raises:
        OSError, http.client.HTTPException: the transfer failed or was cut short.
    """
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": USER_AGENT} | ({"Range": f"bytes={have}-"} if have else {})
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()
        raise
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        have = have if resumed else 0
        length = response.headers["Content-Length"]
        total = have + int(length) if length else None
        with (
            open(part, "ab" if resumed else "wb") as stream,
            tqdm(
                total=total, initial=have, desc=part.stem, unit="B", unit_scale=True, disable=quiet
            ) as progress,
        ):
            while chunk := response.read(1 << 16):
                stream.write(chunk)
                progress.update(len(chunk))
    size = part.stat().st_size
    if total is not None and size != total:
        raise ConnectionError(f"the transfer ended after {size} of {total} bytes")
