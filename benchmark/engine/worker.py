"""One process of the engine benchmark: takes an order a line, answers a JSON line.

Each side runs in a fresh process whose thread counts were fixed in the environment before any
import, so memory and start-up of one do not touch the other. Orders come from
:mod:`benchmark.engine.bench`.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.engine.baseline import BaselineSession
from benchmark.engine.floors import measure_floors
from benchmark.engine.page_reference import plot_box, psnr_db, reference_traces
from benchmark.engine.stages import EngineSession
from benchmark.memory import peak_rss_mb
from benchmark.stopwatch import Stopwatch

N_DETECTED = 30
"""Segments the detector is timed on, at most."""


def _timed(work: Callable[[], Stopwatch]) -> dict[str, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    watch = work()
    return {
        "ms_per_segment": watch.ms_per_segment(),
        "cpu_ms_per_segment": watch.cpu_ms_per_segment(),
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "n_segments": watch.segments["read"],
        "rss_mb": peak_rss_mb(),
    }


def page_quality(check: Path, n_pages: int) -> dict[str, Any]:
    """Measure pages against the supersampled reference.

    Parameters
    ----------
    check
        ``check.npz`` of a round, with the signals.
    n_pages
        How many pages.

    Returns
    -------
    dict
        ``psnr_db`` per page and ``n_bytes`` per page.
    """
    from detectors.pages.geometry import page_geometry
    from detectors.pages.page import (
        display_filter,
        mark_clips,
        page_png,
        page_rows,
        render_page,
        trace_ordinates,
    )
    from detectors.types import REFERENTIAL19

    with np.load(check) as found:
        segments = found["signal_uv"][:n_pages].astype(np.float32)
    geometry = page_geometry(REFERENTIAL19)
    box = plot_box(geometry)
    mask = np.ones(segments.shape[1], dtype=bool)
    psnr, n_bytes = [], []
    for segment in segments:
        page = render_page(segment, mask, REFERENTIAL19)
        rows_uv, _ = page_rows(segment, mask, REFERENTIAL19)
        y_px, is_clipped = trace_ordinates(display_filter(rows_uv, geometry.style), geometry)
        whole = np.full(page.shape, 255.0)
        whole[box.rows, box.columns] = reference_traces(y_px, geometry)
        mark_clips(whole, y_px, is_clipped, geometry)
        psnr.append(psnr_db(page[box.rows, box.columns], whole[box.rows, box.columns]))
        n_bytes.append(len(page_png(page)))
    return {"psnr_db": psnr, "n_bytes": n_bytes}


def _orders(side: str, edf: Path, folder: Path, n_pictures: int) -> dict[str, Callable[[], Any]]:
    if side == "engine":
        engine = EngineSession(edf, folder)
        return {
            "round": lambda: _timed(engine.round),
            "detector": lambda: {"ms_per_segment": engine.detector_ms(N_DETECTED)},
        }
    baseline = BaselineSession(edf, folder, n_pictures)
    return {
        "round": lambda: _timed(baseline.round),
        "reused_figure": lambda: baseline.reused_figure_ms(n_pictures),
        "floors": lambda: measure_floors(folder.parent / "engine", folder),
        "page_quality": lambda: page_quality(folder / "check.npz", n_pictures),
    }


def main(arguments: list[str]) -> None:
    """Serve orders until the input ends: ``side edf folder n_pictures``."""
    side, edf, folder, n_pictures = arguments
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        orders = _orders(side, Path(edf), Path(folder), int(n_pictures))
        for line in sys.stdin:
            answers.write(json.dumps(orders[line.strip()]()) + "\n")
            answers.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
