"""Notebooks run, and print what is stored in them."""

from pathlib import Path

import pytest

from validation import tutorial_notebooks as notebooks


@pytest.mark.parametrize("path", notebooks.NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_outputs_are_those_of_a_run(path: Path) -> None:
    stored = notebooks.read(path)
    assert notebooks.differences(stored, notebooks.executed(stored)) == []


@pytest.mark.parametrize("path", notebooks.NOTEBOOKS, ids=lambda path: path.stem)
def test_figures_are_small_and_described(path: Path) -> None:
    for cell in notebooks.read(path).cells:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error"
            if "image/png" in output.get("data", {}):
                assert len(output.data["image/png"]) < 80_000  # as base64: 60 kB
                assert cell.metadata.alt


def test_only_numbers_of_trained_cells_may_differ_a_little() -> None:
    def printing(text: str, *tags: str) -> notebooks.NotebookNode:
        cell = {"cell_type": "code", "metadata": {"tags": list(tags)}, "outputs": [{"text": text}]}
        return notebooks.nbformat.from_dict({"cells": [cell]})

    trained = notebooks.TRAINED
    assert notebooks.differences(printing("57 %"), printing("56 %"))
    assert not notebooks.differences(printing("57 %", trained), printing("56 %", trained))
    assert notebooks.differences(printing("57 %", trained), printing("5.6 %", trained))
    assert notebooks.differences(printing("57 %", trained), printing("57 uJ", trained))
