"""The command line ``neurogloss``: thin, because everything it does is also an asset, job or function.

``demo`` runs the whole graph; ``corpora`` shows the registry; ``estimate`` says what a rebuild would
take; ``bench`` measures. Errors a person can mend are one sentence on standard error, exit code 2.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass

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
    rooms = parser.add_subparsers(required=True, metavar="{demo,corpora,estimate,bench}")

    demo = rooms.add_parser("demo", help="run the whole graph, offline, on the CPU")
    demo.add_argument(
        "--home", help="storage root (default: $NEUROGLOSS_HOME or ./neurogloss_home)"
    )
    demo.add_argument("--data", help="data root of real corpora (default: $NEUROGLOSS_DATA)")
    demo.add_argument("--max-recordings", type=int, default=3, metavar="N",
                      help="recordings per shard of a real corpus (default: 3)")  # fmt: skip
    demo.set_defaults(command=_demo)

    corpora = rooms.add_parser("corpora", help="what each corpus is")
    verbs = corpora.add_subparsers(required=True, metavar="{list,show}")
    listing = verbs.add_parser("list", help="all corpora, a line each")
    listing.add_argument("--json", action="store_true", help="machine-readable")
    listing.set_defaults(command=_corpora_list)
    show = verbs.add_parser("show", help="one corpus, whole")
    show.add_argument("corpus")
    show.set_defaults(command=_corpora_show)

    estimate = rooms.add_parser("estimate", help="disk and money a rebuild would take")
    estimate.set_defaults(command=_estimate)

    bench = rooms.add_parser("bench", help="measure")
    benches = bench.add_subparsers(required=True, metavar="{engine}")
    engine = benches.add_parser("engine", help="throughput against a paper-style baseline")
    engine.add_argument("--json", action="store_true", help="machine-readable")
    engine.add_argument("--minutes", type=float, default=5.0, help="minutes of EEG (default: 5)")
    engine.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default: 3)")
    engine.set_defaults(command=_bench_engine)
    return parser


def _demo(options: argparse.Namespace) -> int:
    from dagster_project.demo import run_demo

    return run_demo(home=options.home, data=options.data, max_recordings=options.max_recordings)


def _corpora_list(options: argparse.Namespace) -> int:
    from dagster_project.corpora.registry import corpora
    from dagster_project.resources import Workspace

    workspace = Workspace()
    rows = [
        {
            "corpus": spec.key,
            "title": spec.title,
            "shards": spec.n_shards,
            "line_hz": spec.line_freq_hz,
            "licence": spec.licence.id,
            "gated": spec.licence.is_gated,
            "simulated": spec.is_simulated,
            "present": workspace.root_of(spec) is not None,
        }
        for spec in corpora().values()
    ]
    if options.json:
        print(json.dumps(rows, indent=1))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for name in rows[0]:
        table.add_column(name, no_wrap=name in {"corpus", "licence"})
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
    return 0


def _corpora_show(options: argparse.Namespace) -> int:
    from dagster_project.corpora.registry import corpora

    if options.corpus not in corpora():
        known = ", ".join(corpora())
        print(f"neurogloss: corpus {options.corpus!r} is not registered; known: {known}",
              file=sys.stderr)  # fmt: skip
        return 2
    spec = corpora()[options.corpus]
    told = {f.name: getattr(spec, f.name) for f in fields(spec)}
    print(json.dumps(told, indent=1, default=_plain))
    return 0


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    return dict(value) if isinstance(value, Mapping) else str(value)


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


if __name__ == "__main__":
    sys.exit(main())
