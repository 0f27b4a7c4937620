"""The engine's side of the throughput benchmark: the shipped functions, stage by stage.

Nothing is done here that the asset graph does not do; only the order and the clock are the
benchmark's. The comparison is :mod:`benchmark.engine.baseline`, the process around both
:mod:`benchmark.engine.worker`.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.engine.recording import LINE_FREQ_HZ
from benchmark.engine.recording import SFREQ_HZ as SOURCE_HZ
from benchmark.stopwatch import Stopwatch
from detectors.types import REFERENTIAL19, SEGMENT_S, SegmentBatch

CHUNK_SEGMENTS = 32
"""Segments handled together; a row group of the signal table."""

_RECORDING: dict[str, Any] = {
    "recording_id": "r-bench", "corpus": "simulated", "subject_id": "s-bench", "split": "train",
    "channel_schema": REFERENTIAL19.name, "sfreq_hz": float(SOURCE_HZ),
    "line_freq_hz": LINE_FREQ_HZ, "is_simulated": True,
}  # fmt: skip


class EngineSession:
    """One process that runs the engine in rounds.

    Parameters
    ----------
    edf
        The recording.
    folder
        Where pictures and tables go.
    """

    def __init__(self, edf: Path, folder: Path) -> None:
        import pyarrow as pa

        pa.set_cpu_count(1)
        pa.set_io_thread_count(1)
        self._edf, self._folder = edf, folder
        folder.mkdir(parents=True, exist_ok=True)

    def round(self) -> Stopwatch:
        """Do the work once, from file to tables and pictures."""
        import polars as pl
        import pyarrow as pa

        from dagster_project.corpora.batches import segment_batches

        watch = Stopwatch()
        segments = pa.Table.from_batches([self._segments(watch)])
        rows: dict[str, list[dict[str, Any]]] = {"spectral_features": [], "spatial_features": []}
        check: dict[str, list[NDArray[Any]]] = {"alpha_uv2": [], "tiers": [], "signal_uv": []}
        frame = pl.from_arrow(segments)
        assert isinstance(frame, pl.DataFrame)
        batches = segment_batches(frame, CHUNK_SEGMENTS)
        with _picture_file(self._folder / "pictures.parquet") as pictures:
            while True:
                with watch.stage("harmonise"):  # decoding belongs to the way in
                    batch = next(batches, None)
                if batch is None:
                    break
                self._features(batch, watch, rows, check)
                drawn = _pictures(batch, check["alpha_uv2"][-1], watch)
                with watch.stage("write"):
                    pictures.write_table(pa.Table.from_pylist(drawn, schema=pictures.schema))
        with watch.stage("write", segments.num_rows):
            self._write(segments, rows)
        arrays = {name: np.concatenate(parts) for name, parts in check.items()}
        np.savez(self._folder / "check.npz", **arrays)  # type: ignore[arg-type]
        return watch

    def _segments(self, watch: Stopwatch) -> Any:
        """Read, filter, resample and cut, as the corpora room does, into Arrow rows."""
        from dagster_project.corpora.channels import pick_traces
        from dagster_project.corpora.harmonise import harmonise, plan_for
        from dagster_project.corpora.readers.table import open_recording
        from dagster_project.corpora.segment_table import quantise, record_batch
        from dagster_project.corpora.spec import Channels, Choice

        with watch.stage("harmonise"), open_recording(self._edf, Choice(name="edf")) as recording:
            pick, traces = pick_traces(recording, Channels())
            run = traces.runs[0]
            plan = plan_for(traces.sfreq, LINE_FREQ_HZ, run.n_samples)

            def read(first: int, last: int, out: NDArray[np.float32]) -> None:
                with watch.stage("read"):
                    traces.read_uv(run.start_sample + first, run.start_sample + last, out)

            rows_uv = np.empty((len(pick.indices), plan.n_resampled(run.n_samples)), np.float32)
            at = 0
            for block in harmonise(read, len(pick.indices), run.n_samples, plan):
                rows_uv[:, at : at + block.shape[1]] = block
                at += block.shape[1]
            signals, clipped = quantise(rows_uv, np.flatnonzero(pick.mask).tolist(), len(pick.mask))
            row = _RECORDING | {"band_low_hz": plan.low_hz, "band_high_hz": plan.high_hz}
            batch = record_batch(row, pick.mask, _heads(len(signals)), signals, clipped)
        watch.move("read", "harmonise")  # reading happens inside, block by block
        watch.segments["read"] = watch.segments["harmonise"] = len(signals)
        return batch

    def _features(
        self,
        batch: SegmentBatch,
        watch: Stopwatch,
        rows: dict[str, list[dict[str, Any]]],
        check: dict[str, list[NDArray[Any]]],
    ) -> None:
        from detectors.rules import rule_findings
        from detectors.signal.spatial import spatial_features
        from detectors.signal.spectra import spectral_features

        with watch.stage("spectra", len(batch)):
            spectra = spectral_features(batch)
        with watch.stage("tiers", len(batch)):
            spatial = spatial_features(batch)
        with watch.stage("rules", len(batch)):
            rule_findings(batch, spectra)
        with watch.stage("write"):
            rows["spectral_features"] += spectra.rows(batch)
            rows["spatial_features"] += spatial.rows(batch)
        check["alpha_uv2"].append(spectra.power_uv2["clinical"]["alpha"])
        if not check["signal_uv"]:
            check["signal_uv"].append(batch.data_uv)
        check["tiers"].append(np.array([_tier_numbers(r["tier"]) for r in spatial.rows(batch)]))

    def _write(self, segments: Any, rows: dict[str, list[dict[str, Any]]]) -> None:
        from dagster_project.tables.store import TableStore

        store = TableStore(str(self._folder / "tables"))
        store.write("segments", "bench-00-of-01", segments)
        for name, found in rows.items():
            store.write(name, "bench-00-of-01", found)

    def detector_ms(self, n_segments: int) -> dict[str, float] | None:
        """Time the waveform detector per segment, or return None where it cannot run.

        Returns
        -------
        dict or None
            Milliseconds per segment of the detector by precision, and of the merge, which searches
            discharges in the signal, under ``merge``.
        """
        from detectors.merge import Page, merge_findings
        from detectors.rules import rule_findings
        from detectors.signal.spectra import spectral_features
        from detectors.waveform.card import CARD_NAME
        from detectors.waveform.infer import SHIPPED_WEIGHTS, load_detector

        has_runtime = importlib.util.find_spec("onnxruntime") is not None
        if not has_runtime or not (SHIPPED_WEIGHTS / CARD_NAME).is_file():
            return None
        batch = self._some_segments(n_segments)
        whole, small = load_detector(precision="float32"), load_detector(precision="int8")
        events = whole.detect(batch)
        rules = rule_findings(batch, spectral_features(batch))
        pages = [Page(s, REFERENTIAL19, REFERENTIAL19.ch_names) for s in batch.segment_ids]
        work: dict[str, Callable[[], object]] = {
            "float32": lambda: whole.detect(batch),
            "int8": lambda: small.detect(batch),
            "merge": lambda: merge_findings(
                pages, rules, events, detector=whole.weights_id, batches=[batch]
            ),
        }
        return {name: _ms_per_segment(run, len(batch)) for name, run in work.items()}

    def _some_segments(self, n_segments: int) -> SegmentBatch:
        with np.load(self._folder / "check.npz") as check:
            data_uv = check["signal_uv"][:n_segments]
        n = len(data_uv)
        return SegmentBatch(
            segment_ids=tuple(head.segment_id for head in _heads(n)),
            data_uv=data_uv,
            mask=np.ones(data_uv.shape[:2], dtype=bool),
            schema=REFERENTIAL19,
            band_hz=np.tile(np.array([0.1, 75.0], dtype=np.float32), (n, 1)),
            line_freq_hz=LINE_FREQ_HZ,
        )


def _ms_per_segment(run: Callable[[], object], n_segments: int) -> float:
    run()
    start = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - start) / n_segments


def _tier_numbers(words: list[str]) -> list[int]:
    return [("low", "medium", "high").index(w) if w != "missing" else -1 for w in words]


def _picture_file(path: Path) -> Any:
    """Open a Parquet file for PNG bytes, which are deflated already."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [("segment_id", pa.string()), ("page", pa.binary()), ("topomap", pa.binary())]
    return pq.ParquetWriter(
        path, pa.schema(columns), compression="none", use_dictionary=False, write_statistics=False
    )


def _heads(n: int) -> list[Any]:
    from dagster_project.corpora.segment_table import SegmentHead

    return [
        SegmentHead(f"s-{i:05d}", float(SEGMENT_S * i), SEGMENT_S * SOURCE_HZ * i, (), (), None)
        for i in range(n)
    ]


def _pictures(
    batch: SegmentBatch, alpha_uv2: NDArray[np.float32], watch: Stopwatch
) -> list[dict[str, Any]]:
    from detectors.pages.page import render_page_png
    from detectors.pages.topomap import render_topomaps, topomap_png

    with watch.stage("page", len(batch)):
        pages = [
            render_page_png(batch.data_uv[i], batch.mask[i], batch.schema)
            for i in range(len(batch))
        ]
    with watch.stage("topomap", len(batch)):
        maps = [topomap_png(m) for m in render_topomaps(alpha_uv2, batch.mask[0])]
    return [
        {"segment_id": s, "page": p, "topomap": m}
        for s, p, m in zip(batch.segment_ids, pages, maps, strict=True)
    ]
