"""Version 0.4 documents of strangers: code does not run, files stay unread, time and memory are bounded."""

import os

import pytest
from support.bounded import bounded

from sparsim.errors import SpecError
from sparsim.files.sparsim_yaml import is_marked
from sparsim.files.timeloop_files import read_documents

DOCUMENT = """\
variables: {{version: 0.4, technology: "45nm", global_cycle_seconds: 1e-9}}
architecture:
  version: 0.4
  nodes:
  - !Component
    name: dram
    class: DRAM
    attributes: {{width: 8, datawidth: 8}}
  - !Component
    name: mac
    class: intmac
    attributes:
      x: {expression}
problem:
  shape:
    name: mm
    dimensions: [M]
    data_spaces:
    - {{name: A, projection: [[[M]]]}}
    - {{name: Z, projection: [[[M]]], read_write: true}}
  instance: {{M: 8}}
"""

EXPRESSIONS = {
    "classes by attribute": "().__class__.__bases__[0].__subclasses__()",
    "attribute of a function": "getcwd.__globals__",
    "attribute of the document": "spec.__class__.__init__",
    "attribute of a text": "'{0.__class__}'.format(spec)",
    "import": "__import__('os').system('true')",
    "eval": "eval('1')",
    "open": "open('/etc/passwd')",
    "builtins": "__builtins__",
    "type": "type(1)",
    "getattr": "getattr(spec, 'x')",
    "assignment": "(x := 3)",
    "await": "await spec",
    "recursion of a lambda": "(lambda f: f(f))(lambda f: f(f))",
    "branching recursion": "(lambda f: f(f))(lambda f: f(f) + f(f))",
    "long list": "[0] * 10**9",
    "long text": "'a' * 10**10",
    "tower of powers": "9**9**9",
    "shift": "1 << 10**10",
    "power by name": "pow(2, 10**9)",
    "factorial": "factorial(10**8)",
    "binomial": "comb(10**8, 10**7)",
    "product": "prod([2**2000] * 40000)",
    "least common multiple": "lcm(*range(1, 10000))",
    "long range": "list(range(10**12))",
    "number in a range": "0.5 in range(10**12)",
    "nested loops": "[x for x in range(10**4) for y in range(10**4) for z in range(10**4)]",
    "loops in loops": "[[i * j * k for i in range(300)] for j in range(300) for k in range(300)]",
    "colliding keys": "{i * (2**61 - 1): 0 for i in range(50000)}",
    "sum of lists": "sum([[1] * 1000] * 1000, [])",
    "width of a format": "'%1000000000d' % 1",
    "width of a formatted text": "f'{1:>1000000000}'",
    "negative digits": "round(10**300, -10**9)",
    "digits of text": "int('9' * 5000)",
    "deep parentheses": "(" * 1500 + "1" + ")" * 1500,
    "deep signs": "-" * 3900 + "1",
    "long chain": "+".join(["1"] * 1900),
    "long expression": "1+" * 100_000 + "1",
    "doubled list": "(lambda f: f(f, 30))(lambda f, n: [1] if n < 1 else [f(f, n - 1), f(f, n - 1)])",
    "map of a map": "list(map(lambda x: list(range(50000)), range(50000)))",
    "unpacked range": "max(*range(10**9))",
    "modular powers": "[pow((1 << 2047) - 1, (1 << 2047) - 3, (1 << 2047) - 9) for i in range(9000)]",
    "repetitions of nothing": "(lambda x: [x * 0 for i in range(9000)])(list(range(40000)))",
    "slices": "(lambda x: [len(x[1:]) for i in range(9000)])(list(range(40000)))",
    "product with a list": "prod([1] * 40000, [1] * 40000)",
    "conversion in a text": "f'{1!r}'",
    "set": "{1, 2}",
    "bytes": "b'x'",
}


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_expression_is_refused(tmp_path, expression):
    text = f"|-\n        {expression}"
    refused(tmp_path, {"v4.yaml": DOCUMENT.format(expression=text)})


