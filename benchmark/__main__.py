"""The answering program: ``python -m benchmark answer``; items and pages in, answers out.

It exists so that the graph can ask a model without importing torch into its own process. A kill or
Ctrl-C leaves no half-written answers. What is asked and how is in ``asking/ask.py`` and ``asking/vlm.py``.

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

from benchmark.asking.ask import ask
from benchmark.asking.controls import CONTROLS
from benchmark.asking.exchange import read_items, read_pages, write_answers
from benchmark.errors import BenchmarkError
from benchmark.tasks.registry import unknown
from benchmark.tasks.task import TASKS

_log = logging.getLogger("benchmark")

PRELOADABLE = re.compile(r"(?:training|dagster_project)(?:\.[a-z_][a-z0-9_]*)+:[a-z_][a-z0-9_]*")
"""What ``--preload`` may name: functions of the project's own packages and nothing else."""

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
        _answer(options)
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
    _log.info("%d items of task %s; loading %s", len(items), task.name, options.model)
    with _stopping_at_once():
        for name in options.preload:
            preload(name)
        model = _model(options, task.max_new_tokens)
    rows = ask(model, task, items, pages, controls=options.controls, seed=options.seed)
    write_answers(options.out, rows)
    n_unparsed = sum(not row["is_parsed"] for row in rows)
    _log.info("%d answers, %d unparsed, written to %s", len(rows), n_unparsed, options.out)


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
    answer.add_argument("--model", type=Path, required=True, help="folder with safetensors")
    answer.add_argument("--task", type=_task, required=True, help=", ".join(TASKS))
    answer.add_argument(
        "--controls", type=_controls, default=("none",), help=f"of {', '.join(CONTROLS)}"
    )
    answer.add_argument("--out", type=Path, required=True, help="Parquet of answers to write")
    answer.add_argument("--name", help="name in tables; default: the folder's name")
    answer.add_argument("--batch-size", type=_positive, default=16)
    answer.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    answer.add_argument("--threads", type=_positive, help="CPU threads of torch")
    answer.add_argument("--seed", type=int, default=0, help="seed of the controls")
    answer.add_argument(
        "--preload", action="append", default=[], metavar="MODULE:FUNCTION",
        help="function of this project to call before heavy imports",
    )  # fmt: skip
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
