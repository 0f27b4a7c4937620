"""BERTScore in a program of its own: the same values as in one process, and clear sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.__main__ import main
from benchmark.errors import BenchmarkError
from benchmark.scores.bert_pairs import StoredOverlap, read_values, write_pairs

PAIRS = [("spikes at left", "spikes at right"), ("alpha", "alpha"), ("alpha", ""), ("a b", "b a")]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "spikes", "at", "left", "right", "alpha",
         "a", "b"]  # fmt: skip


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of a few thousand random weights."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from training import torchvision_shim

    torchvision_shim.install()
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("encoder") / "tiny-bert"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


def test_the_program_gives_what_the_encoder_gives(encoder: Path, tmp_path: Path) -> None:
    from benchmark.scores.bert_overlap import BertOverlap

    assert write_pairs(tmp_path / "pairs.parquet", PAIRS * 2) == len(PAIRS)
    words = ["embed", "--pairs", f"{tmp_path}/pairs.parquet", "--encoder", str(encoder),
             "--layer", "1", "--out", f"{tmp_path}/values.parquet",
             "--preload", "training.torchvision_shim:install"]  # fmt: skip
    assert main(words) == 0
    stored, here = read_values(tmp_path / "values.parquet"), BertOverlap(encoder, 1)
    references, answers = [list(side) for side in zip(*PAIRS, strict=True)]
    assert stored.scores(references, answers) == pytest.approx(here.scores(references, answers))
    assert stored.note == here.note
    assert "tiny-bert" in stored.note
    assert "layer 1" in stored.note


def test_a_pair_that_was_not_embedded_is_told() -> None:
    stored = StoredOverlap({("a", "b"): 50.0}, "x")
    assert stored.scores(["a"], ["b"]) == [50.0]
    with pytest.raises(BenchmarkError, match="1 of 2 pairs have no BERTScore"):
        stored.scores(["a", "a"], ["b", "c"])


def test_files_that_are_none_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(BenchmarkError, match="not a file"):
        read_values(tmp_path / "none.parquet")
    write_pairs(tmp_path / "pairs.parquet", PAIRS)
    with pytest.raises(BenchmarkError, match="holds no BERTScore values"):
        read_values(tmp_path / "pairs.parquet")
    (tmp_path / "junk.parquet").write_bytes(b"junk")
    with pytest.raises(BenchmarkError, match="no readable Parquet"):
        read_values(tmp_path / "junk.parquet")
    words = ["embed", "--pairs", f"{tmp_path}/pairs.parquet", "--encoder", f"{tmp_path}/none",
             "--out", f"{tmp_path}/out.parquet"]  # fmt: skip
    assert main(words) == 1
    assert "is no encoder folder" in caplog.text
    assert not (tmp_path / "out.parquet").exists()
