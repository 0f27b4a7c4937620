"""The answering program: ``python -m benchmark answer``; items and pages in, answers out.

It exists so that the graph can ask a model without importing torch into its own process. A kill or
Ctrl-C leaves no half-written answers. What is asked and how is in ``asking/ask.py``, ``asking/vlm.py``
for a model folder and ``asking/hosted.py`` for a model file that names a server.

``python -m benchmark embed`` scores pairs of texts with BERTScore, for the same reason.

``--preload MODULE:FUNCTION`` calls one function of this project before any heavy import. It is how
the torchvision shim of ``training`` gets installed here: rooms of one floor may not import each
other, so whoever starts the program names the function, and only names inside the project's own
packages are accepted.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from benchmark.asking.answers import Item
from benchmark.asking.ask import ask
from benchmark.asking.controls import CONTROLS
from benchmark.asking.exchange import read_items, read_pages, write_answers
from benchmark.errors import BenchmarkError
from benchmark.tasks.registry import unknown
from benchmark.tasks.task import TASKS, Task

_log = logging.getLogger("benchmark")

PRELOADABLE = re.compile(r"(?:training|dagster_project)(?:\.[a-z_][a-z0-9_]*)+:[a-z_][a-z0-9_]*")
"""What ``--preload`` may name: functions of the project's own packages and nothing else."""

MODEL_FILE = ".yaml"
"""Ending of a model file, as against a model folder."""

INTERRUPTED = 130
"""Exit status after Ctrl-C or SIGTERM, as a shell counts it (128 + 2)."""


_STOPPED = "stopped before the end; no answers were written, ask again"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    arguments
        Those of the command line where None.

    Returns
    -------
    int
        0, 1 after an error told in one sentence, 2 for wrong arguments, 130 when interrupted.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options.run(options)
    except BenchmarkError as error:
        _log.error("%s", error)
        return 1
    except KeyboardInterrupt:
        _log.error(_STOPPED)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def preload(name: str) -> None:
    """Call one function of the project by name.

    Raises
    ------
    BenchmarkError
        If the name is not allowed, or there is no such function.
    """
    if not PRELOADABLE.fullmatch(name):
        raise BenchmarkError(
            f"--preload {name!r} is not allowed; name a function of this project as "
            "package.module:function, such as training.torchvision_shim:install"
        )
    module, _, function = name.partition(":")
    try:
        call = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise BenchmarkError(f"--preload {name!r} does not exist: {error}") from error
    call()


def _answer(options: argparse.Namespace) -> None:
    task = TASKS[options.task]
    items = read_items(options.items, task.name)
    pages = read_pages(options.pages, [item.item_id for item in items])
    if options.model.suffix == MODEL_FILE:
        _answer_served(options, task, items, pages)
        return
    if options.estimate:
        raise BenchmarkError("--estimate is for models behind a server; a folder costs nothing")
    _log.info("%d items of task %s; loading %s", len(items), task.name, options.model)
    with _stopping_at_once():
        for name in options.preload:
            preload(name)
        model = _model(options, task.max_new_tokens)
    _write(
        options.out, ask(model, task, items, pages, controls=options.controls, seed=options.seed)
    )


def _write(out: Path, rows: list[dict[str, Any]]) -> None:
    write_answers(out, rows)
    n_unparsed = sum(not row["is_parsed"] for row in rows)
    _log.info("%d answers, %d unparsed, written to %s", len(rows), n_unparsed, out)


def _answer_served(
    options: argparse.Namespace, task: Task, items: list[Item], pages: dict[str, bytes]
) -> None:
    """Ask a server what may leave for it, or say what that would cost."""
    from benchmark.asking.served import ask_served, estimate_served
    from benchmark.asking.under_test import ServedModel, read_model

    read = read_model(options.model)
    if not isinstance(read, ServedModel):
        raise BenchmarkError(
            f"model file {options.model.name!r} names a folder; give --model that folder"
        )
    wanted = {
        "name": options.name or options.model.stem,
        "controls": options.controls,
        "seed": options.seed,
        "cache": options.cache,
        "pages_may_leave": options.pages_may_leave or read.pages_may_leave,
    }
    if options.estimate:
        sys.stdout.write(estimate_served(read, task, items, pages, **wanted) + "\n")
        return
    _write(options.out, ask_served(read, task, items, pages, **wanted))


