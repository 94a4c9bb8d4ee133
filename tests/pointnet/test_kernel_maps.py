"""Kernel maps against worked examples, closed forms and a slow twin of dictionaries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import kernel_map as naive
from support.sparse_clouds import PATTERN, cube, random_cloud, rows_of, shell

from pointnet.errors import DataError, PointnetError
from pointnet.ops.coordinates import HIGHEST, LOWEST, Coordinates
from pointnet.ops.kernel_maps import Kernel, generated_coordinates, kernel_map, strided_coordinates

FLAT = (3, 3, 1)
HALVED = Kernel(3, 2)
LAST = Coordinates(rows_of([[HIGHEST, 0, 0]]))


def submanifold(rows, kernel):
    coordinates = Coordinates(rows)
    return kernel_map(coordinates, coordinates, kernel)


def strided(rows, kernel, rule="floor", grid=None):
    inputs = Coordinates(rows, grid)
    outputs = strided_coordinates(inputs, kernel, rule)
    return outputs, kernel_map(inputs, outputs, kernel)


def points(coordinates, axes=3):
    return [tuple(row) for row in coordinates.rows[:, 1 : 1 + axes].tolist()]


def all_of(rows):
    return [tuple(row) for row in rows.tolist()]


class TestPattern:
    """Eight points in two dimensions."""

    rows = rows_of(PATTERN)

    def test_submanifold(self):
        assert submanifold(self.rows, Kernel(FLAT)).pairs == (3, 2, 3, 4, 8, 4, 3, 2, 3)

    def test_floor_rule(self):
        outputs, found = strided(self.rows, Kernel(FLAT, (2, 2, 1)))
        assert points(outputs, 2) == [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
        assert found.outputs.bincount().tolist() == [2, 2, 1, 4, 4]

    @pytest.mark.parametrize("grid", [None, (3, 7, 1)])
    def test_full_rule(self, grid):
        outputs, found = strided(self.rows, Kernel(FLAT, (2, 2, 1)), "full", grid)
        assert points(outputs, 2) == [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3)]
        assert found.total == 14
        assert outputs.grid == (grid and (2, 4, 1))

    def test_corner_of_two(self):
        assert strided(self.rows, Kernel((2, 2, 1), (2, 2, 1), anchor="corner"))[1].pairs == (2, 4, 2, 0)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_full_cubes(n):
    assert submanifold(cube(n), Kernel(3)).total == (3 * n - 2) ** 3
    assert submanifold(cube(n), Kernel(5)).total == (5 * n - 6) ** 3
    assert strided(cube(n), Kernel(2, 2))[1].total == n**3


@pytest.mark.parametrize(("n", "outputs", "pairs"), [(4, 8, 125), (5, 27, 343)])
def test_full_cubes_halved_with_overlap(n, outputs, pairs):
    found, by_floor = strided(cube(n), HALVED)
    assert (len(found), by_floor.total) == (outputs, pairs)
    full, by_full = strided(cube(n), HALVED, "full", (n, n, n))
    assert torch.equal(full.rows, found.rows)
    assert torch.equal(by_full.triples(), by_floor.triples())


def test_lines_and_planes():
    assert submanifold(cube(8, axes=1), Kernel(3)).total == 22
    assert submanifold(rows_of([[i, i, i] for i in range(8)]), Kernel(3)).total == 22
    assert submanifold(cube(8, axes=2), Kernel(3)).total == 484


def test_negative_coordinates_are_floored_and_not_truncated():
    outputs, _ = strided(rows_of([[-3, 0], [-1, 0], [0, 0], [1, 0], [3, 0]]), Kernel((2, 1, 1), (2, 1, 1)))
    assert points(outputs, 2) == [(-2, 0), (-1, 0), (0, 0), (1, 0)]


@pytest.mark.parametrize(
    ("size", "anchor", "expected"),
    [
        (4, "centred", [-1, 0, 1, 2]),
        (4, "even_corner", [0, 1, 2, 3]),
        (4, "corner", [0, 1, 2, 3]),
        (2, "centred", [0, 1]),
        (2, "even_corner", [0, 1]),
        (3, "even_corner", [-1, 0, 1]),
        (3, "corner", [0, 1, 2]),
    ],
)
def test_conventions_of_offsets_have_names(size, anchor, expected):
    assert Kernel((size, 1, 1), anchor=anchor).offsets[:, 0].tolist() == expected


def test_the_order_of_offsets_has_a_name():
    assert Kernel((2, 1, 2)).offsets.tolist() == [[0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 0, 1]]
    first = Kernel((2, 1, 2), order="first_fastest")
    assert first.offsets.tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 1]]


def test_samples_do_not_meet():
    rows = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 2]])
    assert submanifold(rows, Kernel(3)).total == 5


def test_the_end_of_a_row_is_no_neighbour_of_the_next():
    coordinates = Coordinates(rows_of([[0, 0, 3], [0, 1, 0]]), (4, 4, 4))
    assert kernel_map(coordinates, coordinates, Kernel(3)).total == 2
    ends = torch.tensor([[0, 0, LOWEST, HIGHEST], [0, 0, LOWEST + 1, LOWEST], [1, LOWEST, LOWEST, LOWEST],
                         [0, HIGHEST, HIGHEST, HIGHEST]])  # fmt: skip
    assert submanifold(ends, Kernel(3)).total == 4
    assert submanifold(ends, Kernel(3, dilation=2 * HIGHEST)).total == 4


def test_transposed_maps_give_inputs_back():
    rows = rows_of([[0, 0, 0], [3, 1, 0], [5, 5, 5], [4, 4, 4]])
    outputs, found = strided(rows, Kernel(2, 2))
    assert points(outputs) == [(0, 0, 0), (1, 0, 0), (2, 2, 2)]
    assert found.triples().tolist() == [[0, 0, 0], [0, 3, 2], [6, 1, 1], [7, 2, 2]]
    assert found.transposed.triples().tolist() == [[0, 0, 0], [0, 2, 3], [6, 1, 1], [7, 2, 2]]
    assert torch.equal(found.transposed.transposed.triples(), found.triples())


@pytest.mark.parametrize(("size", "count"), [(2, 16), (3, 45)])
def test_generative_outputs(size, count):
    assert len(generated_coordinates(Coordinates(rows_of([[0, 0, 0], [1, 0, 0]])), Kernel(size, 2))) == count


class TestShell:
    def test_levels(self):
        levels = [Coordinates(shell(20))]
        for _ in range(4):
            levels.append(strided_coordinates(levels[-1], Kernel(2, 2)))
        assert [len(level) for level in levels] == [5034, 1573, 430, 122, 32]
        totals = [kernel_map(level, level, Kernel(3)).total for level in levels]
        assert totals == [53274, 20185, 5932, 1676, 448]

    def test_levels_depend_on_the_origin(self):
        level, sizes = Coordinates(shell(20, 21)), []
        for _ in range(5):
            sizes.append(len(level))
            level = strided_coordinates(level, Kernel(2, 2))
        assert sizes == [5034, 1573, 428, 113, 26]

    def test_classes_of_offsets(self):
        found = submanifold(shell(20), Kernel(3))
        distance = np.abs(Kernel(3).offsets).sum(axis=1)
        classes = {
            int(d): {n for n, e in zip(found.pairs, distance, strict=True) if e == d} for d in range(4)
        }
        assert classes == {0: {5034}, 1: {2520}, 2: {1768}, 3: {1488}}

    def test_full_rule_on_a_grid(self):
        outputs, found = strided(shell(20, 21), HALVED, "full", (43, 43, 43))
        assert (len(outputs), found.total) == (2552, 17040)
        outputs, found = strided(shell(20, 21), Kernel(2, 2), "full", (43, 43, 43))
        assert (len(outputs), found.total) == (1573, 5034)


SIZES = st.tuples(*[st.integers(1, 4)] * 3)
STEPS = st.tuples(*[st.integers(1, 3)] * 3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), size=SIZES, stride=STEPS, dilation=STEPS, corner=st.booleans())
def test_maps_equal_the_slow_twin(seed, size, stride, dilation, corner):
    rows = random_cloud(seed, 40, 5, low=-2)
    kernel = Kernel(size, stride, dilation, "even_corner" if corner else "centred")
    shifts = naive.offsets(size, dilation, corner=corner)
    inputs = Coordinates(rows)
    cases = [(strided_coordinates(inputs, kernel), naive.floored(all_of(rows), stride))]
    if reached := naive.reached(all_of(rows), stride, shifts):
        cases.append((strided_coordinates(inputs, kernel, "full"), reached))
    for outputs, expected in cases:
        assert all_of(outputs.rows) == expected
        found = [tuple(pair) for pair in kernel_map(inputs, outputs, kernel).triples().tolist()]
        assert found == naive.pairs(all_of(rows), expected, stride, shifts)
    assert all_of(generated_coordinates(inputs, kernel).rows) == naive.generated(all_of(rows), stride, shifts)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), size=SIZES, dilation=STEPS)
def test_submanifold_maps_equal_the_slow_twin(seed, size, dilation):
    rows = random_cloud(seed, 60, 5, low=-3)
    found = submanifold(rows, Kernel(size, dilation=dilation))
    shifts = naive.offsets(size, dilation)
    expected = naive.pairs(all_of(rows), all_of(rows), (1, 1, 1), shifts)
    assert [tuple(pair) for pair in found.triples().tolist()] == expected
    assert found.total <= found.kernel.volume * found.output_count
    if all(n % 2 for n in size):
        assert found.pairs == found.pairs[::-1]
        assert found.identity == found.kernel.volume // 2


@pytest.mark.parametrize("stride", [2, 3])
def test_kernels_as_wide_as_their_stride_meet_each_input_once(stride):
    found = strided(random_cloud(0, 200, 9, low=-4), Kernel(stride, stride, anchor="corner"))[1]
    assert found.inputs.sort().values.tolist() == list(range(200))


def test_maps_do_not_depend_on_the_number_of_threads():
    rows = random_cloud(3, 500, 8)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append((submanifold(rows, Kernel(3)), strided(rows, HALVED)[1]))
    finally:
        torch.set_num_threads(before)
    for maps in found[1:]:
        assert all(torch.equal(a.triples(), b.triples()) for a, b in zip(maps, found[0], strict=True))


def test_outputs_are_in_lexicographic_order_whatever_the_inputs():
    rows = random_cloud(4, 100, 6, low=-3)
    found = strided_coordinates(Coordinates(rows), HALVED)
    assert all_of(found.rows) == naive.floored(all_of(rows), (2, 2, 2))
    assert torch.equal(strided_coordinates(Coordinates(rows.flip(0)), HALVED).rows, found.rows)


def test_grids_of_outputs():
    inputs = Coordinates(cube(3), (5, 5, 5))
    assert strided_coordinates(inputs, Kernel(2, 2)).grid == (3, 3, 3)
    assert strided_coordinates(inputs, Kernel(2, 2), "full").grid == (2, 2, 2)
    assert generated_coordinates(inputs, Kernel(3, 2)).grid == (10, 10, 10)
    assert int(generated_coordinates(inputs, Kernel(3, 2)).rows.min()) == 0


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda: Coordinates(torch.tensor([[0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 2]])), DataError, "twice"),
        (lambda: Coordinates(rows_of([[HIGHEST + 1, 0, 0]])), DataError, "x = 65536 is beyond"),
        (lambda: Coordinates(rows_of([[0, 0, LOWEST - 1]])), DataError, "z = -65537 is beyond"),
        (lambda: Coordinates(rows_of([[0, 0, 0]], 4096)), DataError, "sample 4096 .* beyond 0 to 4095"),
        (lambda: Coordinates(rows_of([[0, 0, 0]], -1)), DataError, "sample -1"),
        (lambda: Coordinates(torch.zeros(0, 4, dtype=torch.int32)), DataError, r"the cloud.*empty"),
        (lambda: Coordinates(rows_of([[4, 0, 0]]), (4, 4, 4)), DataError, "x = 4 is beyond 0 to 3"),
        (lambda: Coordinates(torch.zeros(3, 4)), PointnetError, "integers.*float32"),
        (lambda: Coordinates(torch.zeros(3, 3, dtype=torch.int32)), PointnetError, r"\(3, 3\)"),
        (lambda: Coordinates(rows_of([[0, 0, 0]]), (0, 4, 4)), PointnetError, "grid"),
        (lambda: Kernel(0), PointnetError, r"kernel size.*0"),
        (lambda: Kernel(3, 0), PointnetError, r"kernel stride.*0"),
        (lambda: Kernel((3, 3)), PointnetError, "kernel size"),
        (lambda: Kernel(2, anchor="center"), PointnetError, r"anchor.*center"),
        (lambda: Kernel(2, order="last"), PointnetError, r"order.*last"),
        (lambda: strided(cube(2), HALVED, "ful"), PointnetError, r"rule.*ful"),
        (lambda: strided(rows_of([[1, 1, 1]]), Kernel(1, 2), "full"), PointnetError, r"nothing.*left"),
        (lambda: strided(cube(2), Kernel(4, 2, anchor="corner"), "full", (2,) * 3), PointnetError, "small"),
        (lambda: generated_coordinates(LAST, Kernel(2, 2)), DataError, "beyond"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make, kind, text):
    with pytest.raises(kind, match=text):
        make()
