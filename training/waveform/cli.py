"""The command line of the detector trainer.

``python -m training.waveform train --recipe FILE (--simulate | --segments FILES --annotations
FILES) --out DIR``. Exit status 0 is a finished detector; 1 is an error told in one sentence.
Training itself is :mod:`training.waveform.run`.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from training.pipes import PipesSession, pipes_session
from training.waveform.dataset import simulated_set
from training.waveform.errors import TrainerError
from training.waveform.recipe import DetectorRecipe, load_recipe
from training.waveform.run import TrainingData, train_detector
from training.waveform.tables import read_splits
from training.waveform.train import Progress

log = logging.getLogger(__name__)

DEFAULT_THREADS = 2


def main(arguments: Sequence[str]) -> int:
    """Run the trainer and return its exit status.

    Parameters
    ----------
    arguments
        ``["train", ...]``, or ``["waveform", "train", ...]`` as the common door passes them.
    """
    words = list(arguments)
    options = _parser().parse_args(words[1:] if words[:1] == ["waveform"] else words)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        with pipes_session() as session:
            _train(options, session)
    except TrainerError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


def _train(options: argparse.Namespace, session: PipesSession) -> None:
    import torch

    torch.set_num_threads(options.threads)
    recipe = _recipe(options)
    data = _data(options, recipe)
    counts = f"{len(data.train)} training and {len(data.validation)} validation segments"
    log.info("%s, %s", counts, data.description)
    session.log(counts)

    def report(progress: Progress) -> None:
        line = (
            f"epoch {progress.epoch}/{progress.n_epochs}: loss {progress.loss:.3f}, "
            f"box {progress.box_loss:.3f}, class {progress.class_loss:.3f}"
        )
        log.info("%s", line)
        session.log(line)

    card = train_detector(data, recipe, options.out, report)
    text = {"weights_id": card.weights_id, "map50": card.map50, "thresholds": card.thresholds}
    session.log(json.dumps(text))
    sys.stdout.write(json.dumps(text) + "\n")


def _recipe(options: argparse.Namespace) -> DetectorRecipe:
    recipe = load_recipe(options.recipe)
    if options.epochs is None:
        return recipe
    optimiser = recipe.optimiser.model_copy(update={"epochs": options.epochs})
    return recipe.model_copy(update={"optimiser": optimiser})


def _data(options: argparse.Namespace, recipe: DetectorRecipe) -> TrainingData:
    if options.simulate:
        return TrainingData(
            simulated_set(recipe.simulation, "train"),
            simulated_set(recipe.simulation, "validation"),
            f"simulated subjects, seed {recipe.simulation.seed}",
            True,
        )
    if not options.segments or not options.annotations:
        raise TrainerError("give --simulate, or --segments and --annotations")
    splits, is_simulated = read_splits(options.segments, options.annotations)
    absent = {"train", "validation"} - set(splits)
    if absent:
        raise TrainerError(f"the annotated segments have no split {', '.join(sorted(absent))}")
    description = f"release {recipe.release}" + (", simulated" if is_simulated else "")
    return TrainingData(splits["train"], splits["validation"], description, is_simulated)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.waveform")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train a waveform detector")
    train.add_argument("--recipe", type=Path, required=True, help="recipe YAML")
    train.add_argument("--out", type=Path, required=True, help="folder of weights and checkpoints")
    train.add_argument("--simulate", action="store_true", help="train on the simulator")
    train.add_argument("--segments", type=Path, nargs="+", help="Parquet files of table segments")
    train.add_argument(
        "--annotations", type=Path, nargs="+", help="Parquet files of table waveform_annotations"
    )
    train.add_argument("--epochs", type=_positive, help="other number of epochs than the recipe's")
    train.add_argument("--threads", type=_positive, default=DEFAULT_THREADS, help="CPU threads")
    return parser


def _positive(text: str) -> int:
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return value
