"""BERTScore for the graph: pairs out to a program of its own, values back.

The encoder is a folder that the launchpad names; without one the score is a row without a value that
says so. What is computed is in ``benchmark.scores.bert_overlap``; the files between, in
``benchmark.scores.bert_pairs``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from benchmark.scores.bert_pairs import StoredOverlap, read_values, write_pairs
from dagster_project.asking import run_program
from dagster_project.failures import PermanentFailure
from dagster_project.resources import Workspace

Rows = Sequence[Mapping[str, Any]]


def stored_overlap(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    stored: str,
    items: Rows,
    answers: Rows,
    *,
    encoder: str,
    layer: int,
) -> StoredOverlap | None:
    """Compute BERTScore of every answer against its reference in a program of its own.

    Parameters
    ----------
    context, workspace
        Where to log, and where models and scratch files lie.
    stored
        Partition of the answers.
    items, answers
        Rows of those tables.
    encoder
        Folder of the encoder, or one under the storage root; "" for none.
    layer
        Hidden layer; 0 takes the last.

    Returns
    -------
    StoredOverlap or None
        None where no encoder is named.

    Raises
    ------
    PermanentFailure
        If the folder does not exist, or holds no encoder.
    """
    if not encoder:
        return None
    folder = workspace.folder() / Path(encoder).expanduser()
    if not folder.is_dir():
        raise PermanentFailure(
            f"encoder {encoder!r} is no folder; give one saved by transformers, such as "
            "roberta-large, or leave it empty to go without BERTScore"
        )
    scratch = workspace.folder("answers", stored)
    scratch.mkdir(parents=True, exist_ok=True)
    pairs, values = scratch / "pairs.parquet", scratch / "overlap.parquet"
    true = {row["item_id"]: str(row["answer"]) for row in items}
    silent = [(reference, "") for reference in true.values()]
    n = write_pairs(pairs, [*silent, *((true[a["item_id"]], str(a["answer"])) for a in answers)])
    command = [sys.executable, "-m", "benchmark", "embed", "--pairs", str(pairs)]
    command += ["--encoder", str(folder), "--out", str(values)]
    command += ["--layer", str(layer)] if layer else []
    command += ["--preload", "training.torchvision_shim:install"]
    context.log.info(f"BERTScore of {n} pairs")
    run_program(context, command)
    return read_values(values)
