from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from trees import adhd_child as tree

from dagster_project.corpora.inventory import Inventory, inventory
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import process_shard

SPEC = corpus("adhd-child")


def take(root: Path) -> Inventory:
    return inventory(SPEC, root, "adhd-child-01-of-01", salt="x")


def diagnoses(found: Inventory) -> dict[str, str]:
    return {r["path"].rpartition("/")[2]: r["labels"][0]["value"] for r in found.recordings}


EXPECTED = {
    "v10p.mat": "adhd", "v3p.mat": "adhd", "v173.mat": "adhd", "v107.mat": "control",
    "v41p.mat": "control", "v129.mat": "control",
}  # fmt: skip


def test_class_by_folder_and_subject_by_stem(tmp_path: Path) -> None:
    tree.write(tmp_path)
    found = take(tmp_path)
    assert found.rejects == ()
    assert diagnoses(found) == EXPECTED
    assert len({r["subject_id"] for r in found.recordings}) == 6
    assert {r["sfreq_hz"] for r in found.recordings} == {128.0}


@pytest.mark.parametrize("rename", [str.lower, str.upper, lambda n: n.replace("_", " ")])
def test_case_and_blanks_of_folders_vary(tmp_path: Path, rename: object) -> None:
    tree.write(tmp_path)
    for folder in list((tmp_path / "adhd-child").iterdir()):
        moved = folder.with_name(f"tmp-{folder.name}")
        shutil.move(folder, moved)
        shutil.move(moved, folder.with_name(rename(folder.name)))  # type: ignore[operator]
    assert diagnoses(take(tmp_path)) == EXPECTED


def test_integers_and_floating_point_are_microvolts_in_the_order_of_the_entry(
    tmp_path: Path,
) -> None:
    planted = tree.write(tmp_path)
    names = SPEC.reader.params["channels"]
    assert (names[0], names[1], names[16:]) == ("Fp1", "Fp2", ["Fz", "Cz", "Pz"])
    for stem, folder in (("v10p", "ADHD_part1"), ("v173", "ADHD_part2")):
        path = tmp_path / "adhd-child" / folder / f"{stem}.mat"
        with open_recording(path, SPEC.reader) as recording:
            traces = recording.pick([0, 18])
            out = np.empty((2, len(planted[stem])), dtype=np.float32)
            traces.read_uv(0, out.shape[1], out)
        np.testing.assert_allclose(out, planted[stem][:, [0, 18]].T, rtol=1e-6)


def test_lengths_vary_and_windows_stay_inside_a_child(tmp_path: Path) -> None:
    planted = tree.write(tmp_path)
    found = take(tmp_path)
    assert sorted(r["duration_s"] for r in found.recordings) == sorted(
        len(data) / 128 for data in planted.values()
    )
    segments = process_shard(SPEC, tmp_path, found.recordings).segments
    assert segments.num_rows == sum(len(data) // 1280 for data in planted.values())


@pytest.mark.parametrize(
    ("arrays", "cause"),
    [
        ({"v9p": np.ones((4000, 18))}, "bad_header"),
        ({"other": np.ones((4000, 19))}, "bad_header"),
        ({"v9p": np.random.default_rng(0).normal(size=(4000, 19)) * 2e4}, "wrong_unit"),
        ({"v9p": np.zeros((4000, 19))}, "flat"),
    ],
    ids=["18 columns", "other name", "thousandths", "flat"],
)
def test_a_file_that_breaks_the_layout_is_set_aside(
    tmp_path: Path, arrays: dict[str, np.ndarray], cause: str
) -> None:
    path = tmp_path / "adhd-child/ADHD_part1/v9p.mat"
    path.parent.mkdir(parents=True)
    scipy.io.savemat(path, arrays)
    assert [r["cause"] for r in take(tmp_path).rejects] == [cause]


def test_a_class_nobody_knows_is_a_file_name(tmp_path: Path) -> None:
    tree.write(tmp_path)
    folder = tmp_path / "adhd-child"
    shutil.move(folder / "ADHD_part2", folder / "Other_part2")
    assert [r["cause"] for r in take(tmp_path).rejects] == ["file_name"]
