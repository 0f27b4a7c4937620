"""The command line of the detector trainer.

``python -m training.waveform train --recipe FILE (--simulate | --segments FILES --annotations
FILES) --out DIR`` trains; ``python -m training.waveform calibrate --weights DIR (--simulate |
--segments FILES --annotations FILES)`` fits probabilities and thresholds of finished weights again, as
they are read today, and rewrites their card; ``python -m training.waveform compare --recipe FILE
--segments N --epochs E --out DIR`` measures the page as the network's picture against the raster. Exit
status 0 is finished work; 1 is an error told in one sentence.
Training itself is :mod:`training.waveform.run`.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from detectors.waveform.card import DetectorCard
from training.pipes import PipesSession, pipes_session
from training.waveform.errors import TrainerError
from training.waveform.recipe import DetectorRecipe, load_recipe
from training.waveform.run import (
    TrainingData,
    card_of,
    recalibrate,
    recipe_data,
    train_detector,
)
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
            _COMMANDS[options.command](options, session)
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

    _tell(train_detector(data, recipe, options.out, report), session)


def _calibrate(options: argparse.Namespace, session: PipesSession) -> None:
    recipe = DetectorRecipe.model_validate(card_of(options.weights).recipe)
    _tell(recalibrate(_data(options, recipe), options.weights), session)


def _tell(card: DetectorCard, session: PipesSession) -> None:
    text = {
        "weights_id": card.weights_id,
        "precision": card.default_precision,
        "map50": card.map50,
        "thresholds": card.thresholds,
    }
    session.log(json.dumps(text))
    sys.stdout.write(json.dumps(text) + "\n")


def _compare(options: argparse.Namespace, session: PipesSession) -> None:
    import torch

    from training.waveform.compare import compare_encodings, small_budget, small_data
    from training.waveform.compare_table import table_text

    torch.set_num_threads(options.threads)
    recipe = load_recipe(options.recipe)
    data = small_data(
        recipe_data(recipe, options.data), recipe, options.segments, options.validation
    )
    budget = small_budget(recipe, len(data.train), options.epochs, options.batch_size)
    log.info("%d training and %d validation segments", len(data.train), len(data.validation))

    def report(line: str) -> None:
        log.info("%s", line)
        session.log(line)

    found = compare_encodings(data, budget, options.out, report)
    sys.stdout.write(found.to_json() if options.json else table_text(found))


_COMMANDS = {"train": _train, "calibrate": _calibrate, "compare": _compare}


def _recipe(options: argparse.Namespace) -> DetectorRecipe:
    recipe = load_recipe(options.recipe)
    if options.epochs is None:
        return recipe
    optimiser = recipe.optimiser.model_copy(update={"epochs": options.epochs})
    return recipe.model_copy(update={"optimiser": optimiser})


def _data(options: argparse.Namespace, recipe: DetectorRecipe) -> TrainingData:
    if options.simulate:
        return recipe_data(recipe, options.data)
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
    _add_data(train)
    train.add_argument("--epochs", type=_positive, help="other number of epochs than the recipe's")
    train.add_argument("--threads", type=_positive, default=DEFAULT_THREADS, help="CPU threads")
    calibrate = commands.add_parser("calibrate", help="fit the card of finished weights again")
    calibrate.add_argument("--weights", type=Path, required=True, help="folder with card.json")
    _add_data(calibrate)
    compare = commands.add_parser("compare", help="measure the page against the raster")
    compare.add_argument("--recipe", type=Path, required=True, help="recipe YAML")
    compare.add_argument(
        "--out", type=Path, required=True, help="folder of both arms and the table"
    )
    compare.add_argument("--segments", type=_positive, default=320, help="training segments")
    compare.add_argument("--validation", type=_positive, default=160, help="validation segments")
    compare.add_argument("--epochs", type=_positive, default=8, help="epochs of each arm")
    compare.add_argument("--batch-size", type=_positive, help="other than the recipe's")
    compare.add_argument("--data", type=Path, default=os.environ.get("NEUROGLOSS_DATA"))
    compare.add_argument("--threads", type=_positive, default=1, help="CPU threads")
    compare.add_argument("--json", action="store_true", help="print JSON instead of the table")
    return parser


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--simulate", action="store_true", help="use the segments the recipe makes"
    )
    command.add_argument("--segments", type=Path, nargs="+", help="Parquet files of table segments")
    command.add_argument(
        "--annotations", type=Path, nargs="+", help="Parquet files of table waveform_annotations"
    )
    command.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("NEUROGLOSS_DATA"),
        help="folder of the recordings a recipe plants on; NEUROGLOSS_DATA where not given",
    )


def _positive(text: str) -> int:
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return value
