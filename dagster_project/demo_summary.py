"""What the demo says at its end: what was made, where it lies, what it shows, how to open it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import polars as pl
from rich.console import Console
from rich.panel import Panel
from rich.table import Table as RichTable

from dagster_project.corpora.registry import corpora
from dagster_project.materialisation import SEGMENT_HOURS, counts
from dagster_project.resources import Workspace, corpus_of
from dagster_project.tables.store import TableStore

SHOWN_KINDS = 12


def show(
    console: Console,
    workspace: Workspace,
    outcomes: Mapping[str, bool],
    wall_s: float,
    max_recordings: int,
) -> None:
    """Print the summary.

    Parameters
    ----------
    console
        Where to.
    workspace
        What was written where.
    outcomes
        Whether each run succeeded, by title.
    wall_s
        Wall time of the runs.
    max_recordings
        Cap per shard of a real corpus, stated because it makes the demo a sample.
    """
    store = workspace.store()
    console.print(_corpora(store))
    console.print(_findings(store))
    console.print(_scores(store))
    failed = [title for title, is_ok in outcomes.items() if not is_ok]
    lines = [
        f"{len(outcomes) - len(failed)} of {len(outcomes)} runs succeeded in {wall_s:.0f} s.",
        f"At most {max_recordings} recordings per shard of each real corpus were taken "
        "(--max-recordings); simulated pages are simulated, not recorded from people.",
        "Texts were written by the offline template teacher. The model is tiny and random-born: "
        "at chance is expected, or below it where its answers cannot be read.",
        "",
        f"tables    {workspace.home()}/tables",
        f"dataset   {workspace.folder('releases', 'demo')}",
        f"models    {workspace.folder('models')}",
        f"report    {workspace.folder('reports', 'leaderboard')}",
        "",
        "Research software, not a medical device.",
    ]
    if failed:
        lines.insert(1, f"[red]failed: {', '.join(failed)}[/red]; open the UI to see why.")
    console.print(Panel("\n".join(lines), title="NeuroGloss demo", expand=False))
    # unboxed and unbroken, so that they can be copied
    lines = [
        "Open it, at http://localhost:3000:",
        f"export NEUROGLOSS_HOME={shlex.quote(str(workspace.home()))}",
        f"export DAGSTER_HOME={shlex.quote(str(workspace.folder('dagster_home')))}",
        ".venv/bin/dagster dev -m dagster_project.definitions",
    ]
    console.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)


def _corpora(store: TableStore) -> RichTable:
    table = RichTable("corpus", "recordings", "rejected", "subjects", "segments", "hours",
                      title="What was read")  # fmt: skip
    n_absent = 0
    for spec in corpora().values():
        shards = [s for s in store.partitions("recordings") if corpus_of(s).key == spec.key]
        if not shards:
            n_absent += 1
            continue
        frame = store.read_many("recordings", shards, ["subject_id", "status", "is_simulated"])
        cut = [m for s in shards if (m := store.manifest("segments", s)) is not None]
        n_segments = sum(m.n_rows for m in cut)
        accepted = frame.filter(pl.col("status") == "accepted")
        table.add_row(
            spec.title,
            str(accepted.height),
            str(frame.height - accepted.height),
            str(accepted["subject_id"].n_unique()),
            str(n_segments),
            f"{n_segments * SEGMENT_HOURS:.2f}",
        )
    table.add_row(f"{n_absent} more corpora", "-", "-", "-", "-", "not present")
    return table


def _findings(store: TableStore) -> RichTable:
    table = RichTable("kind", "recorded pages", "simulated pages", title="What was found")
    columns = ["kind", "is_masked"]
    tallies: list[dict[str, int]] = []
    for is_simulated in (False, True):
        shards = [
            s for s in store.partitions("findings") if corpus_of(s).is_simulated == is_simulated
        ]
        frame = store.read_many("findings", shards, columns).filter(~pl.col("is_masked"))
        tallies.append(counts(frame["kind"]))
    recorded, simulated = tallies
    kinds = sorted({*recorded, *simulated}, key=lambda k: -recorded.get(k, 0) - simulated.get(k, 0))
    for kind in kinds[:SHOWN_KINDS]:
        table.add_row(kind, str(recorded.get(kind, 0)), str(simulated.get(kind, 0)))
    return table


def _scores(store: TableStore) -> RichTable:
    table = RichTable("task", "model", "control", "metric", "value", "95 % interval", "items",
                      title="What was scored")  # fmt: skip
    frame = store.read_many("scores", store.partitions("scores"))
    headline = frame.filter(pl.col("metric").is_in(["accuracy", "rouge1", "map50"]))
    for row in headline.iter_rows(named=True):
        low, high = row["ci_low"], row["ci_high"]
        interval = "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"
        table.add_row(row["task"], row["model"], row["control"], row["metric"],
                      f"{row['value']:.3f}", interval, str(row["n_items"]))  # fmt: skip
    return table
