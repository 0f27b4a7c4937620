"""Vocabularies: a small byte-level BPE trained on our text, and the real one from its ranks.

Both end with Qwen2.5-VL's 22 added tokens in its order and both are ``Qwen2Tokenizer`` objects, so
that processor, chat template and model cannot tell them apart. Vocabularies that come with a
checkpoint are loaded in :mod:`training.vlm.model`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from training.vlm.errors import ModelError

SPECIAL_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>",
    "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>",
    "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
"""Added tokens that decoding skips, in the order of their ids (Qwen2.5 ``tokenizer_config``)."""

PLAIN_ADDED_TOKENS = (
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
    "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
)  # fmt: skip
"""Added tokens that decoding keeps, following the special ones."""

QWEN_RANKS_SHA256 = "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186"
"""Hash of ``qwen.tiktoken``, the 151,643 ranks Qwen published."""

END_OF_TURN = "<|im_end|>"
PAD = "<|endoftext|>"
IMAGE_PAD = "<|image_pad|>"


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Any:
    """Train a byte-level BPE and add Qwen's tokens to it.

    Parameters
    ----------
    texts
        Training text; every byte stays encodable whatever it holds.
    vocab_size
        Tokens in all, the 22 added ones included; fewer where the text has fewer pairs to merge.

    Returns
    -------
    transformers.Qwen2Tokenizer
        The same texts in the same order give the same tokenizer.
    """
    from tokenizers import Tokenizer, pre_tokenizers, trainers
    from tokenizers.models import BPE

    empty = _qwen_tokenizer({}, [])
    learner = Tokenizer(BPE())
    learner.normalizer = empty.backend_tokenizer.normalizer
    learner.pre_tokenizer = empty.backend_tokenizer.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(SPECIAL_TOKENS) - len(PLAIN_ADDED_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    learnt = json.loads(learner.to_str())["model"]
    return _qwen_tokenizer(learnt["vocab"], [tuple(pair) for pair in learnt["merges"]])


def tokenizer_from_tiktoken(path: Path) -> Any:
    """Rebuild the real Qwen2.5-VL tokenizer from its published ranks.

    The merges are not in the file: each token is taken apart by BPE with the ranks below its own,
    and the two parts that remain are its merge.

    Parameters
    ----------
    path
        ``qwen.tiktoken``: one base64 token and its rank per line.

    Returns
    -------
    transformers.Qwen2Tokenizer
        151,665 tokens.

    Raises
    ------
    ModelError
        If the file is not Qwen's.
    """
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != QWEN_RANKS_SHA256:
        raise ModelError(
            f"{path.name} is not Qwen's vocabulary: sha256 {found}, expected {QWEN_RANKS_SHA256}"
        )
    ranks: dict[bytes, int] = {}
    for line in data.splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    letters = _byte_letters()
    spelt = {t: "".join(letters[b] for b in t) for t in ranks}
    parts = (_last_merge(t, ranks) for t in ranks if len(t) > 1)
    merges = [(spelt[pair[0]], spelt[pair[1]]) for pair in parts if pair is not None]
    return _qwen_tokenizer({spelt[t]: rank for t, rank in ranks.items()}, merges)


def chat_template() -> str:
    """Return Qwen2.5-VL's published chat template (Apache-2.0, Qwen team)."""
    return (Path(__file__).parent / "chat_template.jinja").read_text(encoding="utf-8")


def _qwen_tokenizer(vocab: dict[str, int], merges: list[tuple[str, str]]) -> Any:
    from tokenizers import AddedToken
    from transformers import Qwen2Tokenizer

    # two of the special tokens have roles, which would put them first: the order is ours to keep
    tokenizer = Qwen2Tokenizer(vocab=vocab, merges=merges)
    added = [AddedToken(t, special=True, normalized=False) for t in SPECIAL_TOKENS]
    added += [AddedToken(t, special=False, normalized=False) for t in PLAIN_ADDED_TOKENS]
    tokenizer.add_tokens(added)
    tokenizer.add_special_tokens({"eos_token": END_OF_TURN, "pad_token": PAD, "unk_token": PAD})
    tokenizer.model_max_length = 131072
    return tokenizer


def _last_merge(token: bytes, ranks: Mapping[bytes, int]) -> tuple[bytes, bytes] | None:
    limit = ranks[token]
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        joins = [(ranks.get(a + b, limit), i) for i, (a, b) in enumerate(pairwise(parts))]
        rank, i = min(joins)
        if rank >= limit:
            return None  # a token no merge leads to; Qwen's list leaves those out too
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts[0], parts[1]


def _byte_letters() -> list[str]:
    """Return GPT-2's printable letter for every byte, which byte-level BPE spells tokens with."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(b) if b in printable else "" for b in range(256)]
    others = (b for b in range(256) if b not in printable)
    for offset, b in enumerate(others):
        letters[b] = chr(256 + offset)
    return letters
