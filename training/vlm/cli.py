"""The command line of the vision-language trainer, and its report to Dagster.

``python -m training stage1 --recipe tiny --dataset DIR --out DIR``. Exit status 0 is a finished
model; 75 is a signal with a checkpoint left, to be run again; the others are listed in
:mod:`training.vlm.errors`. Training itself is :mod:`training.vlm.run`.
"""

from __future__ import annotations

import argparse
import base64
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from training.pipes import PipesSession, pipes_session
from training.recipes import recipe_path
from training.vlm.config import STAGES, Recipe, StageName, load_recipe
from training.vlm.errors import RecipeError, TrainerError
from training.vlm.output import loss_curve_png
from training.vlm.parallel import launched_rank, tell_error
from training.vlm.report import LogReporter, Reporter, StepReport, TerminalReporter
from training.vlm.result import StageResult
from training.vlm.run import StageRequest, run_stage
from training.vlm.tensorboard import TensorBoardReporter


class PipesReporter:
    """Forwards a run to the log of the Dagster run that launched it."""

    def __init__(self, session: PipesSession) -> None:
        self._session = session

    def message(self, text: str) -> None:
        """Forward a line of prose."""
        self._session.log(text)

    def step(self, report: StepReport) -> None:
        """Forward a step: a line for the log, and its numbers to be plotted."""
        self._session.log(report.line())
        self._session.observe({k: v for k, v in asdict(report).items() if v is not None})


def main(arguments: Sequence[str]) -> int:
    """Run one stage from the command line and return the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    quieten_libraries()
    try:
        with pipes_session() as session, _screen() as screen, _tensorboard(options) as board:
            reporters = [screen, *board, *([PipesReporter(session)] if session.is_active else [])]
            result = run_stage(_request(options), reporters)
            session.materialize(metadata(result), result.model_fingerprint[:16])
    except TrainerError as error:
        return tell_error(error)
    if launched_rank():
        return 0
    text = asdict(result) if options.json else _summary(result)
    sys.stdout.write((json.dumps(text) if options.json else str(text)) + "\n")
    return 0


def metadata(result: StageResult) -> dict[str, Any]:
    """Return what the asset's page shows: counts, speed and the loss curve as a picture."""
    picture = base64.b64encode(loss_curve_png(result.losses)).decode()
    numbers = {
        "steps": result.n_steps,
        "samples": result.n_samples,
        "tokens": result.n_tokens,
        "answer_tokens": result.n_label_tokens,
        "rows_dropped": sum(result.n_dropped.values()),
        "first_loss": result.losses[0],
        "last_loss": result.losses[-1],
        "tokens_per_s": result.tokens_per_s,
        "answer_tokens_per_s": result.label_tokens_per_s,
        "data_wait_share": result.data_wait_share,
        "padded_share": result.padded_share,
        "tflops_per_s": result.tflops_per_s,
        **({} if result.mfu is None else {"mfu": result.mfu}),
        "wall_s": result.wall_s,
        "memory_mb": result.memory_mb,
        "processes": result.n_processes,
    }
    shown = {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in numbers.items()}
    return shown | {
        "loss_curve": {"raw_value": f"![loss](data:image/png;base64,{picture})", "type": "md"},
        "dropped_by_cause": {"raw_value": dict(result.n_dropped), "type": "json"},
        "dataset_fingerprint": result.dataset_fingerprint,
        "base_fingerprint": result.base_fingerprint,
        "trainer_code": result.code_version,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__.split("\n")[0])
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument(
        "--recipe", "--config", required=True, metavar="NAME|FILE", help="a recipe's name or file"
    )
    parser.add_argument(
        "--dataset", required=True, type=Path, metavar="DIR", help="release folder with Parquet"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="output folder")
    parser.add_argument(
        "--base", type=Path, metavar="DIR", help="begin from this model folder (the stage before)"
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="replace a setting of the recipe, such as stage1.max_steps=20",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="forget checkpoints and a finished result"
    )
    parser.add_argument(
        "--tensorboard",
        metavar="DIR|none",
        help="folder of the event files; default tensorboard/NAME beside the output folder",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _request(options: argparse.Namespace) -> StageRequest:
    path, recipe = find_recipe(options.recipe, options.overrides)
    return StageRequest(
        recipe_name=path.stem,
        recipe=recipe,
        stage=cast(StageName, options.stage),
        dataset=options.dataset,
        out=options.out,
        base=options.base,
        is_fresh=options.fresh,
    )


def find_recipe(given: str, overrides: Sequence[str]) -> tuple[Path, Recipe]:
    """Return the file and the settings of a recipe given by name or by file.

    Raises
    ------
    RecipeError
        If there is no such recipe, or it is not valid.
    """
    path = Path(given)
    if path.suffix not in (".yaml", ".yml"):
        try:
            path = recipe_path(given)
        except ValueError as error:
            raise RecipeError(str(error)) from error
    return path, load_recipe(path, overrides)


@contextmanager
def _screen() -> Iterator[Reporter]:
    if sys.stderr.isatty():
        with TerminalReporter() as terminal:
            yield terminal
    else:
        yield LogReporter()


@contextmanager
def _tensorboard(options: argparse.Namespace) -> Iterator[tuple[Reporter, ...]]:
    out = options.out
    folder = options.tensorboard or str(out.parent / "tensorboard" / out.name)
    if folder == "none" or launched_rank():  # of several processes one draws
        yield ()
        return
    with TensorBoardReporter(Path(folder)) as board:
        yield (board,)


def quieten_libraries() -> None:
    """Keep progress bars and advice of libraries off the screen."""
    # their progress bars and advice would break up the step lines
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("httpx", "matplotlib", "PIL"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _summary(result: StageResult) -> str:
    return (
        f"{result.model}: {result.n_steps} steps, loss {result.losses[0]:.4f} -> "
        f"{result.losses[-1]:.4f}, {result.tokens_per_s:.0f} tokens/s "
        f"({result.label_tokens_per_s:.0f} of answers), data wait {result.data_wait_share:.0%}, "
        f"{result.wall_s:.0f} s, {result.memory_mb:.0f} MB"
    )
