"""Fetching over real sockets: what arrives, what is resumed, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts.deposits import DEPOSITS, md5, plant_zenodo
from hosts.entries import entry
from hosts.web import WebHost, web_host

from dagster_project.corpora.fetch.plan import Wish, make_plan
from dagster_project.corpora.fetch.record import read_record
from dagster_project.corpora.fetch.run import fetch
from dagster_project.corpora.fetch.types import FetchError
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.shards import find_files

FILES = {"p1.edf": b"one" * 1000, "p2.edf": b"two" * 1000, "p1.txt": b"marks", "README": b"hello"}
BIG = bytes(range(256)) * 12_000  # 3 MB: more than a block
SPEC = entry("zenodo", {"record": "77"})


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebHost]:
    with web_host() as found:
        for name in DEPOSITS:
            monkeypatch.setenv(f"NEUROGLOSS_{name.upper()}_URL", found.url)
        yield found


class Seen(Counter[str]):
    """Bytes each file was said to have."""

    def __call__(self, name: str, n_bytes: int) -> None:
        self[name] += n_bytes


def tree(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file() and ".neurogloss" not in p.parts)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.mark.parametrize("source", DEPOSITS)
def test_a_deposit_is_fetched_whole_and_then_left_alone(
    source: str, host: WebHost, tmp_path: Path
) -> None:
    plant, locator = DEPOSITS[source]
    files = FILES if source in {"zenodo", "figshare"} else {**FILES, "more/p3.edf": b"three"}
    plant(host, files)
    spec, seen = entry(source, locator), Seen()
    plan = make_plan(spec, tmp_path, Wish())
    done = fetch(plan, seen)
    expected = files | ({"ages.csv": b"a,b\n1,2\n"} if source == "dataverse" else {})
    assert tree(tmp_path / "planted") == expected
    assert done.n_fetched == len(expected)
    assert seen == {name: len(data) for name, data in expected.items()}
    n_asked = len(host.asked)
    again = make_plan(spec, tmp_path, Wish())
    fetch(again, Seen())
    downloads = [p for _, p, _ in host.asked[n_asked:] if p in host.files]
    # the converted table has neither size nor checksum, so nothing can say that it is still right
    assert downloads in ([], ["/api/access/datafile/90"])
    assert tree(tmp_path / "planted") == expected


def test_the_data_root_sees_recordings_and_none_of_the_bookkeeping(
    host: WebHost, tmp_path: Path
) -> None:
    plant_zenodo(host, FILES)
    fetch(make_plan(SPEC, tmp_path, Wish()), Seen())
    found = [f.relative_path for f in find_files(SPEC, tmp_path)]
    assert found == ["planted/p1.edf", "planted/p1.txt", "planted/p2.edf"]


def test_a_cut_connection_is_taken_up_where_it_was_cut(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, {"p1.edf": BIG})
    path = "/records/77/files/p1.edf/content"
    host.faults[path] = [("cut", 2_500_000), ("status", 503)]
    seen = Seen()
    fetch(make_plan(SPEC, tmp_path, Wish()), seen)
    assert tree(tmp_path / "planted") == {"p1.edf": BIG}
    first, busy, resumed = host.ranges_of(path)
    assert first == ""
    assert busy == resumed
    assert 2_000_000 <= int(resumed.removeprefix("bytes=").rstrip("-")) <= 2_500_000
    assert seen["p1.edf"] == len(BIG)


def test_a_part_of_an_earlier_run_is_taken_up(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, {"p1.edf": BIG})
    part = tmp_path / "planted" / "p1.edf.part"
    part.parent.mkdir()
    part.write_bytes(BIG[:1_000_000])
    fetch(make_plan(SPEC, tmp_path, Wish()), Seen())
    assert host.ranges_of("/records/77/files/p1.edf/content") == ["bytes=1000000-"]
    assert tree(tmp_path / "planted") == {"p1.edf": BIG}


def test_a_host_without_ranges_is_read_from_the_start(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, {"p1.edf": BIG})
    host.faults["/records/77/files/p1.edf/content"] = [("no range", 0)]
    part = tmp_path / "planted" / "p1.edf.part"
    part.parent.mkdir()
    part.write_bytes(BIG[:1_000_000])
    seen = Seen()
    fetch(make_plan(SPEC, tmp_path, Wish()), seen)
    assert tree(tmp_path / "planted") == {"p1.edf": BIG}
    assert seen["p1.edf"] == len(BIG)


@pytest.mark.parametrize("old", [b"x" * 2_000_000, b"x" * 4_000_000], ids=["short", "too long"])
def test_a_part_of_something_else_is_fetched_anew(
    old: bytes, host: WebHost, tmp_path: Path
) -> None:
    plant_zenodo(host, {"p1.edf": BIG})
    part = tmp_path / "planted" / "p1.edf.part"
    part.parent.mkdir()
    part.write_bytes(old)
    seen = Seen()
    fetch(make_plan(SPEC, tmp_path, Wish()), seen)
    assert tree(tmp_path / "planted") == {"p1.edf": BIG}
    assert seen["p1.edf"] == len(BIG)


def test_a_wrong_checksum_is_fetched_once_more(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, FILES)
    path = "/records/77/files/p1.edf/content"
    host.faults[path] = [("bytes", b"bad" * 1000)]
    fetch(make_plan(SPEC, tmp_path, Wish()), Seen())
    assert len(host.ranges_of(path)) == 2
    assert tree(tmp_path / "planted") == FILES


def test_a_file_that_stays_wrong_is_refused_and_the_others_come(
    host: WebHost, tmp_path: Path
) -> None:
    plant_zenodo(host, FILES, sums={"p1.edf": md5(b"other")})
    with pytest.raises(FetchError, match=r"'p1.edf' came twice with another checksum") as caught:
        fetch(make_plan(SPEC, tmp_path, Wish()), Seen())
    assert not caught.value.is_retryable
    assert len(host.ranges_of("/records/77/files/p1.edf/content")) == 2
    assert set(tree(tmp_path / "planted")) == set(FILES) - {"p1.edf"}


def test_a_file_changed_on_disk_is_fetched_again(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, FILES)
    fetch(make_plan(SPEC, tmp_path, Wish()), Seen())
    (tmp_path / "planted" / "p2.edf").write_bytes(b"owt" * 1000)
    assert fetch(make_plan(SPEC, tmp_path, Wish()), Seen()).n_fetched == 1
    assert tree(tmp_path / "planted") == FILES


def test_a_host_that_is_away_is_retryable_and_what_came_is_kept(
    host: WebHost, tmp_path: Path
) -> None:
    plant_zenodo(host, {"p1.edf": BIG, "p2.edf": b"two"})
    host.faults["/records/77/files/p1.edf/content"] = [("cut", 1_500_000)] + [("status", 502)] * 9
    with pytest.raises(FetchError, match="answered 502") as caught:
        fetch(make_plan(SPEC, tmp_path, Wish()), Seen())
    assert caught.value.is_retryable
    kept = (tmp_path / "planted" / "p1.edf.part").read_bytes()
    assert len(kept) >= 1_000_000
    assert kept == BIG[: len(kept)]
    assert not find_files(SPEC, tmp_path)  # a part is no recording
    host.faults.clear()
    fetch(make_plan(SPEC, tmp_path, Wish()), Seen())
    assert tree(tmp_path / "planted") == {"p1.edf": BIG, "p2.edf": b"two"}


def test_a_kill_leaves_a_part_and_no_recording(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, {"eeg1.edf": BIG})
    host.records["/records/4940267"] = host.records["/records/77"]
    path = "/records/77/files/eeg1.edf/content"
    host.faults[path] = [("stall", 2_500_000)]
    command = [sys.executable, "-m", "dagster_project.cli", "corpora", "fetch"]
    killed = subprocess.Popen(
        [*command, "helsinki-neonatal", "--yes"],
        env=os.environ | {"NEUROGLOSS_DATA": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    folder = tmp_path / "helsinki-neonatal"
    part = folder / "eeg1.edf.part"
    until = time.monotonic() + 60
    while not (part.is_file() and part.stat().st_size >= 2_000_000) and time.monotonic() < until:
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    host.go_on.set()
    (left,) = tree(folder).items()
    assert left[0] == "eeg1.edf.part"
    assert left[1] == BIG[: len(left[1])]
    fetch(make_plan(corpus("helsinki-neonatal"), tmp_path, Wish()), Seen())
    assert tree(folder) == {"eeg1.edf": BIG}
    assert host.ranges_of(path) == ["", f"bytes={len(left[1])}-"]


@pytest.mark.parametrize(
    "name",
    ["../p1.edf", "/etc/p1.edf", "a/../../p1.edf", "C:p1.edf", "a\\..\\p1.edf", "", "a\x00.edf",
     ".neurogloss/fetched.jsonl"],
)  # fmt: skip
def test_a_name_that_leaves_the_folder_is_refused_before_anything_is_written(
    name: str, host: WebHost, tmp_path: Path
) -> None:
    plant_zenodo(host, {"README": b"hello", name: b"evil"})
    root = tmp_path / "data"
    root.mkdir()
    with pytest.raises(FetchError, match="does not stay inside the corpus folder"):
        make_plan(SPEC, root, Wish())
    assert tree(tmp_path) == {}


def test_a_link_out_of_the_folder_is_not_followed(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, {"sub/p1.edf": b"one"})
    (tmp_path / "outside").mkdir()
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "sub").symlink_to(tmp_path / "outside")
    with pytest.raises(FetchError, match="through a link"):
        fetch(make_plan(SPEC, tmp_path, Wish()), Seen())
    assert tree(tmp_path / "outside") == {}


def test_an_address_that_is_no_web_address_is_refused(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, {"p1.edf": b"one"})
    host.records["/records/77"]["files"][0]["links"]["self"] = "file:///etc/hostname"
    with pytest.raises(FetchError, match="no web address"):
        fetch(make_plan(SPEC, tmp_path, Wish()), Seen())


def test_more_bytes_than_stated_are_not_taken(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, {"p1.edf": BIG})
    host.records["/records/77"]["files"][0]["size"] = 10
    with pytest.raises(FetchError, match="longer than its host states"):
        fetch(make_plan(SPEC, tmp_path, Wish()), Seen())
    assert not find_files(SPEC, tmp_path)


def test_a_disk_too_small_is_told_before_the_first_byte(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, FILES)
    host.records["/records/77"]["files"][0]["size"] = 10**17
    with pytest.raises(FetchError, match=r"needs 100000000\.0 GB .* are free; make room"):
        fetch(make_plan(SPEC, tmp_path, Wish()), Seen())
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (Wish(subjects=("p1",)), {"p1.edf", "p1.txt", "README"}),
        (Wish(subjects=("P2",)), {"p2.edf", "README", "p2-notes.pdf"}),
        (Wish(include=("*.txt", "p2*")), {"p1.txt", "p2.edf", "p2-notes.pdf"}),
        (Wish(max_bytes=3100), {"README", "p2-notes.pdf", "p1.edf", "p1.txt"}),
    ],
    ids=["subject", "subject in capitals", "globs", "bytes"],
)
def test_a_part_of_a_corpus_is_fetched(
    wish: Wish, expected: set[str], host: WebHost, tmp_path: Path
) -> None:
    plant_zenodo(host, {**FILES, "p2-notes.pdf": b"of p2"})
    fetch(make_plan(SPEC, tmp_path, wish), Seen())
    assert set(tree(tmp_path / "planted")) == expected


def test_the_entry_narrows_a_deposit_of_several_corpora(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, {**FILES, "other.rar": b"not ours"})
    spec = entry("zenodo", {"record": "77", "include": "p*.edf, README"})
    fetch(make_plan(spec, tmp_path, Wish()), Seen())
    assert set(tree(tmp_path / "planted")) == {"p1.edf", "p2.edf", "README"}


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish(subjects=("p9",)), "no subject 'p9'; it has p1, p2"),
        (Wish(include=("*.xyz",)), "none of the 4 files"),
        (Wish(max_bytes=1), "none of the 4 files"),
    ],
    ids=["subject", "glob", "bytes"],
)
def test_a_wish_nothing_fits_is_one_sentence(
    wish: Wish, said: str, host: WebHost, tmp_path: Path
) -> None:
    plant_zenodo(host, FILES)
    with pytest.raises(FetchError, match=said):
        make_plan(SPEC, tmp_path, wish)


def test_two_versions_are_not_mixed_in_one_folder(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, FILES)
    fetch(make_plan(SPEC, tmp_path, Wish()), Seen())
    host.records["/records/78"] = host.records["/records/77"]
    with pytest.raises(FetchError, match="versions are not mixed"):
        fetch(make_plan(entry("zenodo", {"record": "78"}), tmp_path, Wish()), Seen())


def test_a_torn_line_of_the_record_is_not_read(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, FILES)
    fetch(make_plan(SPEC, tmp_path, Wish()), Seen())
    record = read_record(tmp_path / "planted")
    with record.path.open("a") as file:
        file.write('{"file": "p9.edf", "chec')
    assert read_record(tmp_path / "planted").checksums == record.checksums
    assert fetch(make_plan(SPEC, tmp_path, Wish()), Seen()).n_kept == len(FILES)


def test_one_folder_is_fetched_into_once_at_a_time(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, FILES)
    plan = make_plan(SPEC, tmp_path, Wish())
    inside, go_on = threading.Event(), threading.Event()

    def wait(name: str, n_bytes: int) -> None:
        inside.set()
        go_on.wait(20)

    first = threading.Thread(target=fetch, args=(plan, wait))
    first.start()
    inside.wait(20)
    try:
        with pytest.raises(FetchError, match="another fetch is at work"):
            fetch(plan, Seen())
    finally:
        go_on.set()
        first.join()
    assert tree(tmp_path / "planted") == FILES


@pytest.mark.parametrize(
    ("locator", "said"),
    [({}, "record: Field required"), ({"record": "77", "tag": "1"}, "tag: Extra inputs")],
    ids=["absent", "unknown"],
)
def test_a_locator_that_does_not_fit_is_one_sentence(
    locator: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(FetchError, match=said):
        make_plan(entry("zenodo", locator), tmp_path, Wish())


@pytest.mark.parametrize(
    ("record", "said"),
    [({"nothing": 1}, "does not list its files"), ([1], "does not list"), (None, "does not list")],
    ids=["no files", "a list", "null"],
)
def test_a_record_of_another_shape_is_one_sentence(
    record: object, said: str, host: WebHost, tmp_path: Path
) -> None:
    host.records["/records/77"] = record
    with pytest.raises(FetchError, match=said):
        make_plan(SPEC, tmp_path, Wish())


def test_a_record_that_does_not_exist_is_one_sentence(host: WebHost, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="answered 404 for '/records/77'; check the locator"):
        make_plan(SPEC, tmp_path, Wish())
