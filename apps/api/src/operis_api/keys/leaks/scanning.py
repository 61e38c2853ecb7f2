"""Finding our keys in files: by their pattern, then by their checksum, so that what looks like one is no finding."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from operis_api.keys.secret import SHOWN_CHARACTERS, is_well_formed

FILE_BYTES_MAX = 64 * 1024 * 1024
FILES_MAX = 1_000_000
SKIPPED_DIRECTORIES = {".git", ".hg", ".svn"}
_PROBED_BYTES = 8192
_PATTERN = re.compile(rb"(?<![0-9A-Za-z])sk-op-[0-9A-Za-z]{38}(?![0-9A-Za-z])")


class Finding(msgspec.Struct, frozen=True):
    file: str
    line: int
    prefix: str
    """As lists of keys show it: the secret itself is never printed."""


class Scan:
    """Walks a path once; `unread` names what could not be looked into or was too large to be."""

    def __init__(self) -> None:
        self.files = 0
        self.unread: list[str] = []

    def find(self, path: Path) -> Iterator[Finding]:
        """Yield the keys in a file, or in the files below a directory; links are not followed."""
        if not path.is_dir():
            yield from self._find_in_file(path)
            return
        for directory, names, files in os.walk(path, onerror=self._note):
            names[:] = sorted(name for name in names if name not in SKIPPED_DIRECTORIES)
            for name in sorted(files):
                if self.files >= FILES_MAX:
                    self.unread.append(f"{directory}: more than {FILES_MAX} files")
                    return
                yield from self._find_in_file(Path(directory) / name)

    def _find_in_file(self, path: Path) -> Iterator[Finding]:
        try:
            if path.is_symlink() or not path.is_file():
                return
            self.files += 1
            if path.stat().st_size > FILE_BYTES_MAX:
                self.unread.append(f"{path}: larger than {FILE_BYTES_MAX} bytes")
                return
            content = path.read_bytes()
        except OSError as error:
            self._note(error)
            return
        if b"\x00" in content[:_PROBED_BYTES]:  # a binary
            return
        for match in _PATTERN.finditer(content):
            secret = match[0].decode()
            if is_well_formed(secret):
                line = content.count(b"\n", 0, match.start()) + 1
                yield Finding(str(path), line, secret[:SHOWN_CHARACTERS])

    def _note(self, error: OSError) -> None:
        self.unread.append(f"{error.filename}: {error.strerror}")
