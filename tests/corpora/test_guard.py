from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.guard import Limits, Visit, map_files, map_guarded
from dagster_project.corpora.inventory import Inventory, inventory
from dagster_project.corpora.registry import load_entry
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.spec import CorpusSpec

QUICK = Limits(base_s=6.0)

OWN_READER = '''
import os, signal, time
from dagster_project.corpora.readers.edf import EdfRecording

def open_edf_or_obey(path, options):
    """An EDF file, unless its first bytes are an order to a reader gone wrong."""
    with open(path, "rb") as file:
        order = file.read(8).strip().decode("latin-1")
    if order == "HANG":
        time.sleep(3600)
    if order == "EAT":
        held = bytearray(4 << 30)
    if order == "DIE":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "ABORT":
        os.abort()
    if order == "EXIT":
        os._exit(0)
    if order == "RAISE":
        raise RuntimeError(f"Jane Doe in {path}")
    return EdfRecording(path)
'''


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CorpusSpec]:
    """A corpus whose entry names a reader of its own, as a user would write it."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "obeying_reader.py").write_text(OWN_READER)
    entry = {
        "key": "obedient", "title": "t", "citation": "c", "licence": {"id": "x", "url": "u"},
        "folders": ["obedient"], "n_shards": 1, "line_freq_hz": 50.0,
        "files": {"suffixes": [".edf"], "pattern": r"(?P<subject>s\d+)\.edf$"},
        "identity": {"family": "obedient"},
        "reader": {"name": "own", "params": {"target": "obeying_reader:open_edf_or_obey"}},
    }  # fmt: skip
    (folder / "obedient.yaml").write_text(json.dumps(entry))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("NEUROGLOSS_CORPORA", str(folder))
        from dagster_project.corpora.registry import corpora

        corpora.cache_clear()
        yield load_entry(folder / "obedient.yaml")
    corpora.cache_clear()


def take(spec: CorpusSpec, root: Path, limits: Limits | None = QUICK, n: int = 1) -> Inventory:
    return inventory(
        spec, root, "obedient-01-of-01", salt="s", limits=limits, n_workers=n, pool_from_bytes=0
    )


def tree(root: Path, write_edf: object, orders: dict[int, str], n: int = 4) -> Path:
    folder = root / "obedient"
    for i in range(n):
        path = folder / f"s{i}.edf"
        if i in orders:
            folder.mkdir(exist_ok=True)
            path.write_text(orders[i].ljust(8))
        else:
            write_edf(path, duration_s=12, seed=i)  # type: ignore[operator]
    return root


@pytest.mark.parametrize(
    ("order", "cause"),
    [("HANG", "too_slow"), ("EAT", "too_large"), ("DIE", "worker_died"), ("RAISE", "unexpected")],
)
def test_a_reader_gone_wrong_costs_its_own_file_alone(
    tmp_path: Path, write_edf: object, spec: CorpusSpec, order: str, cause: str
) -> None:
    found = take(spec, tree(tmp_path, write_edf, {1: order}))
    assert [r["status"] for r in found.recordings] == ["accepted", "rejected"] + ["accepted"] * 2
    assert [(r["cause"], "Doe" in r["detail"]) for r in found.rejects] == [(cause, False)]


def test_several_bad_files_in_a_row_and_at_the_end(
    tmp_path: Path, write_edf: object, spec: CorpusSpec
) -> None:
    found = take(spec, tree(tmp_path, write_edf, {0: "DIE", 1: "EXIT", 3: "ABORT"}))
    assert [r["reject_cause"] for r in found.recordings] == [
        "worker_died", "worker_died", None, "worker_died",
    ]  # fmt: skip


def test_several_children_give_the_same_rows_in_the_same_order(
    tmp_path: Path, write_edf: object, spec: CorpusSpec
) -> None:
    root = tree(tmp_path, write_edf, {2: "DIE"})
    one, two = take(spec, root), take(spec, root, n=2)
    assert one.recordings == two.recordings
    assert one.rejects == two.rejects


def test_cutting_is_guarded_too(tmp_path: Path, write_edf: object, spec: CorpusSpec) -> None:
    root = tree(tmp_path, write_edf, {})
    rows = take(spec, root).recordings
    (root / "obedient" / "s2.edf").write_text("DIE     ")
    found = process_shard(spec, root, rows, limits=QUICK)
    assert found.segments.num_rows == 3
    assert [r["cause"] for r in found.rejects.to_pylist()] == ["worker_died"]


def test_what_is_cut_does_not_depend_on_where(
    tmp_path: Path, write_edf: object, spec: CorpusSpec
) -> None:
    root = tree(tmp_path, write_edf, {})
    rows = take(spec, root).recordings
    fast = spec.model_copy(
        update={"reader": spec.reader.model_copy(update={"name": "edf", "params": {}})}
    )
    inline = take(fast, root, limits=None)
    assert inline.recordings == rows
    assert process_shard(fast, root, rows).segments == process_shard(spec, root, rows).segments


def test_a_reader_that_is_not_fast_is_guarded_without_being_told(
    tmp_path: Path, write_edf: object, spec: CorpusSpec
) -> None:
    found = take(spec, tree(tmp_path, write_edf, {0: "DIE"}), limits=None)
    assert [r["reject_cause"] for r in found.recordings] == ["worker_died", None, None, None]


def test_the_time_a_file_gets_grows_with_its_size() -> None:
    limits = Limits(base_s=10.0, bytes_per_s=1e6, head_room_bytes=100, head_room_per_byte=3)
    assert limits.deadline_s(5_000_000) == 15.0
    assert (limits.room_bytes(1), limits.room_bytes(1000)) == (100, 3000)
    assert limits.room_bytes(1 << 50) == 4 << 30


def refuse(item: object, error: CorpusError) -> str:
    return error.cause


def test_the_child_lives_on_from_file_to_file_and_is_replaced_when_it_dies() -> None:
    pids = list(map_guarded(os.getpgid, [0] * 3, 1, refuse, lambda i: 0))
    assert len({*pids}) == 1
    visits: list[Visit] = []
    limits = Limits(on_visit=visits.append)
    orders = [0, signal.SIGKILL, 0]
    found = list(
        map_guarded(signal.raise_signal, orders, 1, refuse, lambda i: 0, limits=limits)  # type: ignore[arg-type]
    )
    assert found == [None, "worker_died", None]
    assert [v.cause for v in visits] == [None, "worker_died", None]


def test_memory_is_counted_and_limited() -> None:
    visits: list[Visit] = []
    limits = Limits(head_room_bytes=512 << 20, on_visit=visits.append)
    held = [f"len(b'x' * ({n} << 20))" for n in (1, 200)]
    found = list(map_guarded(eval, held, 1, refuse, lambda i: 0, limits=limits))
    assert found == [1 << 20, 200 << 20]
    assert visits[0].peak_bytes < 100 << 20 < visits[1].peak_bytes
    with pytest.raises(RuntimeError, match="MemoryError"):
        list(map_guarded(eval, ["len(b'x' * (600 << 20))"], 1, refuse, lambda i: 0, limits=limits))


def test_a_fault_of_the_function_itself_is_raised() -> None:
    with pytest.raises(RuntimeError, match="ValueError"):
        list(map_guarded(math.sqrt, [-1.0], 1, refuse, lambda i: 0))


def test_guarded_and_free_files_come_back_in_order() -> None:
    items = [signal.SIGKILL, 0, 0, signal.SIGKILL]
    found = list(
        map_files(signal.raise_signal, items, 1, refuse, lambda i: 0, is_guarded=bool)  # type: ignore[arg-type]
    )
    assert found == ["worker_died", None, None, "worker_died"]
