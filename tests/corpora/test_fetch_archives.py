"""Archives of deposits: unpacked beside themselves once, and never quietly left packed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from formats import rar
from hosts.deposits import plant_zenodo
from hosts.entries import entry
from hosts.web import WebHost, web_host
from trees import dreams

from dagster_project.corpora.fetch.plan import Wish, make_plan, unpacked_folder
from dagster_project.corpora.fetch.run import fetch
from dagster_project.corpora.fetch.types import FetchError
from dagster_project.corpora.fetch.verify import verify
from dagster_project.corpora.inventory import Row, inventory
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.shards import find_files

SPEC = entry("zenodo", {"record": "77"})


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebHost]:
    with web_host() as found:
        monkeypatch.setenv("NEUROGLOSS_ZENODO_URL", found.url)
        yield found


def packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return buffer.getvalue()


def ignore(name: str, n_bytes: int) -> None:
    pass


def recordings(root: Path) -> list[str]:
    return [f.relative_path for f in find_files(SPEC, root) if f.is_recording]


def test_an_archive_is_unpacked_once(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, {"part1.zip": packed({"p1.edf": b"one", "sub/p2.edf": b"two"})})
    assert fetch(make_plan(SPEC, tmp_path, Wish()), ignore).unpacked == ("part1.zip",)
    assert recordings(tmp_path) == ["planted/part1/p1.edf", "planted/part1/sub/p2.edf"]
    again = fetch(make_plan(SPEC, tmp_path, Wish()), ignore)
    assert (again.n_fetched, again.n_kept, again.unpacked) == (0, 1, ())


def test_an_archive_removed_after_unpacking_does_not_come_again(
    host: WebHost, tmp_path: Path
) -> None:
    plant_zenodo(host, {"part1.zip": packed({"p1.edf": b"one"})})
    fetch(make_plan(SPEC, tmp_path, Wish()), ignore)
    (tmp_path / "planted" / "part1.zip").unlink()
    plan = make_plan(SPEC, tmp_path, Wish())
    assert plan.missing == ()
    assert fetch(plan, ignore).n_fetched == 0
    assert not (tmp_path / "planted" / "part1.zip").exists()


def test_members_that_lead_out_stay_in_the_archive(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, {"part1.zip": packed({"../../p9.edf": b"evil", "p1.edf": b"one"})})
    fetch(make_plan(SPEC, tmp_path, Wish()), ignore)
    assert recordings(tmp_path) == ["planted/part1/p1.edf"]
    assert not list(tmp_path.rglob("p9.edf"))


def test_an_archive_that_cannot_be_unpacked_is_told_and_kept(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, {"part1.zip": b"no archive", "part2.zip": packed({"p2.edf": b"two"})})
    with pytest.raises(FetchError, match=r"'part1\.zip' came and was not unpacked \(not_archive"):
        fetch(make_plan(SPEC, tmp_path, Wish()), ignore)
    assert recordings(tmp_path) == ["planted/part2/p2.edf"]
    problems = verify(SPEC, tmp_path, manifest=tmp_path / "m.json").problems
    assert problems == ["archives still packed (1): planted/part1.zip"]


def test_room_is_counted_for_what_an_archive_holds(host: WebHost, tmp_path: Path) -> None:
    plant_zenodo(host, {"part1.zip": b"x"})
    host.records["/records/77"]["files"][0]["size"] = 10**17
    with pytest.raises(FetchError, match=r"needs 400000000\.0 GB"):
        fetch(make_plan(SPEC, tmp_path, Wish()), ignore)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("a.zip", "a"), ("a.b.tar.gz", "a.b"), ("A.RAR", "A"), ("a.tgz", "a")],
)
def test_the_folder_is_named_after_the_archive(name: str, folder: str) -> None:
    assert unpacked_folder(Path("x", name)) == Path("x", folder)


def test_a_dreams_database_is_read_as_it_arrives(host: WebHost, tmp_path: Path) -> None:
    """Its entry asks for one archive of a record that holds eight."""
    plain, there = tmp_path / "plain", tmp_path / "there"
    there.mkdir()
    dreams.write(plain)
    source = next(p for p in plain.rglob("excerpt1.edf") if "pindles" in p.as_posix()).parent
    members = [
        rar.RarMember(f"DatabaseSpindles/{p.name}", p.read_bytes()) for p in source.iterdir()
    ]
    archive = rar.write(tmp_path / "DatabaseSpindles.rar", members).read_bytes()
    plant_zenodo(host, {"DatabaseSpindles.rar": archive, "DatabaseREMs.rar": b"not ours"})
    spec = corpus("dreams-spindles")
    host.records[f"/records/{spec.access.locator['record']}"] = host.records["/records/77"]
    fetch(make_plan(spec, there, Wish()), ignore)

    def rows(root: Path) -> list[Row]:
        found = inventory(spec, root, "dreams-spindles-01-of-01", salt="s").recordings
        return [{k: v for k, v in r.items() if k not in {"path", "recording_id"}} for r in found]

    assert len(rows(there)) == len(list(source.glob("*.edf")))
    assert rows(there) == rows(plain)
