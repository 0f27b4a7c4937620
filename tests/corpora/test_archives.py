from __future__ import annotations

import gzip
import io
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import rarfile
from formats.rar import RarMember
from formats.rar import write as write_rar

from dagster_project.corpora.archive_members import ArchiveError
from dagster_project.corpora.archives import MARK, Unpacked, packed_files, unpack
from dagster_project.corpora.registry import corpus

Members = list[tuple[str, bytes]]
GOOD: Members = [("DatabaseSpindles/excerpt1.edf", b"0" * 70_000), ("DatabaseSpindles/a.txt", b"x")]


def as_zip(path: Path, members: Members) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members:
            archive.writestr(zipfile.ZipInfo(name), body)
    return path


def as_tar(path: Path, members: Members, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, body in members:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return path


def as_tar_gz(path: Path, members: Members) -> Path:
    return as_tar(path, members, "w:gz")


def as_rar(path: Path, members: Members) -> Path:
    return write_rar(path, [RarMember(name, body) for name, body in members])


WRITERS: dict[str, Callable[[Path, Members], Path]] = {
    "zip": as_zip, "tar": as_tar, "tar.gz": as_tar_gz, "rar": as_rar,
}  # fmt: skip


def opened(archive: Path, target: Path, **limits: int) -> Unpacked:
    return unpack(archive, target, **({"max_bytes": 1 << 20, "max_files": 100} | limits))  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    found = {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }
    found.pop(MARK, None)
    return found


@pytest.mark.parametrize("kind", WRITERS)
def test_members_come_out_as_they_went_in(tmp_path: Path, kind: str) -> None:
    archive = WRITERS[kind](tmp_path / "a.bin", GOOD)
    found = opened(archive, tmp_path / "out" / "dreams")
    assert files(tmp_path / "out" / "dreams") == dict(GOOD)
    assert found == Unpacked(2, 70_001, {})
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["dreams"]


def test_the_rar_of_the_tests_is_one_to_another_reader(tmp_path: Path) -> None:
    archive = as_rar(tmp_path / "a.rar", GOOD)
    with rarfile.RarFile(archive) as found:
        assert found.namelist() == [name for name, _ in GOOD]
        found.testrar()


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(
    ("names", "refused"),
    [
        (["/etc/cron.d/x"], "absolute"),
        (["\\\\server\\x"], "absolute"),
        (["../x"], "outside"),
        (["a/../../x"], "outside"),
        (["a\\..\\..\\x"], "outside"),
        (["C:\\x"], "drive"),
        (["a.txt:stream"], "drive"),
        (["a\x07b"], "name"),
        (["n" * 300], "name"),
        (["/".join("a" * 40)], "name"),
        (["ok.txt", "ok.txt"], "duplicate"),
        (["ok", "ok/x"], "duplicate"),
        (["ok/x", "ok"], "duplicate"),
        (["ok.txt", "OK.TXT"], "case_collision"),
        (["Ok/a", "oK/b"], "case_collision"),
        (["caf\u00e9", "cafe\u0301"], "case_collision"),
        ([MARK], "name"),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_unsafe_path_is_left_out_and_counted(
    tmp_path: Path, kind: str, names: list[str], refused: str
) -> None:
    members = [("fine.edf", b"1"), *((name, b"2") for name in names)]
    found = opened(WRITERS[kind](tmp_path / "a.bin", members), tmp_path / "deep" / "er" / "out")
    assert found.refused == {refused: 1}
    assert found.n_files == len(names)
    assert files(tmp_path / "deep")["er/out/fine.edf"] == b"1"
    outside = {p.name for p in tmp_path.iterdir()} | {p.name for p in (tmp_path / "deep").iterdir()}
    assert outside == {"a.bin", "deep", "er"}


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind in (
            ("s", tarfile.SYMTYPE), ("h", tarfile.LNKTYPE), ("p", tarfile.FIFOTYPE),
            ("c", tarfile.CHRTYPE),
        ):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert opened(tmp_path / "a.tar", tmp_path / "t").refused == {"device": 2, "link": 2}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        linked = zipfile.ZipInfo("s")
        linked.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(linked, "/etc/passwd")
    assert opened(tmp_path / "a.zip", tmp_path / "z").refused == {"link": 1}
    write_rar(
        tmp_path / "a.rar", [RarMember("s", link="/etc/passwd"), RarMember("d", is_folder=True)]
    )
    assert opened(tmp_path / "a.rar", tmp_path / "r").refused == {"link": 1}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(
    ("limits", "cause"), [({"max_bytes": 70_000}, "too_large"), ({"max_files": 1}, "too_many_files")]
)  # fmt: skip
def test_more_than_allowed_leaves_nothing_behind(
    tmp_path: Path, kind: str, limits: dict[str, int], cause: str
) -> None:
    archive = WRITERS[kind](tmp_path / "a.bin", GOOD)
    with pytest.raises(ArchiveError, match=cause):
        opened(archive, tmp_path / "out" / "dreams", **limits)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_zip_that_holds_more_than_it_declares_is_refused(tmp_path: Path) -> None:
    archive = as_zip(tmp_path / "a.zip", [("bomb", b"\0" * 500_000)])
    raw = archive.read_bytes().replace((500_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    archive.write_bytes(raw)
    with pytest.raises(ArchiveError, match=r"too_large|damaged"):
        opened(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_header_of_absurd_size_inside_a_tar_is_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 8 << 30
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 4096)
    with pytest.raises(ArchiveError, match="damaged"):
        opened(tmp_path / "a.tar.gz", tmp_path / "out", max_bytes=1 << 40)


def test_unpacking_again_changes_nothing_and_another_archive_is_refused(tmp_path: Path) -> None:
    archive, other = as_rar(tmp_path / "a.rar", GOOD), as_rar(tmp_path / "b.rar", GOOD[:1])
    first = opened(archive, tmp_path / "out")
    before = (tmp_path / "out").stat().st_mtime_ns
    assert opened(archive, tmp_path / "out") == first
    assert (tmp_path / "out").stat().st_mtime_ns == before
    with pytest.raises(ArchiveError, match="target_exists"):
        opened(other, tmp_path / "out")


def test_only_what_is_wanted_comes_out(tmp_path: Path) -> None:
    archive = as_zip(tmp_path / "a.zip", GOOD)
    found = unpack(
        archive, tmp_path / "out", max_bytes=99, max_files=9, allow=lambda p: p.endswith(".txt")
    )
    assert found == Unpacked(1, 1, {"not_wanted": 1})


def test_a_compressed_rar_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    archive = write_rar(tmp_path / "a.rar", [RarMember("a.edf", b"packed", method=3, size=50)])
    with pytest.raises(ArchiveError, match=r"needs_tool.*unrar, unar, bsdtar or 7z"):
        opened(archive, tmp_path / "out")


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\x01\x00junk"]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "a").write_bytes(body)
    with pytest.raises(ArchiveError, match=r"not_archive|damaged"):
        opened(tmp_path / "a", tmp_path / "out")


@pytest.mark.parametrize("kind", WRITERS)
def test_an_archive_cut_short_anywhere_is_no_archive(tmp_path: Path, kind: str) -> None:
    members = [(f"{i}.txt", b"x" * 700) for i in range(4)]
    whole = WRITERS[kind](tmp_path / "a.bin", members).read_bytes()
    kept = len(whole.rstrip(b"\0")) if kind == "tar" else len(whole)
    for size in range(16, kept, 37):
        (tmp_path / "b.bin").write_bytes(whole[:size])
        with pytest.raises(ArchiveError, match=r"not_archive|damaged"):
            opened(tmp_path / "b.bin", tmp_path / "out")


@pytest.mark.parametrize("kind", WRITERS)
def test_mutated_archives_never_write_outside_or_crash(tmp_path: Path, kind: str) -> None:
    rng = random.Random(kind)
    whole = WRITERS[kind](tmp_path / "a.bin", [*GOOD, ("../x", b"1")]).read_bytes()
    work = tmp_path / "work"
    work.mkdir()
    for i in range(60):
        raw = bytearray(whole[: rng.randrange(len(whole))] if i % 3 == 0 else whole)
        for _ in range(rng.randint(0, 12)):
            at = rng.randrange(min(len(raw), 400) or 1) if i % 2 else rng.randrange(len(raw) or 1)
            raw[at : at + 1] = bytes([rng.randrange(256)])
        (work / "m.bin").write_bytes(raw)
        with suppress(ArchiveError):
            assert opened(work / "m.bin", work / f"out{i}").n_bytes <= 1 << 20
        assert {p.name for p in tmp_path.iterdir()} == {"a.bin", "work"}


def test_a_packed_corpus_is_named(tmp_path: Path) -> None:
    spec = corpus("eegmat")
    assert packed_files(spec, tmp_path) == ()
    name = spec.folders[0]
    (tmp_path / name / "sub").mkdir(parents=True)
    for below in (
        "a.zip",
        "sub/b.part1.rar",
        "sub/Subject00_1.edf.gz",
        "sub/notes.txt.gz",
        "c.edf",
    ):
        (tmp_path / name / below).write_bytes(b"")
    (tmp_path / f"{name}.tar.gz").write_bytes(b"")
    assert packed_files(spec, tmp_path) == (
        f"{name}.tar.gz", f"{name}/a.zip", f"{name}/sub/Subject00_1.edf.gz",
        f"{name}/sub/b.part1.rar",
    )  # fmt: skip
