from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import edfio
import pytest

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.table import read_labels
from dagster_project.corpora.labels.types import RecordingLabels
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.spec import Choice

WriteEdf = Callable[..., Path]
ReadLabels = Callable[..., RecordingLabels]


@pytest.fixture
def labels_of(tmp_path: Path, write_edf: WriteEdf) -> ReadLabels:
    """Write a recording and sidecars under their names, read the labels."""

    def read(
        key: str, name: str, sidecars: dict[str, str] | None = None, **keywords: object
    ) -> RecordingLabels:
        path = write_edf(tmp_path / name, **keywords)
        for sidecar, text in (sidecars or {}).items():
            (tmp_path / sidecar).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / sidecar).write_text(text, encoding="utf-8")
        with open_recording(path, Choice(name="edf")) as recording:
            duration_s = float(keywords.get("duration_s", 30))  # type: ignore[arg-type]
            return read_labels(corpus(key), tmp_path, name, recording, duration_s)

    return read


def plain(found: RecordingLabels) -> list[tuple[str, str, str]]:
    return [(label.scope, label.name, label.value) for label in found.labels]


INFO = "Subject,Age,Gender,Recording year,Number of subtractions,Count quality\n"


@pytest.mark.parametrize(
    ("name", "row", "labels", "band", "sex"),
    [
        ("Subject00_1.edf", "Subject00,21,F,2011,9.7,0", ["rest", "bad"], "20-29", "F"),
        (
            "Subject01_2.edf",
            "Subject01,18,M,2011,29,1",
            ["mental_arithmetic", "good"],
            "10-19",
            "M",
        ),
        ("Subject02_2.edf", "Subject01,18,M,2011,29,1", ["mental_arithmetic"], None, None),
        ("Subject03_1.edf", "Subject03,,x,2011,29,1", ["rest", "good"], None, None),
    ],
)
def test_eegmat(
    labels_of: ReadLabels, name: str, row: str, labels: list[str], band: str | None, sex: str | None
) -> None:
    found = labels_of("eegmat", name, {"subject-info.csv": "\ufeff" + INFO + row + "\r\n"})
    assert [label.value for label in found.labels] == labels
    assert (found.age_band, found.sex) == (band, sex)


@pytest.mark.parametrize(
    "rows",
    ["Subject00,21,F,2011,9.7,7", "Subject00,21,F,2011,9.7,0\nSubject00,30,M,2011,9.7,1",
     "Subject00,21", 'Subject00,"21\x00'],
    ids=["quality", "twice", "short", "nul"],
)  # fmt: skip
def test_eegmat_void_tables_are_refused(labels_of: ReadLabels, rows: str) -> None:
    with pytest.raises(CorpusError) as caught:
        labels_of("eegmat", "Subject00_1.edf", {"subject-info.csv": INFO + rows})
    assert caught.value.cause == "bad_labels"


@pytest.mark.parametrize(
    ("run", "task", "t1", "t2"),
    [
        (3, "executed_fist", "executed_left_fist", "executed_right_fist"),
        (4, "imagined_fist", "imagined_left_fist", "imagined_right_fist"),
        (5, "executed_fists_or_feet", "executed_both_fists", "executed_both_feet"),
        (14, "imagined_fists_or_feet", "imagined_both_fists", "imagined_both_feet"),
    ],
)
def test_eegmmidb_codes_depend_on_the_run(
    labels_of: ReadLabels, run: int, task: str, t1: str, t2: str
) -> None:
    notes = [(0.0, 4.2, "T0"), (4.2, 4.1, "T2"), (8.3, 4.2, "T1"), (28.0, 9.0, "T0"),
             (2.0, None, "patient scratched")]  # fmt: skip
    found = labels_of("eegmmidb", f"S001/S001R{run:02d}.edf", annotations=notes)
    assert plain(found)[0] == ("recording", "task", task)
    values = {i.label.source: i.label.value for i in found.intervals}
    assert values == {"annotation T0": "rest", "annotation T2": t2, "annotation T1": t1}
    assert max(i.t1_s for i in found.intervals) == 30.0


@pytest.mark.parametrize(("run", "code"), [(2, "T1"), (3, "T7"), (15, "T0"), (0, "T0")])
def test_eegmmidb_codes_without_a_meaning_are_refused(
    labels_of: ReadLabels, run: int, code: str
) -> None:
    with pytest.raises(CorpusError) as caught:
        labels_of("eegmmidb", f"S001/S001R{run:02d}.edf", annotations=[(1.0, 4.0, code)])
    assert caught.value.cause == "bad_labels"


