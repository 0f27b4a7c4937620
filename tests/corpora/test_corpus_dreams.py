from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from formats import rar
from sleep_taken import take
from trees import dreams

from dagster_project.corpora.archives import unpack
from dagster_project.corpora.registry import corpus

SPINDLES = "dreams-spindles/DatabaseSpindles"
KCOMPLEXES = "dreams-kcomplexes/DatabaseKcomplexes"


def spindles(root: Path, number: int = 2, **excerpt: Any) -> str:
    return dreams.write_excerpt(root / SPINDLES, number, **excerpt).name


def test_both_experts_are_kept_apart(tmp_path: Path) -> None:
    name = spindles(tmp_path, expert_1=[(12, 1.5), (31, 0.8)], expert_2=[(12.2, 1)])
    assert take("dreams-spindles", tmp_path).events(name) == [
        ("spindle", ("Cz",), 12.0, 13.5, "expert_1"), ("spindle", ("Cz",), 12.2, 13.2, "expert_2"),
        ("spindle", ("Cz",), 31.0, 31.8, "expert_1"),
    ]  # fmt: skip


def test_after_1000_s_expert_1_says_nothing(tmp_path: Path) -> None:
    name = spindles(
        tmp_path, duration_s=1020, expert_1=[(998.5, 1)], expert_2=[(1005, 1)], codes=[2] * 204
    )
    taken = take("dreams-spindles", tmp_path)
    assert taken.marked(name, "expert_1_scored") == [["spindle"]] * 100 + [[]] * 2
    assert taken.marked(name, "expert_2_scored") == [["spindle"]] * 102
    assert [e[4] for e in taken.events(name)] == ["expert_1", "expert_2"]


def test_a_mark_of_expert_1_after_1000_s_sets_the_excerpt_aside(tmp_path: Path) -> None:
    name = spindles(tmp_path, duration_s=1020, expert_1=[(1000.5, 1)], codes=[2] * 204)
    assert take("dreams-spindles", tmp_path).causes == {name: "bad_labels"}


def test_a_missing_expert_is_said(tmp_path: Path) -> None:
    name = spindles(tmp_path, 7, expert_2=None)
    taken = take("dreams-spindles", tmp_path)
    assert taken.labels(name) == {
        "hypnogram": "present", "expert_1_marks": "present", "expert_2_marks": "missing",
    }  # fmt: skip
    assert taken.marked(name, "expert_2_scored") == [[]] * 6


@pytest.mark.parametrize(
    ("number", "rate", "site"), [(1, 100, "C3"), (2, 200, "Cz"), (3, 50, "C3")]
)
def test_rate_and_channel_change_with_the_excerpt(
    tmp_path: Path, number: int, rate: float, site: str
) -> None:
    name = spindles(tmp_path, number)
    taken = take("dreams-spindles", tmp_path)
    assert taken.recordings[name]["sfreq_hz"] == rate
    first = taken.segments[name][0]
    assert [c for c, has in zip(first["ch_names"], first["mask"], strict=True) if has] == [site]
    assert taken.events(name)[0][1] == (site,)


def test_a_hypnogram_has_a_code_every_five_seconds(tmp_path: Path) -> None:
    """R&K: 5 wake, 4 REM, 3 S1, 2 S2, 1 S3, 0 S4; two codes a segment."""
    codes = [5, 5, 4, 4, 3, 3, 2, 2, 1, 0, 2, 3]
    name = spindles(tmp_path, codes=codes)
    assert take("dreams-spindles", tmp_path).stages(name) == ["W", "REM", "N1", "N2", "N3", None]


@pytest.mark.parametrize("code", [-1, -2, -3, 7, 6])
def test_negative_and_unknown_codes_carry_no_stage(tmp_path: Path, code: int) -> None:
    name = spindles(tmp_path, codes=[2] * 4 + [code] * 4 + [2] * 4)
    taken = take("dreams-spindles", tmp_path)
    assert taken.stages(name) == ["N2"] * 2 + [None] * 2 + ["N2"] * 2
    assert taken.labels(name)["hypnogram"] == "present"


def test_an_excerpt_longer_than_its_hypnogram_is_kept_whole(tmp_path: Path) -> None:
    """Spindle excerpt 6 is longer than its half hour."""
    name = spindles(tmp_path, 6, duration_s=70, codes=[2] * 12)
    assert take("dreams-spindles", tmp_path).stages(name) == ["N2"] * 6 + [None]


@pytest.mark.parametrize(
    "marks", [[(60.5, 1)], [(-1, 1)], [(5, 0)], [(5, -1)], [(float("nan"), 1)]],
    ids=["behind", "before", "no length", "backwards", "nan"],
)  # fmt: skip
def test_marks_outside_the_signal_or_without_length_set_it_aside(
    tmp_path: Path, marks: list[dreams.Mark]
) -> None:
    name = spindles(tmp_path, expert_2=marks)
    assert take("dreams-spindles", tmp_path).causes == {name: "bad_labels"}


def test_a_mark_that_overruns_the_end_is_clipped(tmp_path: Path) -> None:
    name = spindles(tmp_path, expert_1=[(58.5, 4)], expert_2=None)
    assert take("dreams-spindles", tmp_path).events(name)[0][2:4] == (58.5, 60.0)


@pytest.mark.parametrize(
    "text", ["[hypnogram]\n2\nN2\n", "[hypnogram]\n", "", "[h]\n" + "2\n" * 5000],
    ids=["words", "void", "empty", "another night"],
)  # fmt: skip
def test_a_hypnogram_that_is_none_sets_it_aside(tmp_path: Path, text: str) -> None:
    name = spindles(tmp_path)
    (tmp_path / SPINDLES / "Hypnogram_excerpt2.txt").write_text(text)
    assert take("dreams-spindles", tmp_path).causes == {name: "bad_labels"}


