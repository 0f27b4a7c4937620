"""The verbs of ``neurogloss corpora``: list, show, fetch, verify.

What they do lives in ``dagster_project.corpora``; here it is asked for and told. Exit codes: 0 done,
1 a copy is not as expected or nothing was fetched, 2 an error told in one sentence, 3 only a person
can get these files and the steps were printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster_project.corpora.fetch.plan import Plan
    from dagster_project.corpora.fetch.types import Progress
    from dagster_project.corpora.fetch.verify import Report
    from dagster_project.corpora.spec import CorpusSpec
    from dagster_project.resources import Workspace

NOT_AS_EXPECTED = 1
WRONG_ARGUMENT = 2
ONLY_A_PERSON = 3
_HOW = {"open": "open", "login": "a free account", "agreement": "a signed form"}
_ACCESS = {
    "open": "open",
    "login": "account",
    "agreement": "form",
    "none": "own",
}
_COLUMNS = (
    "corpus", "reader", "subjects", "hours", "licence", "gated", "access", "path", "present",
)  # fmt: skip
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def add_corpora(rooms: Any) -> None:
    """Add the room ``corpora`` with its verbs to the parser."""
    room = rooms.add_parser("corpora", help="what each corpus is, how to get it, what is there")
    verbs = room.add_subparsers(required=True, metavar="{list,show,fetch,verify}")

    listing = verbs.add_parser("list", help="all corpora, a line each")
    listing.add_argument("--json", action="store_true", help="machine-readable")
    listing.add_argument("--doubts", action="store_true",
                         help="facts nobody could confirm, and what guards each")  # fmt: skip
    listing.set_defaults(command=_list)

    show = verbs.add_parser("show", help="one corpus, whole")
    show.add_argument("corpus")
    show.set_defaults(command=_show)

    fetch = verbs.add_parser("fetch", help="download open corpora below the data root")
    fetch.add_argument("corpora", nargs="+", metavar="CORPUS")
    fetch.add_argument("--yes", action="store_true", help="do not ask")
    fetch.add_argument("--dry-run", action="store_true", help="say what would come, and stop")
    fetch.add_argument("--subjects", type=_words, default=(), metavar="A,B",
                       help="only these, as the corpus' files name them")  # fmt: skip
    fetch.add_argument("--include", action="append", default=[], metavar="GLOB",
                       help="only files below the corpus folder that fit; may be repeated")  # fmt: skip
    fetch.add_argument(
        "--max-bytes", type=_size, metavar="N", help="take at most so much: 500M, 2G"
    )
    fetch.set_defaults(command=_fetch)

    verify = verbs.add_parser("verify", help="compare a copy with what the corpus holds")
    verify.add_argument("corpus")
    verify.add_argument("--deep", action="store_true", help="open every recording")
    verify.add_argument("--checksums", action="store_true",
                        help="compare every file with its host's, or with our own manifest")  # fmt: skip
    verify.add_argument("--json", action="store_true", help="machine-readable")
    verify.set_defaults(command=_verify)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in (w.strip() for w in text.split(",")) if word)


def _size(text: str) -> int:
    number, unit = text.lower().removesuffix("b"), ""
    if number and number[-1] in _UNITS:
        number, unit = number[:-1], number[-1]
    try:
        size = int(float(number) * _UNITS[unit])
    except (ValueError, OverflowError):
        size = 0
    if size < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write 500000, 500M or 2G")
    return size


def _say(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")


def _complain(text: str) -> int:
    sys.stderr.write(f"neurogloss: {text}\n")
    return WRONG_ARGUMENT


def _list(options: argparse.Namespace) -> int:
    from dagster_project.corpora.registry import corpora
    from dagster_project.resources import Workspace

    specs = list(corpora().values())
    if options.doubts:
        _tell_doubts(specs, options.json)
        return 0
    workspace = Workspace()
    rows = [_row(spec, workspace) for spec in specs]
    if options.json:
        _say(json.dumps(rows, indent=1))
        return 0
    cells = [list(_COLUMNS)] + [[_cell(row[name]) for name in _COLUMNS] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        _say("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip())
    return 0


def _tell_doubts(specs: list[CorpusSpec], is_json: bool) -> None:
    if is_json:
        doubts = [
            {"corpus": s.key, "fact": d.fact, "guard": d.guard} for s in specs for d in s.doubts
        ]
        _say(json.dumps(doubts, indent=1))
        return
    for spec in specs:
        for doubt in spec.doubts:
            _say(f"{spec.key}: {doubt.fact}\n    guard: {doubt.guard}")


def _row(spec: CorpusSpec, workspace: Workspace) -> dict[str, Any]:
    from dagster_project.corpora.readers.table import READERS

    reader, expected = READERS[spec.reader.name], spec.expected
    low, high = expected.hours or (None, None)
    return {
        "corpus": spec.key,
        "title": spec.title,
        "reader": spec.reader.name,
        "format": reader.meaning,
        "subjects": expected.n_subjects or None,
        "recordings": expected.n_recordings or None,
        "hours": None if low is None or high is None else round((low + high) / 2, 2),
        "licence": spec.licence.id,
        "gated": spec.licence.is_gated,
        "hosted_teachers": spec.licence.allows_hosted_teachers and not spec.licence.is_gated,
        "access": _ACCESS[spec.access.kind],
        "source": spec.access.source,
        "bytes": spec.access.n_bytes or None,
        "path": "fast" if reader.is_fast else "slow",
        "shards": spec.n_shards,
        "line_hz": spec.line_freq_hz,
        "simulated": spec.is_simulated,
        "present": workspace.root_of(spec) is not None,
    }


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return "?" if value is None else str(value).removeprefix("LicenseRef-")


def _known(key: str) -> CorpusSpec | None:
    from dagster_project.corpora.registry import corpora

    if key not in corpora():
        _complain(f"corpus {key!r} is not registered; known: {', '.join(corpora())}")
    return corpora().get(key)


def _show(options: argparse.Namespace) -> int:
    spec = _known(options.corpus)
    if spec is None:
        return WRONG_ARGUMENT
    _say(spec.model_dump_json(indent=1))
    return 0


def _fetch(options: argparse.Namespace) -> int:
    specs = [_known(key) for key in options.corpora]
    code = 0
    for spec in specs:
        if spec is None:
            return WRONG_ARGUMENT
    for spec in filter(None, specs):
        code = max(code, _fetch_one(spec, options))
    return code


def _fetch_one(spec: CorpusSpec, options: argparse.Namespace) -> int:
    from dagster_project.corpora.fetch.plan import Wish, make_plan
    from dagster_project.corpora.fetch.run import fetch

    if spec.access.kind == "none":
        return _complain(f"corpus {spec.key!r} is not downloaded: {spec.notes or spec.title}")
    if spec.access.kind != "open" or not spec.access.source:
        _tell_steps(spec)
        return ONLY_A_PERSON
    root = _data_root()
    if root is None:
        return _complain("NEUROGLOSS_DATA is not set; set it to the folder that holds the corpora")
    wish = Wish(options.subjects, tuple(options.include), options.max_bytes)
    plan = make_plan(spec, root, wish)
    _tell_plan(plan)
    if options.dry_run:
        for file in plan.missing:
            _say(f"{_bytes(file.n_bytes):>10}  {file.name}")
        return 0
    if not options.yes and not _is_agreed():
        _say("nothing was fetched")
        return NOT_AS_EXPECTED
    with _progress(plan) as progress:
        done = fetch(plan, progress)
    unpacked = f", {len(done.unpacked)} archives unpacked" if done.unpacked else ""
    _say(f"{spec.key}: {done.n_fetched} files fetched, {done.n_kept} were there{unpacked}")
    return 0


def _data_root() -> Path | None:
    from dagster_project.resources import Workspace

    workspace = Workspace()
    roots = [r for r in workspace.corpora_roots() if r != workspace.simulated_root()]
    return roots[0] if roots else None


def _tell_plan(plan: Plan) -> None:
    spec = plan.spec
    terms = " - gated: nothing made from it may leave the storage root" * spec.licence.is_gated
    _say(f"{spec.key}: {spec.title}")
    _say(f"  licence   {spec.licence.id} ({spec.licence.url}){terms}")
    if plan.listing.remark:
        _say(f"            its host says: {plan.listing.remark}")
    _say(f"  cite      {spec.citation}")
    _say(f"  to        {plan.folder}")
    _say(
        f"  size      {_bytes(plan.n_bytes)} in {len(plan.wanted)} of {len(plan.listing.files)} "
        f"files; {_bytes(plan.n_bytes_missing)} in {len(plan.missing)} files still to come"
    )


def _tell_steps(spec: CorpusSpec) -> None:
    size = f", about {_bytes(spec.access.n_bytes)}" if spec.access.n_bytes else ""
    _say(f"{spec.key}: {spec.title}{size}")
    _say(f"  licence   {spec.licence.id} ({spec.licence.url})")
    _say(f"  cite      {spec.citation}")
    why = (
        "no source here knows it"
        if spec.access.kind == "open"
        else "no program can do this for you"
    )
    _say(f"  access    {_HOW[spec.access.kind]}; {why}:")
    for i, step in enumerate(spec.access.instructions or (spec.licence.url,), start=1):
        _say(f"  {i}. {step}")
    _say(f"  Put the files below the data root as {' or '.join(spec.folders)}, then run")
    _say(f"  neurogloss corpora verify {spec.key}")


def _bytes(n: int | None) -> str:
    if n is None:
        return "?"
    size = float(n)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _is_agreed() -> bool:
    sys.stdout.write("Fetch this under these terms? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


@contextmanager
def _progress(plan: Plan) -> Iterator[Progress]:
    """Show a bar; a client that transfers by itself shows its own."""
    if plan.listing.fetch_all is not None:
        yield lambda name, n_bytes: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task(plan.spec.key, total=plan.n_bytes)

        def told(name: str, n_bytes: int) -> None:
            bars.update(bar, advance=n_bytes, description=Path(name).name[-40:])

        yield told


def _verify(options: argparse.Namespace) -> int:
    from dagster_project.corpora.fetch.verify import verify
    from dagster_project.resources import Workspace

    spec = _known(options.corpus)
    if spec is None:
        return WRONG_ARGUMENT
    workspace = Workspace()
    root = workspace.simulated_root() if spec.is_simulated else _data_root()
    if root is None:
        return _complain("NEUROGLOSS_DATA is not set; set it to the folder that holds the corpora")
    report = verify(
        spec,
        root,
        manifest=workspace.folder("manifests", f"{spec.key}.json"),
        is_deep=options.deep,
        is_summed=options.checksums,
    )
    _tell_report(report, options.json)
    return 0 if report.is_good else NOT_AS_EXPECTED


def _tell_report(report: Report, is_json: bool) -> None:
    if is_json:
        told = {
            "corpus": report.corpus,
            "is_good": report.is_good,
            "counts": report.counts,
            "problems": report.problems,
            "remarks": report.remarks,
        }
        _say(json.dumps(told, indent=1))
        return
    _say(f"{report.corpus}: {'as expected' if report.is_good else 'not as expected'}")
    for name, value in report.counts.items():
        _say(f"  {name:<11} {json.dumps(value) if isinstance(value, dict) else value}")
    for problem in report.problems:
        _say(f"  ! {problem}")
    for remark in report.remarks:
        _say(f"  - {remark}")
