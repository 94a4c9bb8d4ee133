"""What is tried: for each kind of input the documents to spoil, and the program that reads them."""

from __future__ import annotations

import io
import random
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from msgspec.structs import replace
from support.documents import DOCUMENTS
from support.mapper_documents import SEARCH
from support.small_chips import conv, small_chip

from sparsim.cli.main import cli
from sparsim.errors import SparsimError
from sparsim.files.documents import Documents
from sparsim.files.sparsim_yaml import dump
from sparsim.files.timeloop.read_documents import documents_from
from sparsim.files.yaml_reading import parse_yaml
from sparsim.records import Workload
from tests.fuzz.judge import command
from tests.fuzz.mutations import VALUES, mutated, spoiled

ROOT = Path(__file__).parents[2]
REFERENCES = ROOT / "validation" / "references"
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
FORMS = ("native", "0.3", "0.4")
Main = Callable[[], None]
Files = dict[str, bytes]


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


@cache
def references() -> list[Files]:
    """Timeloop's documents that are small enough to be read often."""
    folders = [*sorted(REFERENCES.glob("random/*")), *sorted(REFERENCES.glob("written/*"))]
    found = [{path.name: path.read_bytes() for path in sorted(f.glob("*.yaml"))} for f in folders]
    return [*(f for f in found if sum(map(len, f.values())) < 9000), _as_bytes(DOCUMENTS)]


def _as_bytes(texts: dict[str, str]) -> Files:
    return {name: text.encode() for name, text in texts.items()}


def spoil(files: Files, rng: random.Random) -> Files:
    """One or two of the files with changes of structure or of text."""
    files = dict(files)
    for name in rng.sample(sorted(files), min(len(files), rng.choice((1, 1, 1, 2)))):
        if rng.random() < 0.75:
            document = mutated(plain(parse_yaml(files[name].decode(), name)), rng)
            text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6)
            files[name] = text.encode("utf-8", "surrogatepass")
        else:
            files[name] = spoiled(files[name], rng)
    return files


def written(files: Files, folder: Path) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [str(folder / name) for name in files]


def timeloop(rng: random.Random, folder: Path) -> Main:
    paths = written(spoil(rng.choice(references()), rng), folder)
    if rng.random() < 0.1:
        return command(cli, "sparsim", ["explain", *paths])
    return command(cli, "sparsim", ["model", *paths, "-o", str(folder / "out")])


@cache
def version4_examples() -> list[Files]:
    """Timeloop's documents of version 0.4."""
    folders = sorted((ROOT / "validation" / "version4_examples").glob("[0-9]*"))
    return [{path.name: path.read_bytes() for path in sorted(f.glob("*v4.yaml"))} for f in folders]


def spoil_text(files: Files, rng: random.Random) -> Files:
    """One of the files with changes of its bytes, or of a value."""
    files = dict(files)
    name = rng.choice(sorted(files))
    if rng.random() < 0.5:
        files[name] = spoiled(files[name], rng)
    else:
        words = re.findall(rb"[\w.-]+", files[name])
        value = str(rng.choice(VALUES)).encode("utf-8", "replace")
        files[name] = files[name].replace(rng.choice(words), value, rng.choice((1, -1)))
    return files


def version4(rng: random.Random, folder: Path) -> Main:
    paths = written(spoil_text(rng.choice(version4_examples()), rng), folder)
    if rng.random() < 0.5:
        return command(cli, "sparsim", ["model", *paths, "-o", str(folder / "out"), "--timeloop-files"])
    options = ["--evaluations", "50", "--seconds", "3", "--no-cache"]
    return command(cli, "sparsim", ["mapper", *paths, "-o", str(folder / "out"), *options])


