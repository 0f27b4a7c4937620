"""``neurogloss benchmark``: compare two runs, judge texts, estimate a model's price, time scoring.

A run is the folder of a leaderboard. What is compared is said in ``benchmark.reports.compare``; asking models
and scoring them are assets.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path


def add_benchmark(rooms: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    room = rooms.add_parser("benchmark", help="benchmark runs that were written")
    acts = room.add_subparsers(required=True, metavar="{compare,estimate,judge,speed}")
    compare = acts.add_parser("compare", help="paired tests between models of two runs")
    compare.add_argument("run_a", metavar="RUN_A", help="folder of a leaderboard")
    compare.add_argument("run_b", metavar="RUN_B", help="another, or the same")
    compare.add_argument("--model-a", metavar="NAME", help="model of RUN_A (default: its only one)")
    compare.add_argument("--model-b", metavar="NAME", help="model of RUN_B (default: its only one)")
    compare.add_argument("--seed", type=int, default=0, help="of bootstrap and permutation")
    compare.add_argument("--json", action="store_true", help="print JSON")
    compare.set_defaults(command=_compare)
    estimate = acts.add_parser("estimate", help="what asking a model behind a server costs at most")
    estimate.add_argument("--model", required=True, metavar="NAME", help="as its file is named")
    estimate.add_argument("--task", required=True, metavar="NAME", help="a task with stored items")
    estimate.add_argument("--controls", default="", metavar="LIST", help="default: the task's own")
    estimate.set_defaults(command=_estimate)
    judge = acts.add_parser("judge", help="put one model's stored texts before a judge")
    judge.add_argument("judge", type=Path, metavar="FILE", help="teacher settings of it, YAML")
    judge.add_argument("--model", required=True, metavar="NAME", help="whose answers")
    judge.add_argument("--task", default="caption", metavar="NAME", help="default: caption")
    judge.add_argument("--release", default="demo", help="what it was trained on (default: demo)")
    judge.add_argument("--rubric", default="five-axes", help="five-axes or anchored")
    judge.add_argument("--items", type=int, default=0, metavar="N", help="default: all")
    judge.add_argument("--family", action="append", default=[], metavar="ID=FAMILY",
                       help="family of a judge, writer or model that is not known")  # fmt: skip
    judge.set_defaults(command=_judge)
    speed = acts.add_parser("speed", help="seconds to score answers")
    speed.add_argument("--answers", type=int, default=10_000, metavar="N", help="default: 10000")
    speed.add_argument("--json", action="store_true", help="print JSON")
    speed.set_defaults(command=_speed)


def _compare(options: argparse.Namespace) -> int:
    from benchmark.reports.compare import compare_runs, comparison_markdown, read_run

    found = compare_runs(
        read_run(Path(options.run_a)), read_run(Path(options.run_b)),
        model_a=options.model_a, model_b=options.model_b, seed=options.seed,
    )  # fmt: skip
    text = json.dumps(found.to_json(), indent=1) + "\n"
    sys.stdout.write(text if options.json else comparison_markdown(found))
    return 0


def _estimate(options: argparse.Namespace) -> int:
    import dagster as dg

    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    from dagster_project.estimating import estimate_asking
    from dagster_project.resources import Workspace

    controls = [name for name in options.controls.split(",") if name]
    said = estimate_asking(Workspace(), options.task, options.model, controls=controls)
    sys.stdout.write(f"{said}\n")
    return 0


def _judge(options: argparse.Namespace) -> int:
    import yaml

    from dagster_project.judging import judge_stored
    from dagster_project.resources import Workspace

    path, found = judge_stored(
        Workspace(), yaml.safe_load(options.judge.read_text(encoding="utf-8")),
        task=options.task, model=options.model, release=options.release, rubric=options.rubric,
        n_items=options.items, families=dict(f.split("=", 1) for f in options.family),
    )  # fmt: skip
    lines = [f"{row.axis}: {row.value:.2f}, spread {row.spread:.2f}" for row in found.rows]
    share = found.planted_share
    noticed = "none" if share is None else f"{100 * share:.0f} %"
    if found.n_held_back:
        lines.append(f"{found.n_held_back} items hold a text that may not be sent and are left out")
    lines += [f"planted errors noticed: {noticed} ({found.planted_words})", str(path)]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _speed(options: argparse.Namespace) -> int:
    from benchmark.scores.bench import bench_scoring

    found = bench_scoring(options.answers)
    if options.json:
        sys.stdout.write(json.dumps(found.to_json(), indent=1) + "\n")
        return 0
    kinds = {"choices": found.choice_s, "texts": found.text_s}
    lines = [f"{found.n_answers} {kind} scored in {s:.1f} s of CPU" for kind, s in kinds.items()]
    lines += [f"Slower than the aim: {miss}." for miss in found.misses()]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
