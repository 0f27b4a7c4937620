"""Scores equal those of the public packages on random cases."""

from __future__ import annotations

import math
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.asking.answers import Box
from benchmark.errors import BenchmarkError
from benchmark.scores.bert_overlap import BertOverlap
from benchmark.scores.detection import class_ap
from benchmark.scores.event_scores import event_sums, szcore_values
from benchmark.scores.metrics import choice_sums, f1_weighted, kappa_within, word_overlaps
from benchmark.scores.ranking import auroc_interval, probabilities

CLASSES = "wxyz"
_PAIRS = st.lists(
    st.tuples(st.sampled_from(CLASSES), st.sampled_from([*CLASSES, "", "q"])),
    min_size=1,
    max_size=40,
)


@settings(deadline=None)
@given(_PAIRS)
def test_kappa_and_weighted_f1_equal_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    true, said = [t for t, _ in pairs], [s for _, s in pairs]
    sums = choice_sums(true, said).sum(axis=0, keepdims=True)
    labels = sorted(set(true))
    f1 = metrics.f1_score(true, said, labels=labels, average="weighted", zero_division=0)
    assert f1_weighted(sums)[0] == pytest.approx(f1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kappa = metrics.cohen_kappa_score(true, said)
    assert kappa_within(["all"] * len(labels))(sums)[0] == pytest.approx(kappa, nan_ok=True)


def test_kappa_counts_chance_within_each_type() -> None:
    true = ["a: x", "a: y", "b: x", "b: y"]
    by_type = kappa_within(["a", "a", "b", "b"])
    assert by_type(choice_sums(true, true).sum(axis=0, keepdims=True))[0] == 1.0
    half = choice_sums(true, ["a: x", "a: x", "b: x", "b: x"]).sum(axis=0, keepdims=True)
    assert by_type(half)[0] == pytest.approx(0.0)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_area_equals_scikit_learn_and_every_draw_too(seed: int, n_classes: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    names = list(CLASSES[:n_classes])
    true = [names[i] for i in (*range(n_classes), *rng.integers(0, n_classes, size=50))]
    shares = [probabilities(row) for row in rng.integers(-3, 1, size=(len(true), n_classes))]
    subjects = [f"p{i % 7}" for i in range(len(true))]
    found = auroc_interval(subjects, true, [names] * len(true), shares, seed=0)
    areas = [
        metrics.roc_auc_score([t == name for t in true], [round(s[k], 9) for s in shares])
        for k, name in enumerate(names)
    ]
    assert found.value == pytest.approx(np.mean(areas))
    again = auroc_interval(subjects[::-1], true[::-1], [names] * len(true), shares[::-1], seed=0)
    assert again == found


def test_a_perfect_ranking_has_the_whole_area_and_one_class_has_none() -> None:
    shares = [[0.9, 0.1], [0.2, 0.8]] * 3
    subjects, offered = list("ppqqrr"), [["x", "y"]] * 6
    assert auroc_interval(subjects, list("xyxyxy"), offered, shares, seed=0).value == 1.0
    assert math.isnan(auroc_interval(subjects, list("xxxxxx"), offered, shares, seed=0).value)


_WORDS = ("alpha", "rhythms", "9.5", "Hz", "left", "spindles", "were", "seen", "over", "O1", ",")


def test_word_overlap_equals_rouge_score() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    rng = random.Random(0)
    texts = [" ".join(rng.choices(_WORDS, k=rng.randrange(0, 40))) for _ in range(400)]
    references, answers = texts[:200], texts[200:]
    scorer = RougeScorer(["rouge1", "rougeL"], use_stemmer=True)
    normal = [t.replace("9.5", "9p5") for t in texts]
    for i, ours in enumerate(word_overlaps(references, answers)):
        theirs = scorer.score(normal[i], normal[200 + i])
        assert ours.rouge1 == pytest.approx(100 * theirs["rouge1"].fmeasure)
        assert ours.rouge1_recall == pytest.approx(100 * theirs["rouge1"].recall)
        assert ours.rouge_l == pytest.approx(100 * theirs["rougeL"].fmeasure)
        raw = scorer.score(references[i], answers[i])["rouge1"].fmeasure
        assert ours.rouge1_raw == pytest.approx(100 * raw)


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_equals_faster_coco_eval(seed: int) -> None:
    coco = pytest.importorskip("faster_coco_eval")
    rng = random.Random(seed)
    rows = ("O1", "O2")

    def boxes(n: int, *, is_found: bool) -> list[Box]:
        made = []
        for i in range(n):
            start = rng.randrange(80) / 10 + rng.random() / 20
            confidence = 1 - i / 100 if is_found else 1.0
            segment, row, length = f"s{rng.randrange(4)}", rng.choice(rows), 0.5 + rng.random()
            made.append(Box(segment, "spindle", row, start, start + length, confidence))
        return made

    truth, found = boxes(25, is_found=False), boxes(40, is_found=True)

    def as_coco(box: Box, number: int) -> dict[str, object]:
        y = 10.0 * rows.index(box.channel)
        width = box.t1_s - box.t0_s
        entry = {"id": number, "image_id": int(box.segment_id[1:]) + 1, "category_id": 1,
                 "bbox": [box.t0_s, y, width, 1.0], "area": width, "iscrowd": 0}  # fmt: skip
        return entry | {"score": box.confidence}

    images = [{"id": i + 1, "width": 20, "height": 20} for i in range(4)]
    data = {
        "images": images, "categories": [{"id": 1, "name": "spindle"}],
        "annotations": [as_coco(b, i + 1) for i, b in enumerate(truth)],
    }  # fmt: skip
    reference = coco.COCO(data)
    theirs = reference.loadRes([as_coco(b, i + 1) for i, b in enumerate(found)])
    scored = coco.COCOeval_faster(reference, theirs, "bbox")
    scored.evaluate()
    scored.accumulate()
    at_50 = scored.eval["precision"][0, :, 0, 0, -1]
    subject_of = {f"s{i}": 0 for i in range(4)}
    ours = class_ap(truth, found, subject_of, np.ones((1, 1)), 0.5)[0]
    assert ours == pytest.approx(float(np.mean(at_50)), abs=1e-6)


def test_timescoring_counts_what_overlaps() -> None:
    pytest.importorskip("timescoring")

    def box(segment: str, row: str, t0_s: float, t1_s: float) -> Box:
        return Box(segment, "spike", row, t0_s, t1_s)

    truth = [box("s1", "O1", 1.0, 1.06), box("s1", "O2", 1.0, 1.06), box("s2", "O1", 9.9, 10.0)]
    found = [box("s1", "O1", 1.02, 1.08), box("s1", "O1", 5.0, 5.5), box("s2", "O1", 0.0, 0.1)]
    sums = event_sums(truth, found, {"s1": 0, "s2": 1}, 3)
    assert sums.tolist() == [[1, 1, 2], [0, 1, 1], [0, 0, 0]]
    values = szcore_values(sums)
    assert values["szcore_sensitivity"][:2].tolist() == [0.5, 0.0]
    assert values["szcore_precision"][:2].tolist() == [0.5, 0.0]
    assert values["szcore_f1"][0] == 0.5
    assert all(np.isnan(v[2]) for v in values.values())
    perfect = szcore_values(event_sums(truth, truth, {"s1": 0, "s2": 1}, 2))
    assert {tuple(v) for v in perfect.values()} == {(1.0, 1.0)}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder of a few thousand random weights."""
    pytest.importorskip("torch", reason="torch is not installed: no encoder to build")
    transformers = pytest.importorskip("transformers")
    from training import torchvision_shim

    torchvision_shim.install()
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted({w.lower() for w in _WORDS})]
    tokens = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokens.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokens.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    folder = tmp_path_factory.mktemp("encoder")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", model_max_length=64,
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder)
    return folder


def test_bertscore_equals_torchmetrics(encoder: Path) -> None:
    bert = pytest.importorskip("torchmetrics.functional.text.bert")
    rng = random.Random(1)
    texts = [" ".join(rng.choices(_WORDS, k=rng.randrange(2, 12))).lower() for _ in range(16)]
    references, answers = texts[:8], texts[8:]
    # one pair at a time: given several, that package sorts answers and references apart
    theirs = [
        bert.bert_score([a], [r], model_name_or_path=str(encoder), num_layers=2, max_length=32)[
            "f1"
        ]
        for r, a in zip(references, answers, strict=True)
    ]
    ours = BertOverlap(encoder, layer=2).scores(references, answers)
    assert ours == pytest.approx([100 * float(v) for v in theirs], abs=1e-3)


def test_bertscore_names_its_encoder_and_gives_an_empty_answer_nothing(encoder: Path) -> None:
    scorer = BertOverlap(encoder)
    assert scorer.scores(["alpha left", "alpha"], ["alpha left", ""]) == pytest.approx([100.0, 0.0])
    assert encoder.name in scorer.note
    assert "layer 2" in scorer.note


@pytest.mark.parametrize("fault", ["empty folder", "layer"])
def test_what_is_no_encoder_is_told(encoder: Path, tmp_path: Path, fault: str) -> None:
    given_folder = tmp_path if fault == "empty folder" else encoder
    with pytest.raises(BenchmarkError, match=r"no config.json|from 1 to 2"):
        BertOverlap(given_folder, layer=9)
