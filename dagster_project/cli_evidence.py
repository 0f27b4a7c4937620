"""``neurogloss bench evidence``: the command line of :mod:`benchmark.evidence.bench`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path


def add_evidence(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    evidence = benches.add_parser(
        "evidence", help="whether a small model learns from the engine's data, beside its controls"
    )
    evidence.add_argument(
        "--out", type=Path, metavar="DIR",
        help="keep releases, models and tables here (default: tables alone are printed)",
    )  # fmt: skip
    evidence.add_argument(
        "--large", action="store_true",
        help="more people, longer stages and the ablations: tens of minutes of one core",
    )  # fmt: skip
    evidence.add_argument("--people", type=int, metavar="N", help="simulated people")
    evidence.add_argument(
        "--ablation", action="append", metavar="NAME",
        help="train this ablation too, such as no_stage1 (default with --large: all)",
    )  # fmt: skip
    evidence.add_argument("--json", action="store_true", help="machine-readable")
    evidence.set_defaults(command=run_evidence)


def run_evidence(options: argparse.Namespace) -> int:
    """Run the evidence and print its tables."""
    from dataclasses import replace

    from benchmark.evidence.bench import LARGE, EvidenceSettings, bench_evidence

    settings = LARGE if options.large else EvidenceSettings()
    if options.people:
        settings = replace(settings, n_subjects=options.people)
    if options.ablation:
        settings = replace(settings, ablations=tuple(options.ablation))
    with tempfile.TemporaryDirectory() as scratch:
        home = options.out or Path(scratch)
        report = bench_evidence(home, settings, _tell)
        report.write(home)
    text = json.dumps(report.to_json()) + "\n" if options.json else report.to_markdown()
    sys.stdout.write(text)
    return 0


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
