"""An image's directory as a build context and as a hash: equal content, equal image, anywhere, any time."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

# Left behind by tools that ran in a directory; neither hashed nor sent to the builder.
NOT_CONTENT = {"__pycache__", ".mypy_cache", ".next", ".pytest_cache", ".ruff_cache", ".venv", "node_modules"}


def files_of(directory: Path) -> Iterator[Path]:
    """Every file and link, in an order that no file system decides."""
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if name not in NOT_CONTENT)
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        yield from (Path(folder) / name for name in sorted([*names, *links]))


def context_tar(directory: Path) -> bytes:
    """The build context. Times, owners and umask are left out: only content and the executable bit count."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(files_of(directory)):
            entry = tarfile.TarInfo(path.relative_to(directory).as_posix())
            if path.is_symlink():
                entry.type = tarfile.SYMTYPE
                entry.linkname = str(path.readlink())
                tar.addfile(entry)
            else:
                content = path.read_bytes()
                entry.size = len(content)
                entry.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
                tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def short_hash(*parts: bytes | str) -> str:
    """First 12 hex digits of a digest of the parts; ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(f"{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()[:12]