def convert(rng: random.Random, folder: Path) -> Main:
    """What is converted is read again."""
    files = spoil_text(rng.choice(version4_examples()), rng)
    if rng.random() < 0.7:
        files = spoil(rng.choice((*references(), *native_documents())), rng)
    paths, out = written(files, folder), folder / "out"
    first = command(cli, "sparsim", ["convert", *paths, "--to", rng.choice(FORMS), "-o", str(out)])
    form = rng.choice(FORMS)

    def main() -> None:
        try:
            first()
        except SystemExit as end:
            if end.code:
                raise
        again = [str(path) for path in sorted(out.iterdir())]
        try:
            command(cli, "sparsim", ["convert", *again, "--to", form, "-o", str(folder / "again")])()
        except SystemExit as end:
            if end.code and form in FORMS[:1]:
                raise AssertionError("what was converted is refused") from end

    return main


@cache
def recorded() -> list[Files]:
    """Small cases with the reports that Timeloop wrote of them."""
    folders = sorted(path.parent for path in REFERENCES.glob("random/*/stats.txt"))
    found = [{p.name: p.read_bytes() for p in sorted(f.glob("*.[yt][ax][mt]*"))} for f in folders]
    return [files for files in found if sum(map(len, files.values())) < 60_000]


def check(rng: random.Random, folder: Path) -> Main:
    """Differences are no errors: exit code 1, without a sentence."""
    files = dict(rng.choice(recorded()))
    if rng.random() < 0.6:
        files |= spoil({name: data for name, data in files.items() if name.endswith(".yaml")}, rng)
    else:
        files["stats.txt"] = spoiled(files["stats.txt"], rng)
    written(files, folder / "case")
    arguments = ["check", str(folder / "case"), "--tolerance", str(rng.choice((0, 0.01, 1e300)))]
    return command(cli, "sparsim", arguments)


def dumped(found: Documents) -> bytes:
    """The same in our own form."""
    records = (found.architecture, found.layer(), found.policy, found.energy, found.mapping, found.mapspace)
    return dump(*(record for record in records if record is not None)).encode()


@cache
def native_documents() -> list[Files]:
    found = []
    for files in references():
        texts = [(name, parse_yaml(data.decode(), name)) for name, data in files.items()]
        found.append({"native.yaml": dumped(documents_from(texts))})
    return found


def native(rng: random.Random, folder: Path) -> Main:
    paths = written(spoil(rng.choice(native_documents()), rng), folder)
    return command(cli, "sparsim", ["model", *paths, "-o", str(folder / "out")])


def mapper(rng: random.Random, folder: Path) -> Main:
    paths = written(spoil(_as_bytes(SEARCH), rng), folder)
    options = ["--evaluations", "100", "--seconds", "3", "--no-cache"]
    options += ["--method", rng.choice(("random", "local", "auto"))]
    return command(cli, "sparsim", ["mapper", *paths, "-o", str(folder / "out"), *options])


@cache
def native_search() -> Files:
    texts = [(name, parse_yaml(text, name)) for name, text in SEARCH.items()]
    return {"search.yaml": dumped(documents_from(texts, for_search=True))}


def native_mapper(rng: random.Random, folder: Path) -> Main:
    paths = written(spoil(native_search(), rng), folder)
    options = ["--evaluations", "100", "--seconds", "3", "--no-cache"]
    return command(cli, "sparsim", ["mapper", *paths, "-o", str(folder / "out"), *options])


@cache
def components() -> list[Files]:
    folder = ROOT / "validation" / "estimates"
    return [{path.name: path.read_bytes()} for path in sorted(folder.glob("*.yaml"))]


def estimate(rng: random.Random, folder: Path) -> Main:
    paths = written(spoil(rng.choice(components()), rng), folder)
    return command(cli, "sparsim", ["estimate", *paths, "-o", str(folder / "out")])


@cache
def presets() -> list[Files]:
    folder = ROOT / "sparsim" / "files" / "presets"
    paths = [*sorted(folder.glob("*.yaml")), *sorted(folder.glob("workloads/*.yaml"))]
    return [{path.name: path.read_bytes()} for path in paths if path.stat().st_size < 30_000]


