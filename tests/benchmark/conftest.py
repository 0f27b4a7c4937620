"""A small benchmark written by hand, and a tiny model to ask."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from benchmark.asking.answers import Item
from benchmark.asking.controls import mirror_id
from benchmark.tasks.items import Sources, build_items

BANDS = ("delta", "theta", "alpha", "beta")
YES_NO = ("present", "absent")
SPLITS = {f"p{n:02d}": "test" if n < 8 else "train" for n in range(12)}
PAGES_PER_SUBJECT = 5


def _segments() -> list[dict[str, Any]]:
    return [
        {
            "segment_id": f"{subject}-s{page}",
            "corpus": "simulated" if subject < "p04" else "eegmat",
            "subject_id": subject,
            "split": split,
            "is_simulated": subject < "p04",
        }
        for subject, split in SPLITS.items()
        for page in range(PAGES_PER_SUBJECT)
    ]


def _question(segment_id: str, number: int, kind: str, options: Sequence[str]) -> dict[str, Any]:
    at = number % len(options)
    return {
        "sample_id": f"q-{segment_id}-{kind}",
        "segment_id": segment_id,
        "question_type": kind,
        "question": f"Question on {kind}?",
        "options": list(options),
        "answer": "ABCD"[at],
        "answer_text": options[at],
        "evidence": [f"f-{segment_id}"],
        "block_id": f"b-{segment_id}-{kind}",
        "is_absence_item": False,
        "is_label_aware": False,
    }


def _caption(segment_id: str, number: int, variant: str) -> dict[str, Any]:
    rhythm = f"{BANDS[number % 4]} rhythm of {8 + number % 5}.5 Hz"
    text = f"A {rhythm} at {30 + number} \u00b5V over O{1 + number % 2}."
    sentence = {"text": text, "section": "background", "evidence": [f"f-{segment_id}"]}
    return {
        "sample_id": f"c-{segment_id}-{variant}",
        "segment_id": segment_id,
        "variant": variant,
        "text": text,
        "sentences": [sentence],
    }


def _boxes(segment: dict[str, Any], number: int) -> list[dict[str, Any]]:
    if number % 5 == 4 or not segment["is_simulated"]:
        return []
    shared = {key: segment[key] for key in ("segment_id", "corpus", "subject_id", "split")}
    return [
        {
            **shared,
            "annotation_id": f"w-{segment['segment_id']}-{waveform}",
            "waveform": waveform,
            "channel": channel,
            "t0_s": t0_s + 0.1 * number,
            "t1_s": t1_s + 0.1 * number,
            "source": "simulator",
            "origin": "simulator",
            "annotators": ["simulator"],
            "weight": 1.0,
            "is_placed": False,
            "size_k": None,
        }
        for waveform, channel, t0_s, t1_s in (
            ("spike", "T7", 1.0, 1.06),
            ("spindle", "C3", 3.0, 4.1),
            ("spindle", "Cz", 3.0, 4.1),
            ("eyem", "Fp1", 6.0, 6.4),
        )
    ]


@pytest.fixture(scope="session")
def sources() -> Sources:
    """Twelve subjects, eight of them held out, four of those simulated; five pages each."""
    segments = _segments()
    numbered = list(enumerate(segments))
    questions = [
        _question(s["segment_id"], n + shift, kind, options)
        for n, s in numbered
        for shift, (kind, options) in enumerate((("band", BANDS), ("spindle", YES_NO)))
    ]
    captions = [
        _caption(s["segment_id"], n, variant)
        for n, s in numbered
        for variant in ("label_free", "label_aware")
    ]
    return Sources(
        segments=pl.DataFrame(segments),
        questions=pl.DataFrame(questions),
        captions=pl.DataFrame(captions),
        waveform_annotations=pl.DataFrame([b for n, s in numbered for b in _boxes(s, n)]),
    )


@pytest.fixture(scope="session")
def rows_of(sources: Sources) -> Callable[[str], list[dict[str, Any]]]:
    """Rows of ``benchmark_items`` of a task."""

    def rows(task: str) -> list[dict[str, Any]]:
        return list(build_items(task, sources).rows)

    return rows


def page_png(seed: int, width: int = 120, height: int = 80) -> bytes:
    grey = np.random.default_rng(seed).integers(0, 2, size=(height, width), dtype=np.uint8) * 255
    buffer = io.BytesIO()
    Image.fromarray(grey.astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def pages_of() -> Callable[[Sequence[Item]], dict[str, bytes]]:
    """One page per segment, by item id, and a mirrored one."""

    def pages(items: Sequence[Item]) -> dict[str, bytes]:
        segments = sorted({item.segment_id for item in items})
        number = {item.item_id: segments.index(item.segment_id) for item in items}
        mirrored = {mirror_id(i): page_png(len(segments) + n) for i, n in number.items()}
        return {i: page_png(n) for i, n in number.items()} | mirrored

    return pages


@pytest.fixture(scope="session")
def tiny_vlm(sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Qwen2.5-VL of some 200 thousand random weights, as the trainer writes one."""
    pytest.importorskip("torch", reason="torch is not installed: no model to ask")
    pytest.importorskip("transformers", reason="transformers is not installed: no model to ask")
    from training import torchvision_shim

    torchvision_shim.install()
    from training.vlm.base_config import BuiltModel, ImageConfig
    from training.vlm.model import build_model

    texts = [row["prompt"] for row in build_items("mcq", sources).rows] * 3
    image = ImageConfig(min_pixels=3136, max_pixels=18816)
    built = build_model(BuiltModel(source="built", vocab_size=400), image, texts)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    built.model.save_pretrained(folder)
    built.processor.save_pretrained(folder)
    return folder