def test_k_complexes_are_their_own_database(tmp_path: Path) -> None:
    """Ten excerpts; expert 2 marked the first five; expert 1 looked at all of it."""
    for n in range(1, 11):
        dreams.write_excerpt(
            tmp_path / KCOMPLEXES, n, what="Kcomplexes", expert_2=[(9, 1)] if n <= 5 else None,
            duration_s=30,
        )  # fmt: skip
    taken = take("dreams-kcomplexes", tmp_path)
    assert list(taken.recordings) == [f"excerpt{n}.edf" for n in range(1, 11)]
    second = [taken.labels(n)["expert_2_marks"] for n in taken.recordings]
    assert second == ["present"] * 5 + ["missing"] * 5
    assert taken.events("excerpt10.edf") == [("kcomplex", ("Cz",), 12.0, 13.5, "expert_1")]
    assert taken.marked("excerpt10.edf", "expert_1_scored") == [["kcomplex"]] * 3


def test_equal_excerpt_numbers_count_as_one_person(tmp_path: Path) -> None:
    dreams.write(tmp_path)
    people = [
        {n: r["subject_id"] for n, r in take(key, tmp_path).recordings.items()}
        for key in ("dreams-spindles", "dreams-kcomplexes", "dreams-artifacts")
    ]
    assert people[0] == people[1] == people[2]
    assert len(set(people[0].values())) == 3
    nights = (
        take("dreams-subjects", tmp_path).recordings | take("dreams-patients", tmp_path).recordings
    )
    assert len({r["subject_id"] for r in nights.values()} | set(people[0].values())) == 9


def test_p8_and_p18_are_eye_channels(tmp_path: Path) -> None:
    dreams.write(tmp_path)
    taken = take("dreams-subjects", tmp_path)
    first = taken.segments["subject1.edf"][0]
    sites = [c for c, has in zip(first["ch_names"], first["mask"], strict=True) if has]
    assert sites == ["Fp1", "Cz", "O1"]


def test_patients_have_each_electrode_against_an_ear(tmp_path: Path) -> None:
    dreams.write(tmp_path)
    first = take("dreams-patients", tmp_path).segments["patient1.edf"][0]
    sites = [c for c, has in zip(first["ch_names"], first["mask"], strict=True) if has]
    assert sites == ["Fp1", "Fp2", "Cz", "O1", "O2"]


@pytest.mark.parametrize(
    ("aasm", "rk", "stages"),
    [([1] * 6 + [0] * 6, [5] * 12, ["N3"] * 3 + [None] * 3), (None, [1] * 6 + [0] * 6, ["N3"] * 6),
     (None, None, [None] * 6)],
    ids=["aasm", "rk", "none"],
)  # fmt: skip
def test_aasm_stages_come_before_r_and_k(
    tmp_path: Path, aasm: list[int] | None, rk: list[int] | None, stages: list[str | None]
) -> None:
    folder = tmp_path / "dreams-patients/DatabasePatients"
    dreams.write_night(folder, "patient9", dreams.NIGHT_OF_PATIENT, aasm=aasm, rk=rk)
    taken = take("dreams-patients", tmp_path)
    assert taken.stages("patient9.edf") == stages
    assert taken.labels("patient9.edf")["hypnogram"] == ("present" if aasm or rk else "missing")


def test_artifacts_have_one_expert(tmp_path: Path) -> None:
    dreams.write(tmp_path)
    taken = take("dreams-artifacts", tmp_path)
    assert taken.events("excerpt1.edf") == [("artifact", ("Cz",), 12.0, 13.5, "expert_1")]
    assert "expert_2_marks" not in taken.labels("excerpt1.edf")


def test_detections_of_a_program_are_not_marks(tmp_path: Path) -> None:
    name = spindles(tmp_path, expert_1=[], expert_2=[])
    assert (tmp_path / SPINDLES / "Automatic_detection_excerpt2.txt").exists()
    assert take("dreams-spindles", tmp_path).events(name) == []


@pytest.mark.parametrize("key", ["spindles", "kcomplexes", "artifacts", "subjects", "patients"])
def test_nothing_made_from_it_may_be_shared(key: str) -> None:
    spec = corpus(f"dreams-{key}")
    assert spec.licence.is_gated
    assert not spec.licence.allows_hosted_teachers


def test_there_are_8_and_10_excerpts() -> None:
    assert corpus("dreams-spindles").expected.n_recordings == 8
    assert corpus("dreams-kcomplexes").expected.n_recordings == 10


def test_the_archive_unpacks_to_what_is_read(tmp_path: Path) -> None:
    """The databases come as RAR archives of one folder each."""
    packed, there = tmp_path / "packed", tmp_path / "there"
    dreams.write(packed)
    members = [
        rar.RarMember(path.relative_to(packed / "dreams-spindles").as_posix(), path.read_bytes())
        for path in sorted((packed / SPINDLES).iterdir())
    ]
    archive = rar.write(tmp_path / "DatabaseSpindles.rar", members)
    there.mkdir()
    unpack(archive, there / "dreams-spindles", max_bytes=1 << 24, max_files=100)
    plain, unpacked = take("dreams-spindles", packed), take("dreams-spindles", there)
    assert unpacked.recordings == plain.recordings
    assert unpacked.segments == plain.segments
    assert len(unpacked.events("excerpt1.edf")) == 2
