"""``neurogloss corpora`` as a user types it: terms first, then files, then what is missing."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dagster_project.cli import main
from dagster_project.corpora.registry import corpora

FILES = {"eeg1.edf": b"one" * 1000, "eeg2.edf": b"two" * 1000, "annotations_2017_B.csv": b"1,2\n"}


class _Zenodo(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        body = FILES.get(name)
        if self.path == "/records/4940267":
            host = f"http://127.0.0.1:{self.server.server_address[1]}"
            files = [
                {
                    "key": n,
                    "size": len(d),
                    "checksum": f"md5:{hashlib.md5(d).hexdigest()}",
                    "links": {"self": f"{host}/files/{n}"},
                }
                for n, d in FILES.items()
            ]
            licence = {"license": {"id": "cc-by-4.0"}}
            body = json.dumps({"metadata": licence, "files": files}).encode()
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    root = tmp_path / "data"
    root.mkdir()
    monkeypatch.setenv("NEUROGLOSS_DATA", str(root))
    monkeypatch.setenv("NEUROGLOSS_HOME", str(tmp_path / "home"))
    return root


@pytest.fixture
def zenodo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Zenodo) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("NEUROGLOSS_ZENODO_URL", f"http://127.0.0.1:{server.server_address[1]}")
        yield
        server.shutdown()


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def tree(root: Path) -> dict[str, bytes]:
    files = (p for p in root.rglob("*") if p.is_file() and ".neurogloss" not in p.parts)
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in files}


def test_terms_come_before_the_question_and_no_is_no(
    zenodo: None, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, "n\n")
    assert main(["corpora", "fetch", "helsinki-neonatal"]) == 1
    said = capsys.readouterr().out
    assert "CC-BY-4.0 (https://creativecommons.org/licenses/by/4.0/)" in said
    assert "its host says: cc-by-4.0" in said
    assert "Stevenson" in said
    assert "6.0 kB in 3 of 3 files; 6.0 kB in 3 files still to come" in said
    assert said.index("licence") < said.index("[y/N]") < said.index("nothing was fetched")
    assert tree(data) == {}


@pytest.mark.parametrize("text", ["", "sure\n"], ids=["no answer", "another word"])
def test_only_yes_is_yes(
    text: str, zenodo: None, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, text)
    assert main(["corpora", "fetch", "helsinki-neonatal"]) == 1
    assert tree(data) == {}


def test_yes_fetches_and_a_second_time_keeps(
    zenodo: None, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, "y\n")
    assert main(["corpora", "fetch", "helsinki-neonatal"]) == 0
    assert "3 files fetched, 0 were there" in capsys.readouterr().out
    assert tree(data) == {f"helsinki-neonatal/{n}": d for n, d in FILES.items()}
    assert main(["corpora", "fetch", "helsinki-neonatal", "--yes"]) == 0
    assert "0 files fetched, 3 were there" in capsys.readouterr().out


def test_a_dry_run_lists_and_writes_nothing(
    zenodo: None, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["corpora", "fetch", "helsinki-neonatal", "--dry-run", "--subjects", "eeg2"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "3.0 kB  eeg2.edf" in said
    assert "eeg1.edf" not in said
    assert list(data.iterdir()) == []


def test_a_part_is_fetched(zenodo: None, data: Path) -> None:
    command = ["corpora", "fetch", "helsinki-neonatal", "--yes", "--include", "*.csv"]
    assert main(command) == 0
    assert set(tree(data)) == {"helsinki-neonatal/annotations_2017_B.csv"}
    assert main(["corpora", "fetch", "helsinki-neonatal", "--yes", "--max-bytes", "4k"]) == 0
    assert set(tree(data)) == {
        "helsinki-neonatal/annotations_2017_B.csv",
        "helsinki-neonatal/eeg1.edf",
    }


@pytest.mark.parametrize("key", ["tuab", "seed", "grasp-and-lift", "adhd-child", "lemon"])
def test_what_no_program_may_fetch_is_told_step_by_step(
    key: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["corpora", "fetch", key]) == 3
    said = capsys.readouterr().out
    spec = corpora()[key]
    for i, step in enumerate(spec.access.instructions, start=1):
        assert f"  {i}. {step}\n" in said
    assert spec.licence.id in said
    assert f"neurogloss corpora verify {key}" in said
    assert list(data.iterdir()) == []


def test_a_host_that_is_away_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEUROGLOSS_PHYSIONET_URL", "http://127.0.0.1:9")
    assert main(["corpora", "fetch", "eegmat", "--yes"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("neurogloss: the connection to PhysioNet's bucket failed")
    assert said.count("\n") == 1


def test_fetching_needs_a_data_root(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NEUROGLOSS_DATA")
    assert main(["corpora", "fetch", "helsinki-neonatal", "--yes"]) == 2
    assert "NEUROGLOSS_DATA is not set" in capsys.readouterr().err
    assert main(["corpora", "verify", "helsinki-neonatal"]) == 2


def test_what_is_simulated_is_not_downloaded(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "fetch", "simulated"]) == 2
    assert "'simulated' is not downloaded" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["show", "fetch", "verify"])
def test_an_unknown_corpus_is_one_sentence(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", verb, "nothing"]) == 2
    assert "'nothing' is not registered; known: ad65" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["0", "-5", "many", "5x", "inf", ""])
def test_a_size_that_is_none_is_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["corpora", "fetch", "eegmat", f"--max-bytes={size}"])
    assert "is no size; write 500000, 500M or 2G" in capsys.readouterr().err


def test_a_copy_is_verified_for_people_and_for_machines(
    zenodo: None, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["corpora", "fetch", "helsinki-neonatal", "--yes"]) == 0
    capsys.readouterr()
    assert main(["corpora", "verify", "helsinki-neonatal", "--checksums"]) == 1
    said = capsys.readouterr().out
    assert said.startswith("helsinki-neonatal: not as expected\n")
    assert "  ! recordings: 2 of 79; 77 missing\n" in said
    assert "3 files compared with their host's checksums" in said
    assert main(["corpora", "verify", "helsinki-neonatal", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["counts"] == {"recordings": 2, "subjects": 2}
    assert told["is_good"] is False
    assert not (tmp_path / "home" / "manifests").exists()


def test_every_corpus_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "list"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "corpus", "reader", "subjects", "hours", "licence", "gated", "access", "path", "present",
    ]  # fmt: skip
    cells = {line.split()[0]: line.split() for line in lines}
    assert set(cells) == set(corpora())
    assert cells["tuab"][4:] == ["TUH-EEG-agreement", "yes", "form", "fast", "no"]
    assert cells["eegmat"][2:] == ["36", "2.4", "ODC-BY-1.0", "no", "open", "fast", "no"]


def test_doubts_are_told_with_their_guards(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "list", "--doubts", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told) == sum(len(spec.doubts) for spec in corpora().values()) > 0
    assert all(d["fact"] and d["guard"] for d in told)
    assert main(["corpora", "list", "--doubts"]) == 0
    said = capsys.readouterr().out
    assert f"{told[0]['corpus']}: {told[0]['fact']}\n    guard: {told[0]['guard']}\n" in said


def test_one_corpus_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "show", "tuab"]) == 0
    told = json.loads(capsys.readouterr().out)
    spec = corpora()["tuab"]
    assert told == json.loads(spec.model_dump_json())
    for part in ("licence", "access", "citation", "expected", "published_windows", "doubts",
                 "notes", "splits"):  # fmt: skip
        assert part in told
