"""Unpacking what corpora come packed in: zip, tar, tar.gz and RAR, as hostile as they may be.

Every member's path is checked before a byte is written, sizes are bounded as declared and as they
turn out, and the folder appears whole or not at all. Fetching archives is ``fetch/``'s business.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from dagster_project.corpora.archive_members import CHUNK_BYTES, ArchiveError, Member, members_of
from dagster_project.corpora.shards import corpus_folder, walk
from dagster_project.corpora.spec import CorpusSpec

MAX_NAME_BYTES = 255
MAX_DEPTH = 32
MARK = ".unpacked.json"
"""File in an unpacked folder that says which archive it came from."""
SUFFIXES = (".zip", ".rar", ".7z", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
"""Ends of names of packed files, whether or not they can be unpacked here."""

REFUSALS: dict[str, str] = {
    "absolute": "an absolute path",
    "drive": "a path with a drive letter or a stream",
    "outside": "a path that leads out of the folder",
    "name": "an empty, overlong or unprintable name",
    "link": "a symbolic or hard link",
    "device": "a device, a pipe or anything else that is no file",
    "duplicate": "a path that is there already",
    "case_collision": "a path that differs from another in case or spelling alone",
    "not_wanted": "a path the caller did not ask for",
}
"""Why single members are left out; the rest of the archive is unpacked."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came out of an archive.

    Parameters
    ----------
    n_files, n_bytes
        What was written.
    refused
        Members left out by reason, a key of :data:`REFUSALS`.
    """

    n_files: int
    n_bytes: int
    refused: Mapping[str, int]


@dataclass(slots=True)
class _Paths:
    """Checks members' paths against what they may be and against one another."""

    allow: Callable[[str], bool] | None
    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    spellings: dict[str, str] = field(default_factory=dict)

    def parts(self, member: Member) -> tuple[str, ...] | str:
        """Return the parts of a path to write, or why it is not written."""
        path = member.name.replace("\\", "/")
        if path.startswith("/"):
            return "absolute"
        if ":" in path:
            return "drive"
        parts = tuple(p for p in path.split("/") if p not in ("", "."))
        if ".." in parts:
            return "outside"
        if not parts or len(parts) > MAX_DEPTH or not all(map(_is_name, parts)):
            return "name"
        if member.kind in ("link", "device"):
            return member.kind
        return self._clash(parts) or parts

    def _clash(self, parts: tuple[str, ...]) -> str | None:
        path = "/".join(parts)
        above = ["/".join(parts[:i]) for i in range(1, len(parts))]
        if path in self.files | self.folders or any(p in self.files for p in above):
            return "duplicate"
        for p in [*above, path]:
            if self.spellings.get(_folded(p), p) != p:
                return "case_collision"
        if self.allow is not None and not self.allow(path):
            return "not_wanted"
        self.files.add(path)
        self.folders.update(above)
        self.spellings.update((_folded(p), p) for p in [*above, path])
        return None