def refused(folder, documents, **data):
    """Write the documents, read the first, and return the sentence that refuses it."""
    for name, text in documents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    with bounded(), pytest.raises(SpecError) as error:
        read_documents([folder / next(iter(documents))], template_data=data)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600
    return str(error.value)


TEMPLATES = {
    "class of a text": "{{ ''.__class__.__mro__ }}",
    "class by index": "{{ ''['__class__'] }}",
    "class by filter": "{{ ''|attr('__class__') }}",
    "class by map": "{{ ['']|map(attribute='__class__')|list }}",
    "globals of a helper": "{{ cwd.__globals__ }}",
    "init of a helper": "{{ include.__func__.__globals__ }}",
    "environment": "{{ self._TemplateReference__context.environment }}",
    "format": "{{ '{0.__class__}'.format(1) }}",
    "format by name": "{{ '%s'|format(1) }}",
    "macro's internals": "{% macro m() %}{% endmacro %}{{ m.__init__ }}",
    "undefined name": "{{ nothing }}",
    "long text": "{{ 'a' * 10**10 }}",
    "tower of powers": "{{ 9**(9**9) }}",
    "width of a format": "{{ '%1000000000d' % 1 }}",
    "width by method": "{{ 'a'.center(10**10) }}",
    "width by filter": "{{ 'a'|center(10**10) }}",
    "long range": "{% for i in range(10**10) %}{% endfor %}",
    "nested loops": "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
    "loops that pass": "{% for i in range(9999) %}{% for j in range(999) if j < 0 %}{% endfor %}{% endfor %}",
    "recursive macro": "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "recursive loop": "{% for x in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}",
    "doubled text": "{% set n = namespace(x='ab') %}{% for i in range(99) %}"
    "{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubled block": "{% set x %}abcdefgh{% endset %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 60,
    "doubled list": "{% set n = namespace(x=[1]) %}{% for i in range(60) %}"
    "{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "doubled by replacing": "{% set n = namespace(x='ab') %}{% for i in range(60) %}"
    "{% set n.x = n.x|replace('a', n.x) %}{% endfor %}",
    "long look-up": "{% set b = range(40000)|list %}{% for i in b %}{% if -1 in b %}{% endif %}{% endfor %}",
    "long views of a mapping": "{% set d = {"
    + ", ".join(f"{i}: 0" for i in range(2000))
    + "} %}{% for i in range(9999) %}{% for k in d.items() if k < 0 %}{% endfor %}{% endfor %}",
    "sorted often": "{% set b = range(40000)|list %}{% for i in b %}{{ b|sort|length }}{% endfor %}",
    "sliced often": "{% set b = range(40000)|list %}{% for i in b %}{% set c = b[1:] %}{% endfor %}",
    "look-up by a test": "{% set b = range(40000)|list %}"
    "{% for i in b %}{% if -1 is in b %}{% endif %}{% endfor %}",
    "look-up by a filter": "{% set b = range(40000)|list %}{{ b|select('in', b)|list|length }}",
    "counted often": "{% set b = range(40000)|list %}{% for i in b %}{{ b.count(-1) }}{% endfor %}",
    "found late": "{% set b = range(40000)|list %}{% for i in b %}{{ b.index(39999) }}{% endfor %}",
    "repetitions of nothing": "{% set b = range(40000)|list %}{% for i in b %}{{ b * 0 }}{% endfor %}",
    "colliding values": "{{ range(0, 40000 * (2**61 - 1), 2**61 - 1)|unique|list|length }}",
    "colliding keys": "{% set d = {" + ", ".join(f"{i * (2**61 - 1)}: 0" for i in range(9000)) + "} %}",
    "long alphabet": "{% set c = 'b' * 49000 ~ 'a' %}{% set x = 'a' * 50000 %}"
    "{% for i in range(30000) %}{% set y = x.strip(c) %}{% set z = x|trim(c) %}{% endfor %}",
    "many outputs": "{{1}}" * 390_000,
    "many conditions": "{% if 1 %}" + "{% elif 1 %}" * 150_000 + "{% endif %}",
    "half of a pair": "{{ '\\ud800' }}",
    "deep parentheses": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "absolute path": "{{ include_text('/etc/passwd') }}",
    "path that climbs": "{{ include_text('../secret.yaml') }}",
    "search folder that climbs": "{{ add_to_path('..') }}{{ include_text('secret.yaml') }}",
    "pattern that climbs": "{{ include_all('../*.yaml', 'a') }}",
    "pattern of folders": "{{ include_all('/*/*', 'a') }}",
    "path of a link": "{{ include_text('link.yaml') }}",
    "tag include": "{% include '/etc/passwd' %}",
    "tag import": "{% import '/etc/passwd' as x %}",
    "template that includes itself": "{{ include_text('v4.yaml') }}",
    "no such file": "{{ include_text('missing.yaml') }}",
    "no such place": "{{ include('part.yaml', 'a.b.c') }}",
    "syntax": "{% for %}",
}


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_template_is_refused(tmp_path, template):
    (tmp_path / "secret.yaml").write_text("secret: 1\n")
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    sentence = refused(folder, {"v4.yaml": template, "part.yaml": "a: {b: 1}\n"})
    assert "v4.yaml" in sentence or "part.yaml" in sentence


