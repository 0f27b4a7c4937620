"""``python -m training recipe``: every stage a recipe declares, one after the other, in one program.

Each stage begins from the model of the one before and reads the folder of its own release, so that
a recipe runs from nothing to the last model with one command. A stage that is finished already is
reported, not repeated. One stage alone is :mod:`training.vlm.cli`, what a stage does
:mod:`training.vlm.run`.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from training.vlm.cli import find_recipe, quieten_libraries
from training.vlm.config import Recipe, StageName
from training.vlm.errors import TrainerError
from training.vlm.parallel import launched_rank, tell_error
from training.vlm.report import LogReporter, Reporter
from training.vlm.result import StageResult
from training.vlm.run import StageRequest, run_stage


def run_recipe(
    name: str,
    recipe: Recipe,
    releases: Path,
    out: Path,
    reporters: Sequence[Reporter] = (),
    *,
    is_fresh: bool = False,
) -> Iterator[tuple[StageName, StageResult]]:
    """Train the stages of a recipe in order.

    Parameters
    ----------
    name, recipe
        The recipe and what it is called.
    releases
        Folder with a folder per release the recipe names.
    out
        Gets a folder per stage.
    reporters
        Listeners of every stage.
    is_fresh
        Forget checkpoints and finished stages.

    Yields
    ------
    tuple
        Name and result of each stage, as soon as it is finished.

    Raises
    ------
    TrainerError
        As :func:`training.vlm.run.run_stage`; the stages before stay.
    """
    base: Path | None = None
    for stage in recipe.stages:
        folder = out / stage
        yield (
            stage,
            run_stage(
                StageRequest(
                    recipe_name=name,
                    recipe=recipe,
                    stage=stage,
                    dataset=releases / recipe.release_of(stage),
                    out=folder,
                    base=base,
                    is_fresh=is_fresh,
                ),
                reporters,
            ),
        )
        base = folder


def main(arguments: Sequence[str]) -> int:
    """Run a recipe from the command line and return the exit status."""
    words = list(arguments)
    options = _parser().parse_args(words[1:] if words[:1] == ["recipe"] else words)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    quieten_libraries()
    try:
        path, recipe = find_recipe(options.recipe, options.overrides)
        results = run_recipe(
            path.stem,
            recipe,
            options.releases,
            options.out,
            [LogReporter()],
            is_fresh=options.fresh,
        )
        for stage, result in results:
            if launched_rank() == 0:
                sys.stdout.write(json.dumps({"stage": stage, **asdict(result)}) + "\n")
                sys.stdout.flush()
    except TrainerError as error:
        return tell_error(error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training recipe", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--recipe", required=True, metavar="NAME|FILE")
    parser.add_argument(
        "--releases", required=True, type=Path, metavar="DIR", help="a folder per release"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="a folder per stage")
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE",
        help="replace a setting of the recipe",
    )  # fmt: skip
    parser.add_argument("--fresh", action="store_true", help="forget checkpoints and results")
    return parser
