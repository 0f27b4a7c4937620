"""The command line ``neurogloss``: thin, because everything it does is also an asset, job or function.

``demo`` runs the whole graph; ``corpora`` (in ``cli_corpora``) shows the registry, fetches and
verifies; ``findings`` (in ``cli_findings``) exports findings; ``review`` (in ``cli_review``) shows
them to people; ``release`` copies a dataset out;
``estimate`` says what a rebuild would take; ``benchmark`` (in ``cli_benchmark``) compares runs;
``bench`` measures. Errors a person can mend are one
sentence on standard error, exit code 2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dagster_project.cli_benchmark import add_benchmark
from dagster_project.cli_corpora import add_corpora
from dagster_project.cli_evidence import add_evidence
from dagster_project.cli_findings import add_findings
from dagster_project.cli_review import add_review

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        return command(options)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except Exception as error:
        if getattr(error, "is_retryable", None) is None and not hasattr(error, "allow_retries"):
            raise
        print(f"neurogloss: {getattr(error, 'description', None) or error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="neurogloss",
        description="EEG corpora to instruction data to models. Research software, not a medical "
        "device.",
    )
    rooms = parser.add_subparsers(
        required=True, metavar="{demo,corpora,findings,review,release,estimate,benchmark,bench}"
    )

    demo = rooms.add_parser("demo", help="run the whole graph, offline, on the CPU")
    demo.add_argument(
        "--home", help="storage root (default: $NEUROGLOSS_HOME or ./neurogloss_home)"
    )
    demo.add_argument("--data", help="data root of real corpora (default: $NEUROGLOSS_DATA)")
    demo.add_argument("--max-recordings", type=int, default=3, metavar="N",
                      help="recordings per shard of a real corpus (default: 3)")  # fmt: skip
    demo.set_defaults(command=_demo)

    add_corpora(rooms)
    add_findings(rooms)
    add_review(rooms)
    add_benchmark(rooms)

    release = rooms.add_parser("release", help="instruction datasets that were built")
    acts = release.add_subparsers(required=True, metavar="{export}")
    export = acts.add_parser("export", help="copy a release out of the storage root")
    export.add_argument("release", help="name of a release that was built")
    export.add_argument("--to", required=True, metavar="DIR", help="folder to make")
    export.add_argument("--without-gated", action="store_true",
                        help="leave out rows of corpora that may not leave, and say so")  # fmt: skip
    export.add_argument("--format", default="parquet", metavar="FORMAT",
                        help="parquet (default), llava, llama-factory or ms-swift")  # fmt: skip
    export.set_defaults(command=_release_export)

    estimate = rooms.add_parser("estimate", help="disk and money a rebuild would take")
    estimate.set_defaults(command=_estimate)

    bench = rooms.add_parser("bench", help="measure")
    benches = bench.add_subparsers(
        required=True, metavar="{engine,corpora,detectors,text,train,evidence}"
    )
    engine = benches.add_parser("engine", help="throughput against a paper-style baseline")
    engine.add_argument("--json", action="store_true", help="machine-readable")
    engine.add_argument("--minutes", type=float, default=5.0, help="minutes of EEG (default: 5)")
    engine.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default: 3)")
    engine.set_defaults(command=_bench_engine)
    speeds = benches.add_parser("corpora", help="speed of every corpus, and the read path's floors")
    speeds.add_argument("--data", help="data root of real corpora (default: $NEUROGLOSS_DATA)")
    speeds.add_argument("--json", action="store_true", help="machine-readable")
    speeds.add_argument("--long", action="store_true", help="measure memory over 24 h, not 2")
    speeds.add_argument("--rounds", type=int, default=3, help="rounds of each step (default: 3)")
    speeds.set_defaults(command=_bench_corpora)
    seen = benches.add_parser("detectors", help="precision and recall on planted truth or labels")
    seen.add_argument("--data", help="data root with rest of healthy people, or with --events the "
                      "folder of their recordings (default: $NEUROGLOSS_DATA)")  # fmt: skip
    seen.add_argument("--events", metavar="TABLE", help="CSV, TSV or Parquet of your labels: "
                      "recording, channel, label, onset_s, duration_s")  # fmt: skip
    seen.add_argument("--subjects", type=int, default=12, metavar="N",
                      help="subjects of each made background (default: 12)")  # fmt: skip
    seen.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")
    seen.add_argument("--json", action="store_true", help="machine-readable")
    seen.set_defaults(command=_bench_detectors)
    _add_text_bench(benches)
    _add_train_bench(benches)
    add_evidence(benches)
    return parser


def _add_train_bench(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    train = benches.add_parser("train", help="tokens/s packed, padded and by TRL's SFTTrainer")
    train.add_argument("--dataset", metavar="DIR", help="instruction release (default: the demo's)")
    train.add_argument(
        "--recipe", default="tiny", help="recipe of the model (default: %(default)s)"
    )
    for name, value, what in (
        ("--micro-batch", 8, "samples of a step"),
        ("--steps", 15, "optimiser steps of a run"),
        ("--rounds", 3, "runs of each trainer"),
    ):
        train.add_argument(name, type=int, default=value, help=f"{what} (default: %(default)s)")
    train.add_argument("--json", action="store_true", help="machine-readable")
    train.set_defaults(command=_bench_train)


def _add_text_bench(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = benches.add_parser(
        "text", help="the claim reader on labelled texts, the check on planted pages"
    )
    text.add_argument("--claims", metavar="FILE", help="labelled texts, one JSON object a line "
                      "(id, style, text, claims)")  # fmt: skip
    text.add_argument("--grounding", type=int, metavar="PAGES",
                      help="measure the grounding check on so many planted pages")  # fmt: skip
    text.add_argument("--gateway", type=int, metavar="ROWS",
                      help="measure the teacher gateway: speed, and memory over so many rows")  # fmt: skip
    text.add_argument("--teacher", metavar="FILE",
                      help="ask a real teacher (settings, YAML) for all four kinds of text")  # fmt: skip
    text.add_argument("--pages", type=int, default=24, help="it is asked about (default: 24)")
    text.add_argument("--minutes", type=float, help="after which it is asked nothing more")
    text.add_argument("--data", metavar="ROOT", help="corpora that half of its pages come from "
                      "(default: none, all pages are planted)")  # fmt: skip
    text.add_argument(
        "--seed", type=int, default=0, help="of the bootstrap and the pages (default: 0)"
    )
    text.add_argument("--json", action="store_true", help="machine-readable")
    text.set_defaults(command=_bench_text)


def _demo(options: argparse.Namespace) -> int:
    from dagster_project.demo import run_demo

    return run_demo(home=options.home, data=options.data, max_recordings=options.max_recordings)


def _release_export(options: argparse.Namespace) -> int:
    from dagster_project.resources import Workspace
    from prompts.releases.export import export_release

    workspace = Workspace()
    done = export_release(
        workspace.folder("releases", options.release),
        Path(options.to),
        workspace.walls(),
        is_without_gated=options.without_gated,
        wanted=options.format,
    )
    print(f"{done.n_rows} rows copied to {done.folder}")
    for corpus, n_rows in done.left_out.items():
        print(f"left out: {n_rows} rows of {corpus}, which is gated")
    return 0


def _estimate(_: argparse.Namespace) -> int:
    from dagster_project import estimates
    from dagster_project.resources import Workspace

    workspace = Workspace()
    print(estimates.as_markdown(estimates.estimate_shards(workspace)))
    print(f"\nfree: {estimates.free_gb(workspace):.1f} GB")
    return 0


def _bench_engine(options: argparse.Namespace) -> int:
    from dagster_project.bench import run_engine_bench

    return run_engine_bench(minutes=options.minutes, rounds=options.rounds, is_json=options.json)


def _bench_corpora(options: argparse.Namespace) -> int:
    from dagster_project.bench import run_corpora_bench

    return run_corpora_bench(
        data=options.data, is_long=options.long, rounds=options.rounds, is_json=options.json
    )


def _bench_train(options: argparse.Namespace) -> int:
    from dagster_project.bench import run_train_bench

    return run_train_bench(
        dataset=options.dataset,
        recipe=options.recipe,
        micro_batch=options.micro_batch,
        steps=options.steps,
        rounds=options.rounds,
        is_json=options.json,
    )


def _bench_text(options: argparse.Namespace) -> int:
    from dagster_project.bench import run_text_bench

    return run_text_bench(
        claims=options.claims,
        grounding=options.grounding,
        gateway=options.gateway,
        teacher=options.teacher,
        pages=options.pages,
        data=options.data,
        minutes=options.minutes,
        seed=options.seed,
        is_json=options.json,
    )


def _bench_detectors(options: argparse.Namespace) -> int:
    from dagster_project.bench import run_detectors_bench

    return run_detectors_bench(
        data=options.data,
        events=options.events,
        n_subjects=options.subjects,
        seed=options.seed,
        is_json=options.json,
    )


if __name__ == "__main__":
    sys.exit(main())