def doubled(merge: str, start: str, times: int) -> str:
    lines = [f"a0: &a0 {start}"]
    lines += [f"a{i + 1}: &a{i + 1} {merge.replace('*', f'*a{i}')}" for i in range(times)]
    return "\n".join(lines) + "\n"


YAML = {
    "aliases of aliases": doubled("[*, *]", "[1, 2]", 60),
    "doubled by the deep merge": doubled("{<<<: [*, *]}", "{x: [1, 2]}", 60),
    "deep merges of deep maps": doubled("{<<<: [*, *], y: {z: *}}", "{x: {v: [1]}}", 60),
    "deep by aliases": doubled("[*]", "[1]", 5000),
    "deep by aliases in mappings": doubled("{x: *}", "{x: 1}", 5000),
    "merge of a text": "a: {<<: text}\n",
    "deep merge of a list": "a: {<<<: [1]}\n",
    "nested too deep": "a: " + "[" * 5000 + "]" * 5000 + "\n",
    "key twice": "a: 1\na: 2\n",
    "alias without an anchor": "a: *b\n",
    "python object": "architecture: {nodes: [!!python/object/apply:os.system ['true']]}\n",
    "include by tag": "a: !include /etc/passwd\n",
    "python name": "architecture: {nodes: [!!python/name:os.system ]}\n",
    "many directives": "".join(f"%TAG !a{i}! tag:x,2000:\n" for i in range(100_000)) + "---\n",
    "many values": "a_ignore: [" + "1," * 1_000_000 + "1]\n",
    "no mapping": "- 1\n",
}


@pytest.mark.parametrize("text", YAML.values(), ids=YAML)
def test_yaml_is_refused(tmp_path, text):
    refused(
        tmp_path,
        {"v4.yaml": text + "architecture: {version: 0.4, nodes: []}\n" * ("architecture" not in text)},
    )


def test_pipe_and_folder_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    for name in ("pipe.yaml", "."):
        refused(tmp_path, {"v4.yaml": f"{{{{ include_text('{name}') }}}}"})


def test_pattern_does_not_walk_folders_below(tmp_path):
    refused(tmp_path, {"v4.yaml": "{{ include_all('**', 'a') }}", "deep/part.yaml": "a: 1\n"})


def test_blank_lines_take_no_time():
    with bounded():
        assert not is_marked("\n" * 100_000 + "problem: {}\n")


def test_many_containers_are_refused(tmp_path):
    containers = "".join(f"  - !Container {{name: c{i}, attributes: {{a{i}: 1}}}}\n" for i in range(8000))
    document = DOCUMENT.format(expression="1")
    refused(tmp_path, {"v4.yaml": document.replace("  - !Component\n    name: mac", containers + MAC_NODE)})


