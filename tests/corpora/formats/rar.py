"""RAR 5 archives of stored members, byte by byte from the published RAR 5.0 archive format.

No tool and no third-party code: signature, main header, one file header and its bytes a member, end
header. ``method`` other than 0 declares a compression nobody applied; it only serves to be refused.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

SIGNATURE = b"Rar!\x1a\x07\x01\x00"


@dataclass
class RarMember:
    """One member; ``link`` makes it a Unix symbolic link, ``size`` lies about its bytes."""

    name: str
    body: bytes = b""
    is_folder: bool = False
    link: str = ""
    size: int | None = None
    method: int = 0


def vint(value: int) -> bytes:
    out = bytearray()
    while True:
        low, value = value & 0x7F, value >> 7
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _block(kind: int, flags: int, fields: bytes, extra: bytes = b"", n_data: int = 0) -> bytes:
    content = vint(kind) + vint(flags)
    content += vint(len(extra)) if flags & 1 else b""
    content += vint(n_data) if flags & 2 else b""
    content += fields + extra
    sized = vint(len(content)) + content
    return struct.pack("<I", crc32(sized)) + sized


def _file(member: RarMember) -> bytes:
    name = member.name.encode()
    size = len(member.body) if member.size is None else member.size
    fields = vint((1 if member.is_folder else 0) | 4) + vint(size)
    fields += vint(0o040755 if member.is_folder else 0o100644)
    fields += struct.pack("<I", crc32(member.body)) + vint(member.method << 7) + vint(1)
    fields += vint(len(name)) + name
    extra = b""
    if member.link:
        target = member.link.encode()
        record = vint(5) + vint(1) + vint(0) + vint(len(target)) + target
        extra = vint(len(record)) + record
    flags = 2 | (1 if extra else 0)
    return _block(2, flags, fields, extra, len(member.body)) + member.body


def write(path: Path, members: Sequence[RarMember]) -> Path:
    """Write the archive and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = b"".join(map(_file, members))
    path.write_bytes(SIGNATURE + _block(1, 0, vint(0)) + body + _block(5, 0, vint(0)))
    return path