def _embed(options: argparse.Namespace) -> None:
    from benchmark.scores.bert_pairs import embed_pairs

    with _stopping_at_once():
        for name in options.preload:
            preload(name)
        n = embed_pairs(options.pairs, options.encoder, options.layer, options.out)
    _log.info("%d pairs scored, written to %s", n, options.out)


def _model(options: argparse.Namespace, max_new_tokens: int) -> Any:
    from benchmark.asking.vlm import TransformersVlm, check_folder

    check_folder(options.model)  # before torch: a wrong path is told at once
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    return TransformersVlm(
        options.model,
        name=options.name,
        max_new_tokens=max_new_tokens,
        batch_size=options.batch_size,
        device=options.device,
    )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m benchmark", description=__doc__.split("\n")[0], allow_abbrev=False
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    answer = commands.add_parser("answer", help="ask a model folder", allow_abbrev=False)
    answer.add_argument("--items", type=Path, required=True, help="Parquet of benchmark_items")
    answer.add_argument(
        "--pages", type=Path, required=True, help="Parquet of item_id and png, or a folder of PNGs"
    )
    answer.add_argument(
        "--model", type=Path, required=True,
        help="folder with safetensors, or a model file (.yaml) that names a server",
    )  # fmt: skip
    answer.add_argument("--task", type=_task, required=True, help=", ".join(TASKS))
    answer.add_argument(
        "--controls", type=_controls, default=("none",), help=f"of {', '.join(CONTROLS)}"
    )
    answer.add_argument("--out", type=Path, required=True, help="Parquet of answers to write")
    answer.add_argument("--cache", type=Path, help="record of paid answers, for servers")
    answer.add_argument(
        "--pages-may-leave", action="store_true", help="pages of open corpora may go to the server"
    )
    answer.add_argument(
        "--estimate", action="store_true", help="say what asking a server costs at most, ask nobody"
    )
    answer.add_argument("--name", help="name in tables; default: the folder's name")
    answer.add_argument("--batch-size", type=_positive, default=16)
    answer.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    answer.add_argument("--threads", type=_positive, help="CPU threads of torch")
    answer.add_argument("--seed", type=int, default=0, help="seed of the controls")
    answer.add_argument(
        "--preload", action="append", default=[], metavar="MODULE:FUNCTION",
        help="function of this project to call before heavy imports",
    )  # fmt: skip
    answer.set_defaults(run=_answer)
    embed = commands.add_parser("embed", help="BERTScore of pairs of texts", allow_abbrev=False)
    embed.add_argument("--pairs", type=Path, required=True, help="Parquet of reference and answer")
    embed.add_argument("--encoder", type=Path, required=True, help="folder with safetensors")
    embed.add_argument("--layer", type=_positive, help="hidden layer; default: the last")
    embed.add_argument("--out", type=Path, required=True, help="Parquet of values to write")
    embed.add_argument("--preload", action="append", default=[], metavar="MODULE:FUNCTION")
    embed.set_defaults(run=_embed)
    return parser


def _task(text: str) -> str:
    if text not in TASKS:
        raise argparse.ArgumentTypeError(unknown("task", text, tuple(TASKS)))
    return text


def _controls(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in CONTROLS:
            raise argparse.ArgumentTypeError(unknown("control", name, tuple(CONTROLS)))
    if len(set(names)) != len(names):
        raise argparse.ArgumentTypeError(f"controls {text!r} name one twice")
    return names


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


@contextmanager
def _stopping_at_once() -> Iterator[None]:
    """End the process at a signal instead of raising: an exception inside torch's import aborts.

    Nothing is open while a model loads, so nothing is left behind.
    """

    def stop(signum: int, frame: object) -> None:
        _log.error(_STOPPED)
        os._exit(INTERRUPTED)

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
