"""``neurogloss review``: show findings to people and take their marks.

The page, the marks and the server are in ``dagster_project.review``; here they are asked for and
told.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster_project.resources import Workspace
    from dagster_project.review.marks import MarkBook

WRONG_ARGUMENT = 2
DEFAULT_PAGES = 20
DEFAULT_PORT = 8710


def add_review(rooms: Any) -> None:
    """Add the room ``review`` to the parser."""
    room = rooms.add_parser("review", help="show findings to people, and take their marks")
    room.add_argument("shard", nargs="?", help="partition key, such as eegmat-01-of-01")
    room.add_argument("--n", type=int, default=DEFAULT_PAGES, metavar="N",
                      help=f"most pages (default: {DEFAULT_PAGES})")  # fmt: skip
    room.add_argument("--seed", type=int, default=0, help="seed of the sample (default: 0)")
    room.add_argument("--kinds", type=_words, default=(), metavar="A,B",
                      help="only pages with one of these kinds of finding")  # fmt: skip
    room.add_argument("--port", type=int, default=DEFAULT_PORT,
                      help=f"port on this machine, 0 for any (default: {DEFAULT_PORT})")  # fmt: skip
    room.add_argument("--to", metavar="FILE", help="write the page to a file and serve nothing")
    room.add_argument("--import", dest="marks", metavar="FILE",
                      help="take the marks of a CSV the page saved")  # fmt: skip
    room.set_defaults(command=_review)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in (w.strip() for w in text.split(",")) if word)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _complain(text: str) -> int:
    sys.stderr.write(f"neurogloss: {text}\n")
    return WRONG_ARGUMENT


def _review(options: argparse.Namespace) -> int:
    from dagster_project.resources import Workspace

    workspace = Workspace()
    if options.marks:
        return _import(workspace, Path(options.marks))
    if not options.shard:
        return _complain("review needs a shard, such as eegmat-01-of-01, or --import FILE")
    if options.n < 1:
        return _complain(f"--n {options.n} is not allowed; use 1 or more")
    return _show(workspace, options)


def _book(workspace: Workspace, shard: str) -> MarkBook:
    from dagster_project.resources import corpus_of
    from dagster_project.review.marks import MarkBook

    corpus_of(shard)
    return MarkBook(workspace.store(), shard, workspace.folder("reviews", shard))


def _show(workspace: Workspace, options: argparse.Namespace) -> int:
    from dagster_project.resources import corpus_of
    from dagster_project.review.pages import review_data, review_html, write_text

    corpus = corpus_of(options.shard)
    if options.to:
        workspace.walls().assert_may_hold(Path(options.to), "the review page", [corpus.key])
    data = review_data(
        workspace.store(), options.shard, n=options.n, seed=options.seed, kinds=options.kinds
    )
    if not data["pages"]:
        return _complain(f"shard {options.shard!r} has no finding of the kinds asked for")
    if options.to:
        write_text(Path(options.to), review_html(data))
        _say(f"{len(data['pages'])} pages written to {options.to}")
        return 0
    return _serve(
        _book(workspace, options.shard), review_html({**data, "is_served": True}), options
    )


def _serve(book: MarkBook, html: str, options: argparse.Namespace) -> int:
    from dagster_project.review.server import ReviewServer

    with ReviewServer(html, book, secrets.token_urlsafe(16), options.port) as server:
        _say(f"open {server.url}\nmarks go into table review_marks; stop with Ctrl-C")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            _tell(book)
    return 0


def _import(workspace: Workspace, file: Path) -> int:
    from dagster_project.review.marks import MarkError, read_csv

    by_shard = read_csv(file)
    books = {shard: _book(workspace, shard) for shard in by_shard}
    # every line is judged before the first is stored, so a bad file changes nothing
    for shard, marks in by_shard.items():
        for mark, marked_on, line in marks:
            try:
                books[shard].assert_allowed(mark, marked_on)
            except MarkError as error:
                raise MarkError(f"{file.name}, line {line}: {error}") from error
    for shard, marks in by_shard.items():
        books[shard].put([(mark, marked_on) for mark, marked_on, _ in marks])
        _say(f"{len(marks)} marks taken into shard {shard}")
        _tell(books[shard])
    return 0


def _tell(book: MarkBook) -> None:
    from dagster_project.review.marks import tally

    counted = tally(book.rows())
    for row in counted.iter_rows(named=True):
        precision = "" if row["precision"] is None else f", precision {row['precision']:.2f}"
        _say(
            f"{row['kind']}: {row['right']} right, {row['wrong']} wrong, {row['unsure']} unsure, "
            f"{row['missed']} missed{precision}"
        )