def test_meshes_of_many_containers_are_refused(tmp_path):
    mesh = "spatial: {meshX: 2**30, meshY: 2**30}"
    containers = "".join(f"  - !Container {{name: c{i}, {mesh}}}\n" for i in range(200))
    document = DOCUMENT.format(expression="1")
    refused(tmp_path, {"v4.yaml": document.replace("  - !Component\n    name: mac", containers + MAC_NODE)})


def beside_class(text):
    return "class: DRAM", f"class: DRAM\n    {text}"


MAC = "- !Component\n    name: mac"
MAC_NODE = "  " + MAC
NODES = {
    "!ArrayContainer": (MAC, "- !ArrayContainer {name: array}\n  " + MAC),
    "no tag": (MAC, "-\n    name: mac"),
    "no_coalesce": beside_class("constraints: {dataspace: {no_coalesce: [A]}}"),
    "rmw_first_update": beside_class("constraints: {temporal: {rmw_first_update: [Z]}}"),
    "remainders": beside_class("constraints: {temporal: {remainders: 1}}"),
    "overbooking": beside_class("constraints: {max_overbooked_proportion: {proportion: 0.5}}"),
    "name of version 0.3": beside_class("constraints: {temporal: {no_temporal_reuse: [A]}}"),
    "unknown key": ("class: DRAM", "clas: DRAM"),
    "unknown dataspace": beside_class("constraints: {dataspace: {keep: [Q]}}"),
    "unknown dim": beside_class("constraints: {temporal: {factors: [Q=1]}}"),
    "factor below": beside_class("constraints: {temporal: {factors: [M<3]}}"),
    "two factors": beside_class("constraints: {temporal: {factors: [M=2, M=4]}}"),
    "kept and bypassed": beside_class("constraints: {dataspace: {keep: [A], bypass: [A]}}"),
    "mesh of a fraction": beside_class("spatial: {meshX: 2.5}"),
    "mesh of nothing": beside_class("spatial: {meshX: 0}"),
    "mesh beyond counting": beside_class("spatial: {meshX: 1 << 2000}"),
    "split of nothing": beside_class("constraints: {spatial: {split: (None)}}"),
    "name twice": ("name: mac", "name: dram"),
    "text without quotes": ("width: 8,", "width: 8, kind: LPDDR4,"),
    "unknown target": ("problem:", "constraints: {targets: [{target: far, type: temporal}]}\nproblem:"),
    "unknown type": ("problem:", "constraints: {targets: [{target: dram, type: bypass}]}\nproblem:"),
    "unknown top key": ("problem:", "probelm: {}\nproblem:"),
    "fused mapping": ("problem:", "mapping: {type: fused, nodes: []}\nproblem:"),
    "custom functions": ("problem:", "globals: {expression_custom_functions: [f.py]}\nproblem:"),
    "version": ("version: 0.4\n", "version: 0.5\n"),
    "forward reference": ("global_cycle_seconds: 1e-9", "a: b, b: 1"),
    "bound of a fraction": ("M: 8}", "M: 16.0}"),
    "dataspace without a branch": (
        MAC, "- !Parallel\n    nodes:\n    - !Nothing {constraints: {dataspace: {keep: [A]}}}\n  " + MAC,
    ),
    "layout": ("problem:", "layout: []\nproblem:"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new"), NODES.values(), ids=NODES)
def test_nodes_are_refused(tmp_path, old, new):
    document = DOCUMENT.format(expression="1")
    assert old in document
    sentence = refused(tmp_path, {"v4.yaml": document.replace(old, new, 1)})
    assert "v4.yaml:" in sentence


@pytest.mark.parametrize("name", ["!ArrayContainer", "no_coalesce", "rmw_first_update", "remainders"])
def test_what_cannot_be_represented_is_named(tmp_path, name):
    old, new = NODES[name]
    assert name in refused(tmp_path, {"v4.yaml": DOCUMENT.format(expression="1").replace(old, new, 1)})
