"""``python -m training COMMAND ...``: one door to every trainer.

Each trainer has a command line of its own; this only picks it. The import hook that lets
torchvision live beside a CPU torch goes in first, before any trainer imports a heavy library.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from training import torchvision_shim

COMMANDS = {
    "stage0": ("training.vlm.cli", "stage 0: every part of a model built from random weights"),
    "stage1": ("training.vlm.cli", "stage 1 of the vision-language model: projector only"),
    "stage2": ("training.vlm.cli", "stage 2: language model and projector"),
    "recipe": ("training.vlm.stages", "every stage of a recipe, one after the other"),
    "waveform": ("training.waveform.cli", "the waveform detector"),
}
"""Command, the module whose ``main(arguments) -> int`` runs it, and what it does."""

EX_USAGE = 2


def main(arguments: Sequence[str]) -> int:
    """Run one trainer and return its exit status."""
    if not arguments or arguments[0] not in COMMANDS:
        lines = [f"  {name:<10}{what}" for name, (_, what) in COMMANDS.items()]
        is_asked = bool(arguments) and arguments[0] in ("-h", "--help")
        wrong = f"unknown command {arguments[0]!r}\n" if arguments and not is_asked else ""
        text = f"{wrong}usage: python -m training COMMAND ...\n" + "\n".join(lines) + "\n"
        (sys.stdout if is_asked else sys.stderr).write(text)
        return 0 if is_asked else EX_USAGE
    torchvision_shim.install()
    module = importlib.import_module(COMMANDS[arguments[0]][0])
    return int(module.main(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