def summary(body: str, name: str = "chb01_03.edf") -> dict[str, str]:
    return {
        "chb01/chb01-summary.txt": f"Data Sampling Rate: 256 Hz\n\nFile Name: chb01_02.edf\n"
        f"Number of Seizures in File: 0\n\nFile Name: {name}\nFile Start Time: 25:43:04\n{body}\n",
        "SUBJECT-INFO": "Case\tGender\tAge (years)\r\n\r\nchb01\tF\t11\r\nchb06\tF\t 1.5\r\n",
    }


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("Number of Seizures in File: 0", []),
        ("Number of Seizures in File: 1\nSeizure Start Time: 3 seconds\nSeizure End Time: 9 seconds",
         [(3.0, 9.0)]),
        ("Number of Seizures in File: 2\r\nSeizure 1 Start Time:  3 seconds\r\nSeizure 1 End Time: "
         "9 seconds\r\nSeizure 2 Start Time: 20 seconds\r\nSeizure 2 End Time: 44 seconds",
         [(3.0, 9.0), (20.0, 30.0)]),
    ],
    ids=["none", "one", "numbered"],
)  # fmt: skip
def test_chb_mit_seizures_in_both_spellings(
    labels_of: ReadLabels, body: str, expected: list[tuple[float, float]]
) -> None:
    found = labels_of("chb-mit", "chb01/chb01_03.edf", summary(body), labels=["FP1-F7", "F7-T7"])
    assert [(i.t0_s, i.t1_s) for i in found.intervals] == expected
    assert plain(found) == [("recording", "seizure", "present" if expected else "absent")]
    assert found.defaults[0] is not None
    assert found.defaults[0].value == "absent"
    assert (found.age_band, found.sex) == ("10-19", "F")


@pytest.mark.parametrize("sidecars", [summary("Number of Seizures in File: 0", "chb01_30.edf"), {}])
def test_chb_mit_files_not_in_the_summary_are_unknown(
    labels_of: ReadLabels, sidecars: dict[str, str]
) -> None:
    found = labels_of("chb-mit", "chb01/chb01_03.edf", sidecars, labels=["FP1-F7"])
    assert plain(found) == [("recording", "seizure", "unknown")]
    assert found.defaults == ()
    assert not found.intervals


@pytest.mark.parametrize(
    "body",
    [
        "Number of Seizures in File: 2\nSeizure Start Time: 3 seconds\nSeizure End Time: 9 seconds",
        "Number of Seizures in File: 1\nSeizure Start Time: 9 seconds\nSeizure End Time: 3 seconds",
        "Number of Seizures in File: 1\nSeizure Start Time: 60 seconds\nSeizure End Time: 70 seconds",
        "Number of Seizures in File: 1\nSeizure Start Time: 3 seconds",
        "",
    ],
    ids=["count", "order", "outside", "no end", "nothing"],
)
def test_chb_mit_summaries_that_contradict_are_refused(labels_of: ReadLabels, body: str) -> None:
    with pytest.raises(CorpusError) as caught:
        labels_of("chb-mit", "chb01/chb01_03.edf", summary(body), labels=["FP1-F7"])
    assert caught.value.cause == "bad_labels"


def hypnogram(path: Path, stages: list[tuple[float, float, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    edfio.Edf([], annotations=[edfio.EdfAnnotation(*s) for s in stages]).write(path)


SLEEP = {"sfreq_hz": 100, "duration_s": 120, "labels": ["EEG Fpz-Cz", "EEG Pz-Oz"]}


def test_sleep_edfx_stages(tmp_path: Path, labels_of: ReadLabels) -> None:
    hypnogram(
        tmp_path / "sleep-cassette/SC4001EC-Hypnogram.edf",
        [(0, 30, "Sleep stage W"), (30, 30, "Sleep stage 4"), (60, 30, "Movement time"),
         (90, 60, "Sleep stage R"), (150, 3000, "Sleep stage ?")],
    )  # fmt: skip
    found = labels_of("sleep-edfx", "sleep-cassette/SC4001E0-PSG.edf", **SLEEP)
    assert [(i.t0_s, i.t1_s, i.label.value) for i in found.stages] == [
        (0, 30, "W"), (30, 60, "N3"), (90, 120, "REM"),
    ]  # fmt: skip
    assert found.grid_s == 0.0


def test_sleep_edfx_without_a_hypnogram_says_so(labels_of: ReadLabels) -> None:
    found = labels_of("sleep-edfx", "sleep-cassette/SC4001E0-PSG.edf", **SLEEP)
    assert plain(found) == [("file", "hypnogram", "missing")]
    assert found.grid_s is None


@pytest.mark.parametrize("names", [["SC4001EC"], ["SC4001EC", "SC4001EH"]])
def test_sleep_edfx_contradictions_are_refused(
    tmp_path: Path, labels_of: ReadLabels, names: list[str]
) -> None:
    for name in names:
        hypnogram(
            tmp_path / f"sleep-cassette/{name}-Hypnogram.edf",
            [(0, 60, "Sleep stage W"), (30, 30, "Sleep stage 2")],
        )
    with pytest.raises(CorpusError) as caught:
        labels_of("sleep-edfx", "sleep-cassette/SC4001E0-PSG.edf", **SLEEP)
    assert caught.value.cause == "bad_labels"


@pytest.mark.parametrize("text", [None, "{", "[]", '{"events": 3}'])
def test_simulated_recordings_need_their_truth(labels_of: ReadLabels, text: str | None) -> None:
    sidecars = {} if text is None else {"sub-01/sub-01_awake_truth.json": text}
    with pytest.raises(CorpusError) as caught:
        labels_of("simulated", "sub-01/sub-01_awake.edf", sidecars)
    assert caught.value.cause == "bad_labels"


def test_no_label_carries_free_text_of_the_file(labels_of: ReadLabels) -> None:
    notes = [(1.0, None, "Jane Doe called"), (2.0, 4.0, "T0")]
    found = labels_of("eegmmidb", "S001/S001R01.edf", annotations=notes)
    assert "Jane" not in repr(found)