def _is_name(part: str) -> bool:
    try:
        n_bytes = len(part.encode())
    except UnicodeEncodeError:
        return False
    return n_bytes <= MAX_NAME_BYTES and part.isprintable() and part != MARK


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _copy(member: Member, target: Path, room: int) -> int:
    """Write one member and return its size; more bytes than it declares end it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    n_bytes = 0
    with member.open() as source, target.open("xb") as sink:
        while chunk := source.read(min(CHUNK_BYTES, max(member.size, 1) + 1)):
            n_bytes += len(chunk)
            if n_bytes > min(member.size, room):
                raise ArchiveError("too_large", f"a member is larger than its {member.size} bytes")
            sink.write(chunk)
    if n_bytes != member.size:
        raise ArchiveError("damaged", f"a member has {n_bytes} of its {member.size} bytes")
    return n_bytes


def _unpack_into(
    folder: Path,
    path: Path,
    max_bytes: int,
    max_files: int,
    allow: Callable[[str], bool] | None,
) -> Unpacked:
    paths, refused = _Paths(allow), Counter[str]()
    n_seen = n_bytes = 0
    with ExitStack() as stack:
        for member in members_of(path, stack):
            n_seen += 1
            if n_seen > max_files:
                raise ArchiveError("too_many_files", f"more than {max_files} members")
            if member.kind == "folder":
                continue  # folders are made for the files in them
            found = paths.parts(member)
            if isinstance(found, str):
                refused[found] += 1
                continue
            if member.size > max_bytes - n_bytes:
                raise ArchiveError("too_large", f"it declares more than {max_bytes} bytes")
            n_bytes += _copy(member, folder.joinpath(*found), max_bytes - n_bytes)
    return Unpacked(len(paths.files), n_bytes, dict(sorted(refused.items())))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _already(target: Path, digest: str) -> Unpacked | None:
    """Return what is there if it came from this archive.

    Raises
    ------
    ArchiveError
        ``target_exists`` if something else is there.
    """
    if not target.exists() and not target.is_symlink():
        return None
    try:
        content = json.loads((target / MARK).read_text("utf-8"))
        if content["sha256"] == digest:
            return Unpacked(content["n_files"], content["n_bytes"], content["refused"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ArchiveError(
        "target_exists", f"folder {target.name!r} is not from this archive; move it away first"
    )


def unpack(
    archive: Path,
    target: Path,
    *,
    max_bytes: int,
    max_files: int,
    allow: Callable[[str], bool] | None = None,
) -> Unpacked:
    """Unpack an archive into a new folder, whole or not at all.

    Parameters
    ----------
    archive
        A zip, tar, tar.gz or RAR, told by its bytes.
    target
        Folder to make; one that this archive was unpacked into already is left as it is.
    max_bytes, max_files
        Most bytes and members that may come out.
    allow
        Whether a path (forward slashes) is wanted; every one if None.

    Raises
    ------
    ArchiveError
        With its cause; ``needs_tool`` names what to install for compressed RAR members.
    """
    try:
        digest = _digest(archive)
        there = _already(target, digest)
        if there is not None:
            return there
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}-", dir=target.parent))
    except OSError as error:
        raise ArchiveError("unreadable", f"errno {error.errno}") from error
    try:
        found = _unpack_into(temporary, archive, max_bytes, max_files, allow)
        mark = {"sha256": digest, "n_files": found.n_files, "n_bytes": found.n_bytes,
                "refused": dict(found.refused)}  # fmt: skip
        (temporary / MARK).write_text(json.dumps(mark, sort_keys=True), "utf-8")
        temporary.chmod(0o755)
        temporary.rename(target)
    except ArchiveError:
        raise
    except OSError as error:
        if (there := _already(target, digest)) is None:  # another process was quicker
            # gzip says it without a number, zip by seeking to before the beginning
            cause = "damaged" if error.errno in (None, errno.EINVAL) else "unreadable"
            raise ArchiveError(cause, f"{type(error).__name__}, errno {error.errno}") from error
        return there
    except Exception as error:  # archives are parsed by others' code, which raises what it likes
        raise ArchiveError("damaged", f"it cannot be read: {type(error).__name__}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return found


def packed_files(spec: CorpusSpec, root: Path) -> tuple[str, ...]:
    """Return archives lying where a corpus is looked for, so that none is passed over in silence.

    Parameters
    ----------
    spec, root
        Corpus and data root.

    Returns
    -------
    tuple of str
        Paths below the root with forward slashes: archives inside the corpus' folder, archives
        named like it beside it, and recordings compressed one by one (``.gz``).
    """
    folder = corpus_folder(spec, root)
    inside = list(walk(folder, spec.files.folders_ignored)) if folder is not None else []
    beside = [root / f"{name}{suffix}" for name in spec.folders for suffix in SUFFIXES]
    found = [path for path in inside if _is_packed(spec, path)]
    found += [path for path in beside if path.is_file()]
    return tuple(sorted({path.relative_to(root).as_posix() for path in found}))


def _is_packed(spec: CorpusSpec, path: Path) -> bool:
    name = path.name.lower()
    is_part = re.search(r"\.(part\d+\.rar|r\d\d|zip\.\d+|7z\.\d+)\Z", name) is not None
    is_single = name.endswith(".gz") and spec.is_recording_name(name.removesuffix(".gz"))
    return is_part or is_single or name.endswith(SUFFIXES)