def show(rng: random.Random, folder: Path) -> Main:
    paths = written(spoil(rng.choice(presets()), rng), folder)
    return command(cli, "sparsim", ["show", *paths])


@cache
def chip_documents() -> Files:
    chip, layer = small_chip(), conv(M=3, C=2, R=2, S=2, P=3, Q=3, iacts=0.6, weights=0.5)
    given = chip.accelerator
    records = [chip.spec, given.architecture, *([given.policy] if given.policy else []), *given.components]
    workload = Workload(name="tiny", layers=(layer,))
    return {"chip.yaml": dump(*records).encode(), "workload.yaml": dump(workload).encode()}


def chip(rng: random.Random, folder: Path) -> Main:
    paths = written(spoil(chip_documents(), rng), folder)
    return command(cli, "sparsim", ["chip", *paths, "--eyexam"])


def recipe(rng: random.Random, folder: Path) -> Main:
    """Recipes are text with tags: only their text is spoiled."""
    text = (ROOT / "pointnet" / "recipes" / "study.yaml").read_bytes()
    for _ in range(rng.choice((1, 2, 3))):
        if rng.random() < 0.6:
            lines = text.split(b"\n")
            place = rng.randrange(len(lines))
            key, colon, _ = lines[place].partition(b": ")
            value = str(rng.choice(VALUES)).encode("utf-8", "replace")
            lines[place] = key + colon + value if colon else lines[place] + value
            text = b"\n".join(lines)
        else:
            text = spoiled(text, rng)
    (path,) = written({"recipe.yaml": text}, folder)

    def main() -> None:
        from gmp import PruningError, load_recipe

        try:
            load_recipe(path).describe()
        except PruningError as error:
            _refused(error)

    return main


def _refused(error: Exception) -> None:
    """What the command line does with an error of ours."""
    print("sparsim: error:", " ".join(str(error).split()), file=sys.stderr)
    sys.exit(2)


def mask(rng: random.Random, folder: Path) -> Main:
    """Of the tensors of the small documents, as .npy and .npz."""
    shape = rng.choice(((8, 8), (8, 8), (8, 4), (0, 8), (8,), (), (8, 8, 1)))
    kind = rng.choice((bool, np.int64, np.float64, "S3", object, "<M8[s]", complex))
    array = np.zeros(shape, kind if kind is object else "i8")
    if kind is not object:
        array = (np.arange(array.size).reshape(shape) % 3).astype(kind)
    buffer = io.BytesIO()
    np.savez(buffer, **{rng.choice(("A", "B")): array}) if rng.random() < 0.4 else np.save(buffer, array)
    data = spoiled(buffer.getvalue(), rng) if rng.random() < 0.7 else buffer.getvalue()
    paths = written(_as_bytes(DOCUMENTS), folder)
    (file,) = written({rng.choice(("m.npy", "m.npz", "m")): data}, folder / "masks")
    option = rng.choice((f"A={file}", f"B={file}", file, f"={file}", "A=", "A=/nonexistent", f"A={folder}"))
    return command(cli, "sparsim", ["model", *paths, "-o", str(folder / "out"), "--mask", option])


SEARCH_OPTIONS = (
    "--evaluations", "--seconds", "--seed", "--threads", "--top", "--objective", "--method", "--padded",
    "--imperfect", "--layer", "--accounting", "--cache",
)  # fmt: skip
MODEL_OPTIONS = ("--accounting", "--mask", "--layer", "-o")


