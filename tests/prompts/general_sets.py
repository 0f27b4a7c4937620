"""Writes small copies of the published general sets in their own layout, with faults planted in them."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

THINGS = ("kettle", "harbour", "bicycle", "lantern", "orchard", "violin", "glacier", "market")
PLACES = ("on a table", "under grey clouds", "beside a river", "in an empty street", "at night")
MANNERS = ("seen from above", "half in shadow", "painted red", "with two people", "behind glass")


def picture(number: int, kind: str = "JPEG", size: tuple[int, int] = (64, 48)) -> bytes:
    image = Image.new("RGB", size, (number * 37 % 256, number * 11 % 256, 90))
    ImageDraw.Draw(image).ellipse((4, 4, 8 + number % 40, 40), fill=(200, number % 256, 10))
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def caption(number: int) -> str:
    rng = random.Random(number)
    parts = (rng.choice(THINGS), rng.choice(PLACES), rng.choice(MANNERS), rng.choice(THINGS))
    return f"a {parts[0]} {parts[1]} {parts[2]} near a {parts[3]} marked {number}"


def llava_row(number: int, file: str, turns: int = 1, **changes: Any) -> dict[str, Any]:
    said = []
    for turn in range(turns):
        mark = "<image>\n" if turn == 0 and number % 2 else ""
        tail = "\n<image>" if turn == 0 and not number % 2 else ""
        said += [
            {"from": "human", "value": f"{mark}What is in picture {number}, part {turn}?{tail}"},
            {"from": "gpt", "value": caption(1000 * turn + number)},
        ]
    return {"id": f"{number:09d}", "image": file, "conversations": said} | changes


def write_llava(folder: Path, name: str, rows: list[Any], pictures: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in pictures.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / name).write_text(json.dumps(rows, indent=1))


def write_pretrain(root: Path, n: int = 20) -> None:
    """LLaVA-Pretrain: short captions, pictures in numbered folders beside the file."""
    files = {f"{i % 3:05d}/{i:09d}.jpg": picture(i) for i in range(n)}
    rows = [llava_row(i, file) for i, file in enumerate(files)]
    write_llava(root / "LLaVA-Pretrain", "blip_laion_cc_sbu_558k.json", rows, files)


def write_instruct(root: Path, n: int = 10) -> None:
    """LLaVA-Instruct-150K: several turns, COCO pictures in a folder of their own."""
    files = {f"train2017/{i:012d}.jpg": picture(100 + i) for i in range(n)}
    rows = [llava_row(i, Path(file).name, turns=3) for i, file in enumerate(files)]
    write_llava(root / "LLaVA-Instruct-150K", "llava_instruct_150k.json", rows, files)


def cosyn_row(number: int, n_questions: int = 2) -> dict[str, Any]:
    asked = [
        {"question": f"Bar {k} of chart {number}: how high?", "explanation": "Read off the axis.",
         "answer": f"{number + k} units"}
        for k in range(n_questions)
    ]  # fmt: skip
    return {"id": f"chart_{number}", "image": {"bytes": picture(200 + number, "PNG"), "path": "x.png"},
            "qa_pairs": asked, "data": "a,b", "code": "plot()"}  # fmt: skip


def write_cosyn(
    root: Path, rows: list[dict[str, Any]] | None = None, *, is_columnar: bool = False
) -> None:
    """CoSyn-400K: pictures and question lists in Parquet, one folder per kind of picture."""
    folder = root / "CoSyn-400K" / "chart"
    folder.mkdir(parents=True, exist_ok=True)
    rows = rows if rows is not None else [cosyn_row(i) for i in range(8)]
    if is_columnar:
        rows = [
            row
            | {"qa_pairs": {key: [qa[key] for qa in row["qa_pairs"]] for key in row["qa_pairs"][0]}}
            for row in rows
        ]
    for name, part in (("train-00000-of-00002", rows[::2]), ("train-00001-of-00002", rows[1::2])):
        pq.write_table(pa.Table.from_pylist(part), folder / f"{name}.parquet")
    pq.write_table(pa.Table.from_pylist(rows[:1]), folder / "validation-00000-of-00001.parquet")
