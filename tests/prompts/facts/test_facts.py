from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from detectors.types import CANONICAL19, Finding, Measure
from prompts.facts.page import (
    FactsError,
    PageFacts,
    facts_of_shard,
    label_texts,
    page_facts,
    with_history,
)

Plant = Callable[..., PageFacts]
Rows = dict[str, Callable[..., Any]]


def test_facts_of_a_shard_equal_facts_of_its_rows(
    shard_tables: Callable[[int], dict[str, pl.DataFrame]],
) -> None:
    tables = shard_tables(20)
    tables["segments"] = tables["segments"].sample(fraction=1.0, shuffle=True, seed=1)
    pages = list(facts_of_shard(**tables))
    assert [(p.recording_id, p.start_s) for p in pages] == sorted(
        (p.recording_id, p.start_s) for p in pages
    )
    for page in pages:
        mine = {
            name: frame.filter(pl.col("segment_id") == page.segment_id).to_dicts()
            for name, frame in tables.items()
        }
        assert page == page_facts(
            mine["segments"][0], mine["findings"], mine["judgements"], mine["spectral"][0],
            mine["spatial"][0],
        )  # fmt: skip


def test_masked_findings_are_kept_apart(plant: Plant) -> None:
    hidden = Finding("seg-0", "spike", ("T8",), 5.5, 5.55, mask_reason="covered by muscle activity")
    facts = plant([hidden])
    assert facts.findings == ()
    assert [f.kind for f in facts.masked] == ["spike"]
    assert facts.has_evidence(hidden.finding_id)


def test_mean_power_leaves_out_dead_rows_void_bands_and_nan(plant: Plant) -> None:
    flat = Finding("seg-0", "flat", ("Fp1",), 0.0, 9.0)
    alpha = [1000.0, float("nan"), *([10.0] * 17)]
    facts = plant(
        [flat],
        spectral={"clinical_alpha_uv2": alpha, "void_bands": ["clinical:gamma"]},
    )
    assert facts.powers_uv2["clinical"]["alpha"] == pytest.approx(10.0)
    assert "gamma" not in facts.powers_uv2["clinical"]
    assert "gamma" in facts.powers_uv2["narrator"]
    assert facts.n_power_rows == 18


@pytest.mark.parametrize(
    ("measures", "amplitude", "word", "frequency"),
    [
        ((Measure("rms_uv", 12.0, "uV"), Measure("band_low_hz", 30.0, "Hz")), 12.0, "rms", None),
        ((Measure("width_s", 0.2, "s"),), None, "", None),
        (
            (Measure("level_uv", 9.0, "uV"), Measure("amplitude_uv_p2p", 80.0, "uV")),
            80.0, "peak-to-peak", None,
        ),
        ((Measure("frequency_hz", 13.1, "Hz"),), None, "", 13.1),
        ((Measure("frequency_hz", float("nan"), "Hz"),), None, "", None),
    ],
    ids=["rms", "no voltage", "p2p first", "frequency", "nan is none"],
)  # fmt: skip
def test_measures_are_read_by_what_their_name_says(
    plant: Plant,
    measures: tuple[Measure, ...],
    amplitude: float | None,
    word: str,
    frequency: float | None,
) -> None:
    (found,) = plant([Finding("seg-0", "muscle", ("T8",), 1.0, 2.0, measures)]).findings
    assert (found.amplitude_uv, found.amplitude_word, found.frequency_hz) == (
        amplitude, word, frequency,
    )  # fmt: skip


def test_tiers_of_a_bipolar_page_are_not_judged(plant: Plant) -> None:
    names = ["Fpz-Cz", "Pz-Oz"]
    facts = plant(
        [],
        segment={"channel_schema": "bipolar:Fpz-Cz,Pz-Oz", "ch_names": names, "mask": [True, True]},
        spatial={"is_judged": False, "reason": "needs single electrodes", "highest_channel": ""},
    )
    assert facts.tiers == {}
    assert facts.highest_channel == ""
    assert facts.spatial_reason == "needs single electrodes"


@pytest.mark.parametrize("n_previous", [0, 1, 2, 5])
def test_history_never_crosses_recordings(
    shard_tables: Callable[[int], dict[str, pl.DataFrame]], n_previous: int
) -> None:
    for page, history in with_history(facts_of_shard(**shard_tables(24)), n_previous):
        earlier = round(page.start_s / 10)
        assert len(history) == min(n_previous, earlier)
        assert all(h.recording_id == page.recording_id for h in history)
        assert [h.start_s for h in history] == sorted(h.start_s for h in history)
        assert all(h.start_s < page.start_s for h in history)


def test_rows_of_another_segment_are_refused(rows: Rows) -> None:
    with pytest.raises(FactsError, match="was joined to segment 'seg-a'"):
        page_facts(
            rows["segment"]("seg-a"), [], [], rows["spectral"]("seg-b"), rows["spatial"]("seg-a")
        )


def test_missing_feature_row_is_told(
    shard_tables: Callable[[int], dict[str, pl.DataFrame]],
) -> None:
    tables = shard_tables(3)
    tables["spectral"] = tables["spectral"].head(2)
    with pytest.raises(FactsError, match="materialise the features"):
        list(facts_of_shard(**tables))


@pytest.mark.parametrize(
    ("evidence_id", "is_known"),
    [
        ("s-seg-0:mask", True),
        ("s-seg-0:path", False),
        ("s-seg-1:mask", False),
        ("f-0000", False),
        ("j-0000", False),
    ],
)
def test_evidence_ids_point_at_rows_that_exist(
    plant: Plant, evidence_id: str, is_known: bool
) -> None:
    assert plant().has_evidence(evidence_id) == is_known


def test_every_channel_is_recorded_or_missing(plant: Plant) -> None:
    facts = plant(segment={"mask": [name != "O2" for name in CANONICAL19]})
    assert facts.missing == ("O2",)
    assert set(facts.recorded) | set(facts.missing) == set(CANONICAL19)


def test_two_experts_stay_two_in_what_is_quoted() -> None:
    apart = [
        ("segment", "seizure", v, f"expert {e}") for v, e in (("present", "A"), ("absent", "B"))
    ]
    tasks = [
        ("interval", "task", v, f"annotation {c}") for v, c in (("rest", "T0"), ("fist", "T1"))
    ]
    assert label_texts([*apart, *tasks, ("recording", "eyes", "open", "file name")]) == (
        "seizure: present (expert A)", "seizure: absent (expert B)", "task: rest", "task: fist",
        "eyes: open",
    )  # fmt: skip
