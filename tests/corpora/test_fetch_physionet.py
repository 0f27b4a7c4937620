"""PhysioNet's bucket, played by a local S3 server that shares no code with us."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hosts.cutting import cutting_relay
from hosts.entries import entry

from dagster_project.corpora.fetch.physionet import read_sums
from dagster_project.corpora.fetch.plan import Wish, make_plan
from dagster_project.corpora.fetch.run import fetch
from dagster_project.corpora.fetch.types import FetchError

SPEC = entry("physionet", {"dataset": "planted", "version": "1.0.0"})
BIG = bytes(range(256)) * 12_000
FILES = {"p1/p1.edf": BIG, "p2.edf": b"two" * 500, "RECORDS": b"p1/p1.edf\np2.edf\n"}


def sums_of(files: Mapping[str, bytes]) -> bytes:
    return "".join(f"{hashlib.sha256(d).hexdigest()} {n}\n" for n, d in files.items()).encode()


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture
def bucket(server: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import boto3

    url = f"http://127.0.0.1:{server}"
    client = boto3.client(
        "s3", region_name="us-east-1", endpoint_url=url,
        aws_access_key_id="test", aws_secret_access_key="test",
    )  # fmt: skip
    client.create_bucket(Bucket="physionet-open", ACL="public-read")
    monkeypatch.setenv("NEUROGLOSS_PHYSIONET_URL", url)
    yield client
    for found in client.list_objects_v2(Bucket="physionet-open").get("Contents", ()):
        client.delete_object(Bucket="physionet-open", Key=found["Key"])
    client.delete_bucket(Bucket="physionet-open")


def put(bucket: Any, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        key = f"planted/1.0.0/{name}"
        bucket.put_object(Bucket="physionet-open", Key=key, Body=data, ACL="public-read")


def tree(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file() and ".neurogloss" not in p.parts)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def ignore(name: str, n_bytes: int) -> None:
    pass


def test_a_project_is_fetched_with_its_sums(bucket: Any, tmp_path: Path) -> None:
    sums = {"SHA256SUMS.txt": sums_of(FILES)}
    put(bucket, {**FILES, **sums})
    key = "planted/1.0.1/p3.edf"  # another version
    bucket.put_object(Bucket="physionet-open", Key=key, Body=b"new", ACL="public-read")
    plan = make_plan(SPEC, tmp_path, Wish())
    assert {f.name: f.checksum[:7] for f in plan.wanted} == dict.fromkeys(FILES, "sha256:") | {
        "SHA256SUMS.txt": ""
    }
    fetch(plan, ignore)
    assert tree(tmp_path / "planted") == FILES | sums
    assert fetch(make_plan(SPEC, tmp_path, Wish()), ignore).n_fetched == 0


def test_a_cut_connection_is_taken_up(
    bucket: Any, server: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put(bucket, {**FILES, "SHA256SUMS.txt": sums_of(FILES)})
    with cutting_relay(server, 1_500_000) as url:
        monkeypatch.setenv("NEUROGLOSS_PHYSIONET_URL", url)
        plan = make_plan(SPEC, tmp_path, Wish(include=("p1/*",)))
        told: list[int] = []
        fetch(plan, lambda name, n: told.append(n))
    assert tree(tmp_path / "planted") == {"p1/p1.edf": BIG}
    assert sum(told) == len(BIG)
    assert min(told) == 0  # taken up where it was cut, nothing dropped


def test_a_file_that_is_not_what_the_sums_say_is_refused(bucket: Any, tmp_path: Path) -> None:
    put(bucket, {**FILES, "SHA256SUMS.txt": sums_of({**FILES, "p2.edf": b"else"})})
    with pytest.raises(FetchError, match=r"'p2.edf' came twice with another checksum"):
        fetch(make_plan(SPEC, tmp_path, Wish()), ignore)
    assert "p2.edf" not in tree(tmp_path / "planted")


def test_a_project_without_sums_is_kept_by_size_and_by_what_came(
    bucket: Any, tmp_path: Path
) -> None:
    put(bucket, FILES)
    fetch(make_plan(SPEC, tmp_path, Wish()), ignore)
    (tmp_path / "planted" / "p2.edf").write_bytes(b"owt" * 500)  # same size, other bytes
    assert fetch(make_plan(SPEC, tmp_path, Wish()), ignore).n_fetched == 1
    assert tree(tmp_path / "planted") == FILES


def test_a_key_that_leaves_the_folder_is_refused(bucket: Any, tmp_path: Path) -> None:
    put(bucket, {**FILES, "../1.0.1/p3.edf": b"evil"})
    with pytest.raises(FetchError, match=r"'\.\./1\.0\.1/p3\.edf', which does not stay inside"):
        make_plan(SPEC, tmp_path, Wish())


def test_a_version_that_does_not_exist_is_one_sentence(bucket: Any, tmp_path: Path) -> None:
    spec = entry("physionet", {"dataset": "planted", "version": "9.9.9"})
    with pytest.raises(FetchError, match=r"holds nothing under 'planted/9\.9\.9/'"):
        make_plan(spec, tmp_path, Wish())


def test_a_bucket_that_is_away_is_retryable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NEUROGLOSS_PHYSIONET_URL", "http://127.0.0.1:9")
    with pytest.raises(FetchError, match="EndpointConnectionError") as caught:
        make_plan(SPEC, tmp_path, Wish())
    assert caught.value.is_retryable


def test_the_list_of_sums_is_read_in_all_its_forms() -> None:
    digest = "A" * 64
    text = f"{digest} a b.edf\n{digest}  ./c.edf\n{digest} *d.edf\n\n# note\nshort x\n"
    assert read_sums(text) == dict.fromkeys(["a b.edf", "c.edf", "d.edf"], "a" * 64)
