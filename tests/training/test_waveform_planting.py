"""Events planted on bare pages: their size, place and truth; and the pages themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from dagster_project.corpora.simulated.config import SimulatorConfig
from dagster_project.corpora.simulated.geometry import REFERENCES
from dagster_project.corpora.simulated.ongoing import ongoing_page
from dagster_project.corpora.simulated.planting import (
    BAND_HZ,
    WEIGHTS,
    PlantingSettings,
    plant_segments,
)
from dagster_project.corpora.simulated.subject import simulate_subject
from dagster_project.corpora.simulated.writer import edf_bytes
from detectors.types import CANONICAL19, N_TIMES, ExpertEvent
from detectors.vocabulary import KINDS, WAVEFORMS
from detectors.waveform.boxes import waveform_boxes
from training.waveform.backgrounds import ongoing_set, planted, planted_set, real_set
from training.waveform.errors import TrainerError
from training.waveform.recipe import DetectorRecipe, PlantingRecipe, RealBackground, load_recipe
from training.waveform.run import recipe_data
from training.waveform.train import _batches

RECIPES = Path(__file__).resolve().parents[2] / "training" / "waveform" / "recipes"
FULL = np.array([[0.1, 75.0]], dtype=np.float32)
LABELLED = ("spike", "sharp", "spsw", "spindle", "kcomplex", "blink", "lateral_eye", "muscle")


def noise(n: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 10, (n, len(CANONICAL19), N_TIMES)).astype(np.float32)


def only(kind: str, k: float = 6.0, **changes: Any) -> PlantingSettings:
    fixed = PlantingSettings(
        sizes_k=(k, k), bare_chance=0.0, mean_events=0.0, repeat_chance=0.0, edge_chance=0.0,
        weights={kind: 1.0},
    )  # fmt: skip
    return replace(fixed, **changes)


def plant_one(
    data: NDArray[np.float32], setting: PlantingSettings, seed: int = 0, **changes: Any
) -> tuple[NDArray[np.float64], tuple[ExpertEvent, ...]]:
    """Return what was added to one page, and its truth."""
    arguments = {
        "masks": np.ones((1, 19), dtype=bool), "band_hz": FULL,
        "rng": np.random.default_rng(seed), "settings": setting, **changes,
    }  # fmt: skip
    out, events = plant_segments(data, **arguments)
    return out[0].astype(np.float64) - data[0], events[0]


def in_band(rows: NDArray[Any], kind: str) -> NDArray[np.float64]:
    sos = butter(3, BAND_HZ[kind], "bandpass", fs=200, output="sos")
    return np.asarray(sosfiltfilt(sos, rows))


@pytest.mark.parametrize("kind", [k for k in LABELLED if k != "muscle"])
@pytest.mark.parametrize("k", [2.0, 8.0])
def test_an_event_is_as_many_times_the_background_as_it_says(kind: str, k: float) -> None:
    data = noise(1)
    added, (event,) = plant_one(data, only(kind, k), references=["distant"])
    fullest = CANONICAL19.index(event.channels[0])
    background = np.sqrt(np.median((in_band(data[0, fullest], kind).reshape(10, 200) ** 2).mean(1)))
    assert np.abs(in_band(added, kind)).max() / background == pytest.approx(k, rel=0.25)
    measures = {m.name: m.value for m in event.measures}
    assert measures["k"] == k
    assert measures[f"k:{event.channels[0]}"] == pytest.approx(k, rel=0.05)
    assert np.abs(added).max(axis=1).argmax() == fullest


def test_muscle_is_measured_by_its_rms() -> None:
    data = noise(1)
    added, (event,) = plant_one(data, only("muscle", 4.0), references=["distant"])
    row = CANONICAL19.index(event.channels[0])
    inner = slice(int(200 * event.t0_s) + 20, int(200 * event.t1_s) - 20)
    background = in_band(data[0, row], "muscle").std()
    assert in_band(added[row], "muscle")[inner].std() / background == pytest.approx(4.0, rel=0.5)


@given(st.sampled_from(sorted(WEIGHTS)), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_size_follows_the_page_and_truth_stays_in_it(kind: str, seed: int) -> None:
    data = noise(1, seed)
    setting = only(kind, 5.0, edge_chance=0.5)
    added, events = plant_one(data, setting, seed)
    tripled, again = plant_one(3 * data, setting, seed)
    np.testing.assert_allclose(tripled, 3 * added, atol=0.02 * max(1.0, np.abs(added).max()))
    assert [(e.kind, e.t0_s, e.t1_s) for e in events] == [(e.kind, e.t0_s, e.t1_s) for e in again]
    for event in events:
        assert event.kind in KINDS
        assert 0.0 <= event.t0_s < event.t1_s <= 10.0
        assert set(event.channels) <= set(CANONICAL19)
        outside = np.abs(added[:, : max(0, int(200 * (event.t0_s - 1.0)))])
        assert outside.max(initial=0.0) <= 0.05 * np.abs(added).max()


def test_the_same_state_gives_the_same_events_and_input_stays() -> None:
    data = noise(4)
    before = data.copy()
    masks, bands = np.ones((4, 19), dtype=bool), np.tile(FULL, (4, 1))
    first, again, other = (
        plant_segments(data, masks, bands, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    assert not np.array_equal(first[0], other[0])
    np.testing.assert_array_equal(data, before)


def test_rows_that_were_not_recorded_get_nothing() -> None:
    data, masks = noise(8), np.ones((8, 19), dtype=bool)
    masks[:, [0, 2, 8]] = False
    data[~masks] = 0
    settings_ = PlantingSettings(bare_chance=0.0)
    out, events = plant_segments(
        data, masks, np.tile(FULL, (8, 1)), np.random.default_rng(0), settings_
    )
    assert not out[~masks].any()
    absent = {CANONICAL19[i] for i in (0, 2, 8)}
    assert sum(map(len, events)) > 4
    assert not absent & {c for found in events for e in found for c in e.channels}


def test_planted_events_pass_the_pages_band_and_reference() -> None:
    narrow = np.array([[0.1, 35.0]], dtype=np.float32)
    data = noise(1)
    full, _ = plant_one(data, only("spike", 8.0), references=["distant"])
    low, _ = plant_one(data, only("spike", 8.0), references=["distant"], band_hz=narrow)
    power = [np.abs(np.fft.rfft(x, axis=-1)) ** 2 for x in (full, low)]
    share = [float(p[:, 450:].sum() / p.sum()) for p in power]
    assert share[1] < 0.05 * share[0]
    referenced, _ = plant_one(data, only("kcomplex", 8.0), references=["average"])
    assert np.abs(referenced.mean(axis=0)).max() < 1e-3 * np.abs(referenced).max()


def test_bare_pages_stay_as_they_are() -> None:
    data = noise(3)
    out, events = plant_segments(
        data, np.ones((3, 19), dtype=bool), np.tile(FULL, (3, 1)), np.random.default_rng(0),
        PlantingSettings(bare_chance=1.0),
    )  # fmt: skip
    np.testing.assert_array_equal(out, data)
    assert events == [(), (), ()]


def test_every_class_is_planted_and_boxed() -> None:
    n = 120
    out, events = plant_segments(
        noise(n), np.ones((n, 19), dtype=bool), np.tile(FULL, (n, 1)), np.random.default_rng(1)
    )
    boxes = [box for found in events for event in found for box in waveform_boxes(event)]
    assert {waveform for waveform, *_ in boxes} == set(WAVEFORMS)
    assert np.isfinite(out).all()
    assert {e.source for found in events for e in found} == {"planted@1"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"sizes_k": (0.0, 1.0)}, "sizes"), ({"weights": {"seizure": 1.0}}, "seizure")],
    ids=["size", "kind"],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        PlantingSettings(**changes)


def test_pages_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        plant_segments(
            noise(2)[:, :5], np.ones((2, 5), dtype=bool), np.tile(FULL, (2, 1)),
            np.random.default_rng(0),
        )  # fmt: skip


def test_ongoing_pages_differ_and_keep_to_their_band() -> None:
    pages = [ongoing_page(np.random.default_rng([5, i])) for i in range(40)]
    again = ongoing_page(np.random.default_rng([5, 0]))
    np.testing.assert_array_equal(pages[0].data_uv, again.data_uv)
    assert {p.reference for p in pages} == set(REFERENCES)
    assert len({p.band_hz for p in pages}) > 3
    for page in pages:
        power = (np.abs(np.fft.rfft(page.data_uv, axis=-1)) ** 2).sum(axis=0)
        freqs = np.fft.rfftfreq(N_TIMES, 1 / 200)
        if page.band_hz[1] < 60:
            beyond = power[freqs > 1.25 * page.band_hz[1]].mean()
            assert beyond < 1e-3 * power[(freqs > 8) & (freqs < 30)].mean()
        assert 2 < page.data_uv.std(axis=1).mean() < 120


def planting(**changes: Any) -> PlantingRecipe:
    return PlantingRecipe(n_train_pages=6, n_validation_pages=5, **changes)


def test_splits_of_ongoing_pages_share_nobody_and_repeat() -> None:
    train, validation = (ongoing_set(planting(), split) for split in ("train", "validation"))
    assert not set(train.subject_ids) & set(validation.subject_ids)
    assert train.is_ground.all()
    assert ongoing_set(planting(), "train").data_hash == train.data_hash
    fixed = planted_set(validation, planting(), copies=2)
    assert len(fixed) == 10
    assert not fixed.is_ground.any()
    assert [len(s) for s in fixed.sizes] == [len(b) for b in fixed.boxes]
    assert all(((s >= 1.5) & (s <= 12)).all() for s in fixed.sizes)
    assert not np.array_equal(fixed.signals[:5], fixed.signals[5:])


def test_every_epoch_plants_other_events_and_a_seed_the_same() -> None:
    data = ongoing_set(planting(), "train")
    recipe = DetectorRecipe(release="x", description="x", planting=planting(bare_chance=0.0))
    first, again, later = (list(_batches(data, recipe, epoch)) for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first[0].images, again[0].images)
    np.testing.assert_array_equal(first[0].boxes, again[0].boxes)
    assert sum(len(b.boxes) for b in first) > 0
    assert not np.array_equal(first[0].boxes, later[0].boxes)


def edf_entry(folder: Path, name: str, split: str, **changes: Any) -> RealBackground:
    """Write a simulated recording as EDF and return it as a real background."""
    config = SimulatorConfig(minutes_per_recording=0.5, rates_per_min=dict.fromkeys(
        SimulatorConfig().rates_per_min, 0.0))  # fmt: skip
    recording = simulate_subject(5, 1, config).recordings[0]
    (folder / f"{name}.edf").write_bytes(edf_bytes(recording.data_uv, config.sfreq_hz, name))
    return RealBackground(path=f"{name}.edf", subject=name, split=split, reader="edf", **changes)  # type: ignore[arg-type]


def test_real_pages_are_read_cut_and_planted(tmp_path: Path) -> None:
    recipe = planting(real=(edf_entry(tmp_path, "a", "train", step_s=5.0, quiet_uv=5000.0),))
    pages = real_set(recipe, "train", tmp_path)
    assert pages is not None
    assert len(pages) == 5
    assert set(pages.subject_ids) == {"a"}
    assert pages.is_real.all()
    assert pages.is_ground.all()
    np.testing.assert_allclose(pages.signals[0][:, 1000:], pages.signals[1][:, :1000])
    signals, _ = planted(pages, np.arange(5), np.random.default_rng(0), recipe)
    assert not np.array_equal(signals, pages.uv(np.arange(5)))
    assert real_set(recipe, "validation", tmp_path) is None


def test_a_recording_without_a_quiet_page_is_told(tmp_path: Path) -> None:
    recipe = planting(real=(edf_entry(tmp_path, "a", "train", quiet_uv=1.0),))
    with pytest.raises(TrainerError, match="no quiet page"):
        real_set(recipe, "train", tmp_path)


@pytest.mark.parametrize("has_root", [True, False], ids=["empty folder", "no folder"])
def test_a_missing_shelf_is_told_with_what_is_missing(tmp_path: Path, has_root: bool) -> None:
    recipe = load_recipe(RECIPES / "planted.yaml")
    small = recipe.model_copy(
        update={
            "planting": recipe.planting.model_copy(
                update={"n_train_pages": 0, "n_validation_pages": 0}
            ),
            "simulation": recipe.simulation.model_copy(
                update={"n_train_subjects": 1, "n_validation_subjects": 1}
            ),
        }
    )
    with pytest.raises(
        TrainerError, match=r"eeglab_data\.set.*NEUROGLOSS_DATA.*simulated"
    ) as error:
        recipe_data(small, tmp_path if has_root else None)
    assert "\n" not in str(error.value)


def test_the_shipped_recipe_never_trains_on_the_examinations_backgrounds() -> None:
    for path in sorted(RECIPES.glob("*.yaml")):
        recipe = load_recipe(path)
        n = 6 * recipe.simulation.n_train_subjects + recipe.planting.n_train_pages
        assert n <= 1500
        by_split: dict[str, set[str]] = {"train": set(), "validation": set()}
        for entry in recipe.planting.real:
            assert "eegmat" not in entry.path
            assert "eegmmidb" not in entry.path
            by_split[entry.split].add(entry.subject)
        assert not by_split["train"] & by_split["validation"]


def test_the_shelfs_recordings_are_read(data_root: Path) -> None:
    recipe = load_recipe(RECIPES / "planted.yaml").planting
    missing = [e.path for e in recipe.real if not (data_root / e.path).is_file()]
    if missing:
        pytest.skip(f"the shelf lacks {', '.join(missing)}")
    train, validation = (real_set(recipe, split, data_root) for split in ("train", "validation"))
    assert train is not None
    assert validation is not None
    assert len(train) > 100
    assert len(validation) >= 3
    assert not set(train.subject_ids) & set(validation.subject_ids)
    assert train.masks[0].sum() == 15
    assert validation.masks[0].sum() == 10
