"""Release recipes that hold only what differs from another."""

from __future__ import annotations

from pathlib import Path

import pytest

from prompts.releases.recipe import ReleaseError, load_recipe

BASE = """
name: base
version: 0.1.0
shards: [simulated-01-of-02]
mixture:
  train: {captions: 3, questions: 4}
  test: {captions: 1}
caps: {per_segment: 3}
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_blocks_are_taken_over_key_by_key(tmp_path: Path) -> None:
    write(tmp_path, "base", BASE)
    write(tmp_path, "less", "extends: base\nname: less\nmixture: {train: {captions: null}}\n")
    found = load_recipe(write(tmp_path, "least", "extends: less\nname: least\ncaps: null\n"))
    assert (found.name, found.version, found.shards) == ("least", "0.1.0", ("simulated-01-of-02",))
    assert [found.wanted("train", k) for k in ("captions", "questions")] == [0, 4]
    assert found.wanted("test", "captions") == 1
    assert found.caps.per_segment is None


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a": "extends: b\n"}, "extends 'b', which does not exist beside it"),
        ({"a": "extends: a\n"}, "extends 'a', which extends it in turn"),
        ({"a": "extends: b\n", "b": "extends: a\n"}, "which extends it in turn"),
        ({"a": "extends: b\nextra: 1\n", "b": BASE}, "extra: Extra inputs"),
    ],
)
def test_wrong_extends_is_told(tmp_path: Path, files: dict[str, str], says: str) -> None:
    paths = [write(tmp_path, name, text) for name, text in files.items()]
    with pytest.raises(ReleaseError, match=says):
        load_recipe(paths[0])
