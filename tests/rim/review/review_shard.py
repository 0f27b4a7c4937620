"""A shard planted with a few findings, and a reader of the page made from it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import numpy as np

from dagster_project.tables.registry import table
from dagster_project.tables.store import TableStore
from detectors.rows import finding_row, judgement_row
from detectors.types import CANONICAL19, N_TIMES, SFREQ_HZ, Finding, Judgement, Measure

SHARD = "eegmat-01-of-01"
GATED_SHARD = "tuab-01-of-24"
SPIKE_S = 4.0
SPIKE = Finding(
    "g-spike", "spike", ("T7",), SPIKE_S - 0.03, SPIKE_S + 0.03,
    (Measure("amplitude_uv_p2p", 123.456, "uV"), Measure("ratio", float("nan"), "1")), 0.9, "rule:x@1",
    side="left", region="mid-temporal",
)  # fmt: skip
BLINK = Finding("g-spike", "blink", ("Fp1", "Fp2"), 1.0, 1.4, source="rule:x@1")
HIDDEN = Finding(
    "g-spike", "sharp", ("Fp1",), 1.1, 1.2, source="rule:x@1", masked_by=BLINK.finding_id,
    mask_reason="under an eye blink </script><b>",
)  # fmt: skip
CALM = Finding("g-calm", "voltage", ("O1-O2",), 0.0, 10.0, source="rule:x@1")
SECOND = Finding("g-second", "spindle", ("C3", "C4"), 2.0, 3.0, source="rule:x@1")
FINDINGS = (CALM, SPIKE, BLINK, HIDDEN, SECOND)


def segment_row(segment_id: str, subject_id: str) -> dict[str, Any]:
    signal = np.zeros((19, N_TIMES))
    if segment_id == "g-spike":
        at = round(SPIKE_S * SFREQ_HZ)
        signal[CANONICAL19.index("T7"), at - 4 : at + 5] = -2000 * (
            1 - np.abs(np.arange(-4, 5)) / 5
        )
    return {
        "segment_id": segment_id, "recording_id": "r-" + subject_id, "corpus": "eegmat",
        "subject_id": subject_id, "split": "train", "start_s": 20.0, "start_sample": 0,
        "channel_schema": "referential19", "ch_names": list(CANONICAL19), "mask": [True] * 19,
        "signal": signal.astype(int).ravel().tolist(), "clip_count": 0, "recorded_s": 10.0,
        "sfreq_hz": 200.0, "band_low_hz": 0.5, "band_high_hz": 70.0, "line_freq_hz": 50.0,
        "labels": [{"scope": "recording", "name": "secret", "value": "epilepsy", "source": "f"}],
        "events": [], "stage_context": None, "is_simulated": False,
    }  # fmt: skip


def recording_row(subject_id: str) -> dict[str, Any]:
    kinds: dict[str, Any] = {
        "string": "x",
        "float64": 1.0,
        "float32": 1.0,
        "int32": 0,
        "bool": False,
    }
    row = {c.name: kinds.get(c.dtype, []) for c in table("recordings").columns}
    return {
        **row,
        "recording_id": "r-" + subject_id,
        "subject_id": subject_id,
        "path": "secret/p.edf",
    }


def plant(store: TableStore, shard: str = SHARD) -> None:
    store.write("recordings", shard, [recording_row("s-one"), recording_row("s-two")])
    pages = [("g-calm", "s-one"), ("g-spike", "s-one"), ("g-second", "s-two"), ("g-none", "s-two")]
    store.write("segments", shard, [segment_row(*page) for page in pages])
    store.write("findings", shard, [finding_row(f) for f in FINDINGS])
    said = [
        Judgement("g-spike", "spike", "present", "", (SPIKE.finding_id,)),
        Judgement("g-spike", "spindle", "not_judged", "awake", ()),
    ]
    store.write("judgements", shard, [judgement_row(j) for j in said])


class Shown(HTMLParser):
    """The values a page carries, and every address it names."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.data: dict[str, Any] = {}
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self._is_data = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self._is_data = given.get("id") == "data"
        self.addresses += [str(given[k]) for k in ("src", "href", "action") if k in given]

    def handle_data(self, data: str) -> None:
        if self._is_data:
            self.data = json.loads(data)
            self._is_data = False
