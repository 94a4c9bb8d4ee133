"""Programs of torch.export are the workloads that the traced modules are, and nothing in a file is run."""

from __future__ import annotations

import json
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.exported import NETWORKS, facts, network
from support.named import naming

from gmp.errors import TraceError
from gmp.tracing.exported_programs import load_program, run_example
from gmp.tracing.trace import trace

pytestmark = pytest.mark.filterwarnings("ignore")  # of torch, about its own use


def save(name: str, path: Path) -> tuple[torch.nn.Module, torch.Tensor]:
    model, x = network(name)
    torch.export.save(torch.export.export(model, (x,)), path)
    return model, x


@pytest.mark.parametrize("name", NETWORKS)
def test_a_program_is_the_network(name: str, tmp_path: Path) -> None:
    model, x = save(name, tmp_path / "net.pt2")
    program = load_program(tmp_path / "net.pt2")
    found = trace(program.module, [program.example], forward=run_example)
    expected = trace(model, [x])
    assert found.macs == expected.macs
    ours, theirs = ({layer.name: layer for layer in t.layers if layer.view} for t in (found, expected))
    assert ours.keys() == theirs.keys()
    assert facts(ours.values()) == facts(theirs.values())
    for layer in ours:
        assert ours[layer].inputs == pytest.approx(theirs[layer].inputs)


def spoil(source: Path, target: Path, change: Callable[[str, bytes], bytes | None], **more: bytes) -> Path:
    """Copy an archive; `change` gives new contents of a member by its name, None leaves it out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = change(name.partition("/")[2], old.read(name))
            if content is not None:
                new.writestr(name, content)
        root = old.namelist()[0].partition("/")[0]
        for name, content in more.items():
            new.writestr(f"{root}/{name}", content)
    return target


class Evil:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_files_that_would_run_code_are_refused(tmp_path: Path) -> None:
    save("convolutions", tmp_path / "net.pt2")
    touched = tmp_path / "touched"
    evil = pickle.dumps(Evil(touched))

    def weights_by_pickle(name: str, data: bytes) -> bytes:
        if name.endswith("weights_config.json"):
            return data.replace(b'"use_pickle": false', b'"use_pickle": true')
        return evil if name.startswith("data/weights/weight_") else data

    def example(name: str, data: bytes) -> bytes:
        return evil if name.startswith("data/sample_inputs") else data

    def constant(name: str, data: bytes) -> bytes:
        payload = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
        return (
            json.dumps({"config": {"c": payload}}).encode()
            if name.endswith("constants_config.json")
            else data
        )

    def operation(name: str, data: bytes) -> bytes:
        return data.replace(b"torch.ops.aten.relu.default", b"torch.hub.load") if "models/" in name else data

    def expression(name: str, data: bytes) -> bytes:
        text = b'{"as_expr": {"expr_str": "__import__(\'os\').getpid()", "hint": null}}'
        return data.replace(b'{"as_int": 16}', text) if name.startswith("models/") else data

    for change in (weights_by_pickle, example, constant, operation, expression):
        spoiled = spoil(tmp_path / "net.pt2", tmp_path / "spoiled.pt2", change)
        with pytest.raises(TraceError, match=r"spoiled.pt2: \w.*(not loaded|operation of torch)"):
            load_program(spoiled)
    library = {"data/aotinductor/model/x.so": b"\x7fELF"}
    spoiled = spoil(tmp_path / "net.pt2", tmp_path / "spoiled.pt2", lambda name, data: data, **library)
    with pytest.raises(TraceError, match=naming("spoiled.pt2 data/aotinductor/model/x.so")):
        load_program(spoiled)
    assert not touched.exists()


def test_damaged_files_are_one_sentence(tmp_path: Path) -> None:
    save("einsums", tmp_path / "net.pt2")
    data, draw = (tmp_path / "net.pt2").read_bytes(), random.Random(0)
    path = tmp_path / "spoiled.pt2"
    contents = [b"", b"no archive", data[: len(data) // 2]]
    for _ in range(25):
        flipped = bytearray(data)
        for _ in range(draw.choice([1, 5, 40])):
            flipped[draw.randrange(len(data))] = draw.randrange(256)
        contents.append(bytes(flipped))
    for content in contents:
        path.write_bytes(content)
        said = str(path)
        try:
            load_program(path)
        except TraceError as error:
            said = str(error)
        assert said.startswith(str(path))
        assert "\n" not in said
    with pytest.raises(TraceError, match=naming("none.pt2")):
        load_program(tmp_path / "none.pt2")
