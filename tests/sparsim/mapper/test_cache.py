"""Results on disk: what a key depends on, and that nothing wrong comes back."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.mapper_documents import SEARCH
from support.named import naming

from sparsim import Density, MappingCache, search, search_network
from sparsim.cache import default_folder
from sparsim.errors import CacheWarning
from sparsim.files.timeloop.read_documents import documents_from
from sparsim.files.yaml_reading import parse_yaml
from sparsim.mapper import network_search as network
from sparsim.mapper.mapping_cache import search_key


@pytest.fixture(scope="module")
def problem():
    """Accelerator and layer."""
    texts = [(name, parse_yaml(SEARCH[name], name)) for name in SEARCH]
    documents = documents_from(texts, for_search=True)
    return documents.accelerator, documents.layer()


@pytest.fixture(scope="module")
def result(problem):
    return search(*problem, objective=("delay", "energy"), top=3)


def test_what_is_kept_comes_back(result, tmp_path):
    MappingCache(tmp_path / "new").put("key", result)
    assert MappingCache(tmp_path / "new").get("key") == result
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["key.json"]


def test_sizes_beyond_64_bits(result, tmp_path):
    large = replace(result, sizes=result.sizes._replace(total=2**127))
    MappingCache(tmp_path).put("key", large)
    assert MappingCache(tmp_path).get("key") == large


def test_what_is_not_kept_does_not(tmp_path):
    assert MappingCache(tmp_path).get("key") is None
    assert MappingCache().get("key") is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content.replace(b'"method"', b'"methud"'),
        lambda content: content.partition(b"\n")[2],
        lambda content: content.replace(b"1", b"2", 1),
        lambda content: b"\xff\x00" * 100,
    ],
    ids=["empty", "cut off", "other key", "no checksum", "other digit", "binary"],
)
def test_spoiled_entries_are_ignored_with_a_warning(result, tmp_path, spoil):
    MappingCache(tmp_path).put("key", result)
    path = tmp_path / "key.json"
    if spoil(path.read_bytes()) == path.read_bytes():
        pytest.fail("nothing is spoiled")
    path.write_bytes(spoil(path.read_bytes()))
    warnings: list[str] = []
    cache = MappingCache(tmp_path, warn=warnings.append)
    assert cache.get("key") is None
    assert [warning.split(": ")[0] for warning in warnings] == [str(path)]
    cache.put("key", result)
    assert MappingCache(tmp_path).get("key") == result


def test_folder_that_cannot_be_used_costs_a_warning(result, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="file: result not kept: file exists"):
        MappingCache(tmp_path / "file").put("key", result)
    with pytest.warns(UserWarning, match=naming("file/key.json")):
        assert MappingCache(tmp_path / "file").get("key") is None


def test_a_result_under_the_key_of_another_is_ignored(result, tmp_path):
    MappingCache(tmp_path).put("key", result)
    (tmp_path / "key.json").rename(tmp_path / "other.json")
    with pytest.warns(CacheWarning, match=r"other\.json"):
        assert MappingCache(tmp_path).get("other") is None


def test_trouble_with_the_folder_is_told_once(result, tmp_path):
    (tmp_path / "file").write_text("")
    warnings: list[str] = []
    cache = MappingCache(tmp_path / "file", warn=warnings.append)
    for key in ("first", "second"):
        assert cache.get(key) is None
        cache.put(key, result)
        assert cache.get(key) == result
    assert len(warnings) == 2  # of reading, of writing


def test_threads_that_keep_the_same_result(result, tmp_path):
    warnings: list[str] = []

    def keep(_: int) -> bool:
        MappingCache(tmp_path, warn=warnings.append).put("key", result)
        return MappingCache(tmp_path, warn=warnings.append).get("key") == result

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(keep, range(100)))
    assert warnings == []
    assert [path.name for path in tmp_path.iterdir()] == ["key.json"]


def changed(problem):
    """The problem with one part changed, each part in turn."""
    accelerator, layer = problem
    arch, policy, mapspace = accelerator.architecture, accelerator.policy, accelerator.mapspace
    storage = replace(arch.storage[0], read_bandwidth=2), *arch.storage[1:]
    for changes in (
        {"architecture": replace(arch, storage=storage)},
        {"policy": replace(policy, compute_gating=not policy.compute_gating)},
        {"policy": None},
        {"energy": None},
        {"mapspace": replace(mapspace, levels=mapspace.levels[:-1])},
        {"mapspace": None},
    ):
        yield replace(accelerator, **changes), layer
    yield accelerator, replace(layer, bounds=layer.bounds | {"M": 16})
    yield accelerator, replace(layer, densities={"A": Density(density=0.125)})


def test_key_depends_on_problem_and_options(problem):
    options = (
        {}, {"objective": "energy"}, {"objective": ("energy", "delay")}, {"objective": ("delay", "energy")},
        {"method": "local"}, {"evaluations": 1}, {"evaluations": 2}, {"seconds": 1.0}, {"seed": 1},
        {"top": 2}, {"accounting": "count-all"},
    )  # fmt: skip
    keys = [search_key(*problem, option) for option in options]
    keys += [search_key(*other, {}) for other in changed(problem)]
    assert len(set(keys)) == len(keys)


def test_key_does_not_depend_on_what_changes_nothing(problem):
    accelerator, layer = problem
    key = search_key(*problem, {})
    assert search_key(accelerator, replace(layer, name="other"), {}) == key
    for options in (
        {"threads": 2},
        {"progress": print},
        {"objective": "edp"},
        {"objective": ["edp"], "seed": 0},
    ):
        assert search_key(*problem, options) == key


def test_key_depends_on_the_program(problem, monkeypatch):
    key = search_key(*problem, {})
    monkeypatch.setattr("sparsim.cache.sources_digest", lambda: "another")
    assert search_key(*problem, {}) != key


@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        ("/some/where", "/some/where/sparsim"),
        ("", "/home/me/.cache/sparsim"),
        ("here", "/home/me/.cache/sparsim"),
    ],
)
def test_default_folder(monkeypatch, variable, folder):
    monkeypatch.setenv("XDG_CACHE_HOME", variable)
    monkeypatch.setenv("HOME", "/home/me")
    assert default_folder() == Path(folder)


def test_a_user_without_a_home_has_no_folder(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.warns(CacheWarning, match="home"):
        assert default_folder() is None


@pytest.fixture
def searched(monkeypatch):
    """Names of the layers that were searched."""
    names = []

    def counting(accelerator, layer, **options):
        names.append(layer.name)
        return search(accelerator, layer, **options)

    monkeypatch.setattr(network, "search", counting)
    return names


def network_of(layer):
    small = replace(layer, name="small", bounds={"M": 2, "N": 4, "K": 2})
    return [
        replace(layer, name="first"),
        small,
        replace(layer, name="again"),
        replace(small, name="small again"),
    ]


def test_equal_layers_are_searched_once(problem, searched):
    accelerator, layer = problem
    layers = network_of(layer)
    results = search_network(accelerator, layers, objective="energy")
    assert searched == ["first", "small"]
    assert results[0] is results[2]
    assert results[1] is results[3]
    for each, result in zip(layers, results, strict=True):
        alone = search(accelerator, each, objective="energy")
        assert (result.top, result.certificate) == (alone.top, alone.certificate)


def test_known_layers_are_not_searched(problem, searched, tmp_path):
    accelerator, layer = problem
    first = search_network(accelerator, network_of(layer), cache=MappingCache(tmp_path))
    searched.clear()
    assert search_network(accelerator, network_of(layer), cache=MappingCache(tmp_path)) == first
    assert searched == []
    search_network(accelerator, network_of(layer)[:1], cache=MappingCache(tmp_path), seed=1)
    assert searched == ["first"]


def test_ctrl_c_ends_the_network_and_is_not_kept(problem, searched, tmp_path):
    accelerator, layer = problem

    def stop(progress):
        if progress.best is not None:
            raise KeyboardInterrupt

    layers, cache = network_of(layer), MappingCache(tmp_path)
    (result,) = search_network(accelerator, layers, cache=cache, progress=stop)
    assert result.interrupted
    assert result.certificate.kind == "gap"
    assert searched == ["first"]
    assert list(tmp_path.iterdir()) == []
    assert not search_network(accelerator, layers, cache=cache)[0].interrupted
