"""Whole stages on the built model: resume equals unbroken, and the folder is a plain model."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from training.vlm.config import Recipe
from training.vlm.encode import conversation
from training.vlm.errors import DatasetError, Interrupted, MachineError, ModelError, TrainerError
from training.vlm.report import StepReport
from training.vlm.result import StageResult
from training.vlm.run import StageRequest, run_stage

Request = Callable[..., StageRequest]


class Listener:
    """Collects reports; sends this program a signal after a step if told to."""

    def __init__(self, stop_after: int = 0, number: signal.Signals = signal.SIGTERM) -> None:
        self.reports: list[StepReport] = []
        self.texts: list[str] = []
        self._stop_after, self._number = stop_after, number

    def message(self, text: str) -> None:
        self.texts.append(text)

    def step(self, report: StepReport) -> None:
        self.reports.append(report)
        if report.step == self._stop_after:
            os.kill(os.getpid(), self._number)


@pytest.fixture
def ask(release: Path, recipe: Callable[..., Recipe], tmp_path: Path) -> Request:
    def make(out: str = "out", stage: str = "stage1", **fields: Any) -> StageRequest:
        changes = fields.pop("changes", {})
        given = {"dataset": release} | fields
        return StageRequest("test", recipe(**changes), stage, out=tmp_path / out, **given)  # type: ignore[arg-type]

    return make


TIMED_FILES = ("metrics.jsonl", "result.json")


def _bytes(folder: str) -> dict[str, bytes]:
    """Every file of a model folder but those that hold timings."""
    files = sorted(Path(folder).iterdir())
    return {p.name: p.read_bytes() for p in files if p.name not in TIMED_FILES}


def _work(request: StageRequest) -> Path:
    return request.out.with_name(f".{request.out.name}.work")


def _interrupt(request: StageRequest, after: int, number: signal.Signals) -> None:
    with pytest.raises(Interrupted, match=rf"{number.name} after step {after}; checkpoint"):
        run_stage(request, [Listener(after, number)])


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_interrupted_and_resumed_equals_unbroken_bit_for_bit(ask: Request, stage: str) -> None:
    whole = Listener()
    unbroken = run_stage(ask("whole", stage), [whole])
    for after, number in ((1, signal.SIGTERM), (3, signal.SIGINT)):
        _interrupt(ask("broken", stage), after, number)
    rest = Listener()
    resumed = run_stage(ask("broken", stage), [rest])
    assert [r.step for r in rest.reports] == [4, 5, 6]
    assert resumed.losses == unbroken.losses
    assert resumed.n_tokens == unbroken.n_tokens
    assert [r.lr for r in rest.reports] == [r.lr for r in whole.reports[3:]]
    assert _bytes(resumed.model) == _bytes(unbroken.model)


def test_resumed_from_an_older_checkpoint_equals_unbroken(ask: Request) -> None:
    unbroken = run_stage(ask("whole"))
    _interrupt(ask("broken"), 5, signal.SIGTERM)
    # as after a kill -9 between checkpoints: only the one of step 4 is left, the log is ahead
    (newest,) = _work(ask("broken")).glob("*/step-00000005")
    for file in newest.iterdir():
        file.unlink()
    rest = Listener()
    resumed = run_stage(ask("broken"), [rest])
    assert [r.step for r in rest.reports] == [5, 6]
    assert resumed.losses == unbroken.losses
    assert _bytes(resumed.model) == _bytes(unbroken.model)


def test_machine_settings_change_nothing(ask: Request) -> None:
    one = run_stage(ask("one"))
    two = run_stage(ask("two", changes={"machine": {"n_workers": 0, "checkpoint_every": 100}}))
    assert _bytes(one.model) == _bytes(two.model)


def test_gradient_checkpointing_changes_no_loss(ask: Request) -> None:
    changes = {"stage2": {"is_checkpointing_gradients": True}}
    one = run_stage(ask("one", "stage2"))
    two = run_stage(ask("two", "stage2", changes=changes))
    assert two.losses == pytest.approx(one.losses, rel=1e-5)


def test_report_counts_every_token_and_sample(ask: Request) -> None:
    listener = Listener()
    result = run_stage(ask(), [listener])
    assert [r.step for r in listener.reports] == list(range(1, 7))
    assert {r.n_samples for r in listener.reports} == {4}
    assert result.n_samples == 24
    assert result.n_tokens == sum(r.n_tokens for r in listener.reports)
    assert all(0 < r.n_label_tokens < r.n_tokens for r in listener.reports)
    # 168 x 112 pixels shrunk below 12,544: 4 x 3 tokens of 28 x 28 pixels
    assert all(r.n_image_tokens == 4 * 12 for r in listener.reports)
    assert all(0 <= r.padded_share < 1 and 0 <= r.data_wait_share <= 1 for r in listener.reports)
    lines = (ask().out / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 7))


def test_stage_that_is_passed_over_is_said(ask: Request, base_folder: Path) -> None:
    for out, stage, base, is_said in (
        ("a", "stage1", None, False),
        ("b", "stage2", base_folder, False),
        ("c", "stage2", None, True),
    ):
        listener = Listener()
        run_stage(ask(out, stage, base=base, changes={stage: {"max_steps": 1}}), [listener])
        assert ("without its stage1" in "\n".join(listener.texts)) == is_said


def test_stage2_learns_from_stage1s_model(ask: Request) -> None:
    first = run_stage(ask("one"))
    changes = {"stage2": {"max_steps": 30, "lr": 1e-2}}
    second = run_stage(ask("two", "stage2", base=Path(first.model), changes=changes))
    assert second.base_fingerprint == first.model_fingerprint
    assert second.losses[-1] < 0.5 * second.losses[0]
    known = json.loads((Path(second.model) / "training.json").read_text())
    assert known["base"] == "stage1 of recipe test, from built from a config, seed 0"


def test_model_folder_loads_with_plain_transformers(ask: Request, make_sample: Any) -> None:
    import torch
    from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor

    result = run_stage(ask())
    model = AutoModelForImageTextToText.from_pretrained(result.model, local_files_only=True)
    processor = AutoProcessor.from_pretrained(result.model, local_files_only=True)
    processor.image_processor = AutoImageProcessor.from_pretrained(result.model, backend="pil")
    row = make_sample(1)
    turns = conversation(row["messages"][:1], has_image=True)
    text = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    image = Image.open(io.BytesIO(row["images"][0]["bytes"]))
    inputs = processor(text=[text], images=[image], return_tensors="pt")
    assert int((inputs["input_ids"] == model.config.image_token_id).sum()) == 12
    with torch.no_grad():
        out = model.generate(**inputs, max_new_tokens=4, do_sample=False)
    assert out.shape[1] <= inputs["input_ids"].shape[1] + 4
    assert not list(Path(result.model).glob("*.bin"))


def test_weights_are_stored_in_the_type_of_the_base(
    ask: Request, base_folder: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForImageTextToText

    half = tmp_path / "half"
    shutil.copytree(base_folder, half)
    model = AutoModelForImageTextToText.from_pretrained(base_folder)
    model.to(torch.bfloat16).save_pretrained(half)
    result = run_stage(ask(base=half))
    stored = load_file(Path(result.model) / "model.safetensors")
    assert {t.dtype for t in stored.values()} == {torch.bfloat16}
    again = AutoModelForImageTextToText.from_pretrained(result.model, dtype="auto")
    assert again.dtype == torch.bfloat16


def test_card_tells_origin_and_limits(ask: Request) -> None:
    result = run_stage(ask())
    card = (Path(result.model) / "README.md").read_text()
    for part in (
        "expected near chance",
        "not a medical device",
        result.dataset_fingerprint[:16],
        result.code_version,
        "6 steps of a cosine schedule planned for 6",
        f"| 6 | {result.losses[-1]:.4f} |",
        "| merger         | 5       |",
    ):
        assert part in card
    known = json.loads((Path(result.model) / "training.json").read_text())
    assert known["losses"] == result.losses
    assert known["recipe_settings"]["stage1"]["lr"] == 1e-3


def test_finished_run_is_reported_not_repeated(ask: Request) -> None:
    first = run_stage(ask())
    again = Listener()
    second = run_stage(ask(), [again])
    assert not again.reports
    assert second == first
    assert not _work(ask()).exists()


def test_finished_model_may_be_moved_and_tells_nobody_where_it_lay(ask: Request) -> None:
    run_stage(ask())
    for file in ask().out.iterdir():
        assert str(ask().out.parent).encode() not in file.read_bytes(), file.name
    ask().out.rename(ask("moved").out)
    listener = Listener()
    assert run_stage(ask("moved"), [listener]).model == str(ask("moved").out)
    assert not listener.reports


def test_result_of_another_version_of_the_trainer_is_no_obstacle(ask: Request) -> None:
    run_stage(ask())
    file = ask().out / "result.json"
    known = json.loads(file.read_text()) | {"code_version": "older", "joules": 1.0}
    file.write_text(json.dumps(known))
    listener = Listener()
    run_stage(ask(), [listener])
    assert len(listener.reports) == 6


def test_what_a_killed_launch_had_half_written_is_cleared(ask: Request) -> None:
    _interrupt(ask(), 2, signal.SIGTERM)
    (work,) = _work(ask()).iterdir()
    (work / ".step-00000099.part").mkdir()
    _interrupt(ask(), 3, signal.SIGTERM)
    assert not list(work.glob(".step-*"))


@pytest.mark.parametrize("how", ["recipe", "data", "fresh"])
def test_changed_run_is_trained_anew(
    ask: Request, write: Any, make_sample: Any, tmp_path: Path, how: str
) -> None:
    first = run_stage(ask())
    other = {
        "recipe": lambda: ask(changes={"stage1": {"seed": 1}}),
        "data": lambda: ask(dataset=write(tmp_path / "d", [make_sample(i) for i in range(30)])),
        "fresh": lambda: ask(is_fresh=True),
    }[how]()
    listener = Listener()
    second = run_stage(other, [listener])
    assert len(listener.reports) == 6
    assert (second.run == first.run) == (how == "fresh")


def test_bad_rows_are_counted_and_named(
    ask: Request, write: Any, make_sample: Any, tmp_path: Path
) -> None:
    rows = [make_sample(i) for i in range(12)]
    rows[3]["messages"] = []
    rows[7]["images"] = [{"bytes": b"", "path": None}]
    data = write(tmp_path / "d", rows)
    changes = {"stage1": {"max_steps": None, "epochs": 1}}
    result = run_stage(ask(dataset=data, changes=changes))
    assert result.n_dropped == {"no messages": 1, "unreadable image": 1}
    assert result.n_samples == 10
    lines = (ask().out / "dropped.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["sample_id"] for line in lines) == ["train-003", "train-007"]


@pytest.mark.parametrize(
    ("n_rows", "says"),
    [(4, "no row of the dataset could be used: {'no messages': 4}"), (120, "rows were dropped")],
    ids=["none-usable", "too-many"],
)
def test_dataset_that_is_mostly_bad_stops_the_run(
    ask: Request, write: Any, make_sample: Any, tmp_path: Path, n_rows: int, says: str
) -> None:
    rows = [make_sample(i, messages=[]) for i in range(n_rows)]
    if n_rows > 100:
        rows[::2] = [make_sample(i) for i in range(0, n_rows, 2)]
    changes = {"stage1": {"max_steps": None, "epochs": 1}}
    with pytest.raises(DatasetError, match=says) as caught:
        run_stage(ask(dataset=write(tmp_path / "d", rows), changes=changes))
    assert not ask().out.exists()
    if found := re.search("'(.*)' names them", str(caught.value)):
        named = [json.loads(line) for line in Path(found[1]).read_text().splitlines()]
        assert str(caught.value).startswith(f"{len(named)} of ")
    else:
        assert n_rows < 100


def _other_architecture(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "llava"}')


def _pickled(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    (folder / "pytorch_model.bin").write_bytes(b"")


def _no_weights(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "qwen2_5_vl"}')


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: None, "holds no config.json"),
        (_other_architecture, "holds a 'llava'; only 'qwen2_5_vl'"),
        (_pickled, r"only pickled weights \(pytorch_model.bin\), which are never opened"),
        (_no_weights, "holds no weights"),
        (lambda folder: (folder / "config.json").write_text("{"), "is not a model's config"),
    ],
    ids=["empty", "llava", "pickled", "no-weights", "broken"],
)
def test_wrong_base_is_refused_in_a_sentence(
    ask: Request, tmp_path: Path, spoil: Callable[[Path], object], says: str
) -> None:
    folder = tmp_path / "base"
    folder.mkdir()
    spoil(folder)
    with pytest.raises(ModelError, match=says):
        run_stage(ask(base=folder))


@pytest.mark.parametrize(
    ("name", "revision", "says"),
    [
        ("/no/such/folder", None, "neither a folder nor a hub id"),
        ("Qwen/Qwen2.5-VL-3B-Instruct", None, "needs model.revision"),
    ],
    ids=["folder", "unpinned"],
)
def test_checkpoint_that_cannot_be_found_is_refused(
    ask: Request, name: str, revision: str | None, says: str
) -> None:
    from training.vlm.base_config import CheckpointModel
    from training.vlm.model import find_checkpoint

    spec = CheckpointModel(source="checkpoint", name=name, revision=revision, licence="x")
    with pytest.raises(ModelError, match=says):
        find_checkpoint(spec)


def test_local_checkpoint_takes_the_same_path_as_a_built_model(
    ask: Request, base_folder: Path
) -> None:
    model = {"source": "checkpoint", "name": str(base_folder), "licence": "apache-2.0"}
    request = ask()
    recipe = request.recipe.model_dump() | {"model": model}
    local = StageRequest(
        "test", Recipe.model_validate(recipe), "stage1", request.dataset, request.out
    )
    given = run_stage(ask("given", base=base_folder))
    assert run_stage(local).losses == given.losses
    for file in request.out.iterdir():
        assert str(base_folder).encode() not in file.read_bytes(), file.name


def test_two_runs_do_not_share_a_folder(ask: Request) -> None:
    begun, go_on = threading.Event(), threading.Event()
    outcome: list[TrainerError | StageResult] = []

    class Waits(Listener):
        def step(self, report: StepReport) -> None:
            begun.set()
            assert go_on.wait(60)

    thread = threading.Thread(target=lambda: outcome.append(run_stage(ask(), [Waits()])))
    thread.start()
    try:
        assert begun.wait(60)
        with pytest.raises(MachineError, match="another run is writing"):
            run_stage(ask())
    finally:
        go_on.set()
        thread.join()
    assert isinstance(outcome[0], StageResult)


def test_folder_of_somebody_else_is_not_replaced(ask: Request) -> None:
    ask().out.mkdir()
    (ask().out / "thesis.docx").write_text("")
    with pytest.raises(MachineError, match="holds no model of this trainer"):
        run_stage(ask())
    assert (ask().out / "thesis.docx").exists()


def test_output_that_cannot_be_written_is_refused(ask: Request, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="cannot be written"):
        run_stage(ask("file/out"))
