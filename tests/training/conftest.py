"""A small instruction release with the columns of the real one, written to a folder."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from training import torchvision_shim
from training.vlm.base_config import BuiltModel
from training.vlm.config import Recipe, parse_recipe
from training.vlm.data import open_dataset
from training.vlm.model import Vlm, build_model

torchvision_shim.install()

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("kind", pa.string()),
        ("subject_id", pa.string()),
        ("split", pa.string()),
    ]
)

BANDS = ("delta", "theta", "alpha", "beta")


def page_png(number: int, width: int = 168, height: int = 112) -> bytes:
    """A deterministic picture of sine traces, as a page has."""
    x = np.arange(width)
    picture = np.full((height, width, 3), 255, dtype=np.uint8)
    for row in range(6):
        y = 10 + row * 18 + 5 * np.sin(x * (1 + number % 4) / 9 + row)
        picture[np.clip(y, 0, height - 1).astype(int), x] = 0
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


def sample(number: int, split: str = "train", **changes: Any) -> dict[str, Any]:
    """One row: a question about the page, its answer, and sometimes a second turn."""
    band = BANDS[number % 4]
    messages = [
        {"role": "user", "content": f"<image>\nWhich band leads on page {number}, at O1 and O2?"},
        {"role": "assistant", "content": f"The {band} band leads, {8 + number % 4}.5 µV at O1."},
    ]
    if number % 3 == 0:
        messages += [
            {"role": "user", "content": "Is a blink present?"},
            {"role": "assistant", "content": "No blink was found.\n\nFp1 and Fp2 are quiet."},
        ]
    row = {
        "id": f"{split}-{number:03d}",
        "images": [{"bytes": page_png(number), "path": None}],
        "messages": messages,
        "kind": "question",
        "subject_id": f"s{number % 5}",
        "split": split,
    }
    return row | changes


def write_release(folder: Path, rows: list[dict[str, Any]], group_rows: int = 5) -> Path:
    """Write rows as a release folder: one Parquet file per split, and a manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in sorted({r["split"] for r in rows}):
        chosen = [r for r in rows if r["split"] == split]
        table = pa.Table.from_pylist(chosen, SCHEMA)
        pq.write_table(table, folder / f"{split}.parquet", row_group_size=group_rows)
    ids = [r["id"] for r in rows]
    (folder / "manifest.json").write_text(json.dumps(ids))
    return folder


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 training rows in 5 row groups and 3 test rows."""
    rows = [sample(i) for i in range(24)] + [sample(i, "test") for i in range(3)]
    return write_release(tmp_path_factory.mktemp("release"), rows)


@pytest.fixture(scope="session")
def make_sample() -> Callable[..., dict[str, Any]]:
    return sample


TINY = {
    "description": "test",
    "release": "test",
    "model": {"source": "built", "vocab_size": 400},
    "image": {"min_pixels": 3136, "max_pixels": 12544},
    "stage1": {
        "train": ["merger"],
        "lr": 1e-3,
        "micro_batch": 2,
        "accumulation": 2,
        "max_steps": 6,
        "epochs": 9,
        "max_length": 512,
        "shuffle_rows": 8,
    },
    "stage2": {
        "train": ["language_model", "merger", "head"],
        "lr": 1e-3,
        "micro_batch": 2,
        "accumulation": 2,
        "max_steps": 6,
        "epochs": 9,
        "max_length": 512,
        "shuffle_rows": 8,
    },
    "machine": {"checkpoint_every": 2, "n_workers": 1},
}


def tiny_recipe(**changes: Any) -> Recipe:
    """The recipe of the tests; ``stage1={...}`` and the like change keys inside a block."""
    raw = {k: (v | changes.get(k, {}) if isinstance(v, dict) else v) for k, v in TINY.items()}
    return parse_recipe(raw, "test")


@pytest.fixture(scope="session")
def recipe() -> Callable[..., Recipe]:
    return tiny_recipe


@pytest.fixture(scope="session")
def vlm(release: Path) -> Vlm:
    """A built model with its processor; tests must not train it."""
    made = tiny_recipe()
    assert isinstance(made.model, BuiltModel)
    texts = open_dataset(release, "train").texts()
    return build_model(made.model, made.image, texts)


@pytest.fixture(scope="session", params=[True, False], ids=["tied", "untied"])
def base_folder(
    request: pytest.FixtureRequest, release: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A stored base model, with the head tied to the embeddings and apart from them."""
    made = tiny_recipe(model={"is_head_tied": request.param})
    assert isinstance(made.model, BuiltModel)
    folder = tmp_path_factory.mktemp("base") / "model"
    built = build_model(made.model, made.image, open_dataset(release, "train").texts())
    built.model.save_pretrained(folder)
    built.processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    return write_release


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    """The recipe of the tests as a file."""
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(tiny_recipe().model_dump()))
    return path


@pytest.fixture
def arguments(recipe_file: Path, release: Path, tmp_path: Path) -> list[str]:
    """The command line of a small stage 1 into ``tmp_path / "out"``."""
    words = ["stage1", "--recipe", recipe_file, "--dataset", release, "--out", tmp_path / "out"]
    return [str(w) for w in words]