def options(rng: random.Random, folder: Path) -> Main:
    """Whatever stands behind an option."""
    search = rng.random() < 0.6
    paths = written(_as_bytes(SEARCH if search else DOCUMENTS), folder)
    names = SEARCH_OPTIONS if search else MODEL_OPTIONS
    arguments = ["mapper", *paths, "--seconds", "1", "--no-cache"] if search else ["model", *paths]
    arguments += ["-o", str(folder / "out")]
    for _ in range(rng.choice((1, 1, 2))):
        value = str(rng.choice((*VALUES, "energy,delay", "M", "M,N", "matmul", "1e-9", "0.001")))
        value = value.replace("\0", "")
        name = rng.choice(names)
        if name in ("-o", "--cache"):  # stays inside the folder
            value = str(folder / "out" / value.strip("/.")[:100])
        arguments += [name, value]
    return command(cli, "sparsim", arguments)


@cache
def records() -> Documents:
    texts = [(name, parse_yaml(text, name)) for name, text in DOCUMENTS.items()]
    return documents_from(texts)


NUMBERS = (*(v for v in VALUES if isinstance(v, int | float)), 2**100, 10**400, 10**5000, -(10**400), 1.0)


def api(rng: random.Random, folder: Path) -> Main:
    """Records made in Python, which nothing has converted from a document."""
    documents = records()
    given, layer, mapping = documents.accelerator, documents.layer(), documents.mapping

    def main() -> None:
        from sparsim import Frozen, evaluate, evaluate_batch

        try:
            arch = _with_number(given.architecture, rng) if rng.random() < 0.6 else given.architecture
            some_layer = _with_bound(layer, rng) if rng.random() < 0.4 else layer
            energy = _with_energy(given.energy, rng) if rng.random() < 0.3 else given.energy
            accelerator = replace(given, architecture=arch, energy=energy)
            found = evaluate(accelerator, some_layer, mapping)
            batch = evaluate_batch(accelerator, some_layer, [mapping], threads=rng.choice((1, 2, 10**9)))
            frozen = Frozen(accelerator, [some_layer], [mapping])
            some = frozen([[rng.choice((0.0, 1.0, 0.3, 1e-300)) for _ in range(3)]])
            numbers = [found.energy_pj, found.cycles, *batch.energy_pj, *some.energy_pj, *some.cycles]
            if not all(0 <= number < np.inf for number in numbers):
                raise AssertionError(f"results {numbers}")
        except SparsimError as error:
            _refused(error)

    return main


def _with_number(arch: Any, rng: random.Random) -> Any:
    """The architecture with one number of one level changed."""
    levels, i = list(arch.storage), rng.randrange(len(arch.storage) + 1)
    level = levels[i] if i < len(levels) else arch.compute
    network = i < len(levels) and rng.random() < 0.2
    owner = level.network if network else level
    fields = [f for f in owner.__struct_fields__ if f not in ("name", "network", "technology", "type")]
    field, value = rng.choice(fields), rng.choice(NUMBERS)
    changed = replace(owner, **{field: (value, 1) if field == "mesh" else value})
    if network:
        changed = replace(level, network=changed)
    if i == len(levels):
        return replace(arch, compute=changed)
    levels[i] = changed
    return replace(arch, storage=tuple(levels))


def _with_bound(layer: Any, rng: random.Random) -> Any:
    return replace(layer, bounds=layer.bounds | {rng.choice(layer.shape.dims): rng.choice(NUMBERS)})


def _with_energy(energy: Any, rng: random.Random) -> Any:
    component = rng.choice(sorted(energy.actions))
    action = rng.choice(sorted(energy.actions[component]))
    changed = energy.actions[component] | {action: rng.choice(NUMBERS)}
    return replace(energy, actions=energy.actions | {component: changed})


# (kind, how often)
KINDS: tuple[tuple[Callable[[random.Random, Path], Main], int], ...] = (
    (timeloop, 34), (version4, 6), (convert, 6), (check, 4), (native, 12), (mapper, 6), (native_mapper, 4),
    (estimate, 8), (show, 7), (chip, 3), (recipe, 4), (mask, 4), (options, 3), (api, 5),
)  # fmt: skip
