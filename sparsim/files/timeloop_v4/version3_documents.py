"""Conversion of documents of version 0.4 to equivalent documents of version 0.3.

The steps are those of Timeloop's front end: sections, variables, the problem, nodes in document order, listed
constraints and sparse options, macros, parallel branches, permutations, and the flat list of levels.
"""

from collections import ChainMap
from collections.abc import Sequence
from typing import Any

from sparsim.errors import near
from sparsim.files.timeloop.document_node import Context, Node
from sparsim.files.timeloop.read_problem import read_problem
from sparsim.files.timeloop_v4.cimloop_arrays import PROBLEM_KEYS, is_cimloop, settled_variables
from sparsim.files.timeloop_v4.constraint_macros import attach_dataspaces, expand
from sparsim.files.timeloop_v4.constraints import TYPES, Constraint, ConstraintReader
from sparsim.files.timeloop_v4.custom_functions import CUSTOM_FUNCTIONS, Functions, run_custom_functions
from sparsim.files.timeloop_v4.expression_functions import SpecObject
from sparsim.files.timeloop_v4.flatten_nodes import Flat, flatten
from sparsim.files.timeloop_v4.node_tree import Leaf, TreeReader, sparse_group
from sparsim.files.timeloop_v4.safe_expressions import Scope
from sparsim.files.timeloop_v4.sections import Sections
from sparsim.files.timeloop_v4.values import Values, mapping_of
from sparsim.files.yaml_reading import YamlMap
from sparsim.records import Layer

_SWITCHES = ("TIMELOOP_HIDE_INCONSEQUENTIAL_STATS", "TIMELOOP_OUTPUT_STAT_SCIENTIFIC",
             "TIMELOOP_OUTPUT_STAT_DEFAULT_FLOAT")  # fmt: skip  # of the report only
_MAPPER_DEFAULTS = {"num_threads": 8}
_TEXT_OPTIONS = ("algorithm", "out_prefix", "version")
_PLAIN = (str, int, float)  # variables that estimators of components can read
_SPARSE_PARTS = ("representation_format", "action_optimization", "compute_optimization")

Files = list[tuple[str, YamlMap]]


def to_version3(
    files: Sequence[tuple[str, YamlMap]], *, for_search: bool, trust: bool, with_constraints: bool = True
) -> tuple[Files, list[str], Functions]:
    """The documents in the form of version 0.3, warnings, and functions for the expressions of components.

    `for_search`: the directives become constraints; else they become a mapping. `trust`: run the Python files
    that documents name, whose functions expressions may use. Without `with_constraints` constraints and
    sparse options are not read. Raises SpecError.
    """
    context = Context(variables={}, warnings=[])
    translation = _Translation(Sections(files, context), trust, with_constraints)
    return translation.documents(for_search), context.warnings, translation.functions


class _Translation:
    def __init__(self, sections: Sections, trust: bool, with_constraints: bool) -> None:
        self.sections, self.values, self.trust = sections, Values(), trust
        self.with_constraints = with_constraints
        self.is_cimloop = is_cimloop(sections.parts.get("variables", ()))
        self.functions: Functions = {}
        # a mapping that Timeloop or a search wrote, for the levels of the flat architecture
        self.flat_mapping = sections.directives if any(map(_is_flat, sections.directives)) else []
        self.architecture: dict[str, Any] = {}
        self.nodes: dict[str, Any] = {}
        self.spec: dict[str, Any] = {"architecture": SpecObject(self.architecture)}
        self.scope: Scope = ChainMap({"spec": SpecObject(self.spec)})

    def documents(self, for_search: bool) -> Files:
        self._globals()
        self._variables()
        problem, layer = self._problem()
        flat, sparse = self._architecture(layer, for_search)
        root = self.sections.one("architecture")
        assert root is not None
        variables = {key: value for key, value in self._top_attributes() if isinstance(value, _PLAIN)}
        inside = mapping_of(
            {"name": flat.name, "attributes": mapping_of(variables, root.data), "local": flat.levels},
            root.data,
        )
        tree = mapping_of({"version": 0.3, "subtree": [inside]}, root.data)
        found: Files = [(root.file, mapping_of({"architecture": tree}))]
        if problem is not None:
            found.append(problem)
            key = "architecture_constraints" if for_search else "mapping"
            found.append((root.file, mapping_of({key: flat.directives})))
            if self.flat_mapping and not for_search:
                node = self.flat_mapping[0]
                found[-1] = (node.file, mapping_of({key: [one.data for one in self.flat_mapping]}))
        if sparse:
            found.append((root.file, mapping_of({"sparse_optimizations": mapping_of({"targets": sparse})})))
        return found + self._others()

    def _globals(self) -> None:
        settings = self.sections.one("globals")
        if settings is None:
            return
        names = settings.names(CUSTOM_FUNCTIONS)
        if names and not self.trust:
            hint = "--trust runs the Python files that documents name"
            raise settings.error("custom functions are not allowed", CUSTOM_FUNCTIONS, hint)
        self.functions = run_custom_functions(names)
        self.values.evaluator.functions |= self.functions
        variables = settings.get("environment_variables")
        for name in variables if isinstance(variables, YamlMap) else ():
            if name.startswith("TIMELOOP_") and name not in _SWITCHES:
                settings.warn(f"the switch '{name}' has no effect", "environment_variables")

    def _variables(self) -> None:
        seen: dict[str, Any] = {}
        self.spec["variables"] = SpecObject(seen)
        self.scope["variables"] = SpecObject(seen)
        for part in self._variable_parts():
            for key in part.data:
                if key == "version":
                    continue
                value = self.values.attribute(part, key, self.scope)
                if seen.setdefault(key, value) != value:
                    raise part.error("has another value in another file", key)
                self.scope[key] = value

    def _variable_parts(self) -> Sequence[Node]:
        parts = self.sections.parts.get("variables", [])
        if not self.is_cimloop:
            return parts
        nodes = self.sections.listed("architecture", "nodes")
        return settled_variables(parts, nodes, self.sections.one("problem"))

    def _top_attributes(self) -> list[tuple[str, Any]]:
        """The variables, which are attributes of the top of the flat architecture."""
        return list(self.spec["variables"].fields.items())

    def _problem(self) -> tuple[tuple[str, YamlMap] | None, Layer | None]:
        """The problem with its expressions evaluated, and as a layer."""
        node = self.sections.one("problem")
        if node is None:
            return None, None
        shape = node.child("shape")
        bounds: dict[str, Any] = {}
        seen = {"instance": bounds, "shape": SpecObject(dict(shape.data) if shape is not None else {})}
        self.spec["problem"] = SpecObject(seen)
        evaluated = mapping_of(dict(node.data), node.data)
        instance = node.child("instance")
        if instance is not None:
            scope: Scope = ChainMap(bounds, self.scope)
            inside = mapping_of(dict(instance.data), instance.data)
            known = self._known_of_instance(shape)
            for key in instance.data:
                if isinstance(instance.data[key], YamlMap):
                    inside[key] = self._densities(instance.child(key), scope)
                    continue
                bounds[key] = inside[key] = self.values.typed(instance, key, int, scope)
                if known and key not in known:
                    del inside[key]
            evaluated["instance"] = inside
        if shape is not None:
            evaluated["shape"] = sparse_group(shape, self.values, self.scope)
        evaluated["version"] = 0.3
        for key in PROBLEM_KEYS if self.is_cimloop else ():
            evaluated.pop(key, None)
        layer = read_problem(Node(evaluated, node.file, node.path, Context({}, [])))
        return (node.file, mapping_of({"problem": evaluated})), layer

    def _known_of_instance(self, shape: Node | None) -> set[str]:
        if shape is None:
            return set()
        names = [str(item.get("name")) for item in shape.children("coefficients")]
        return {*shape.names("dimensions"), *names, "densities", "version"}

    def _densities(self, node: Node | None, scope: Scope) -> YamlMap:
        result = YamlMap()
        if node is None:
            return result
        result.lines = dict(node.data.lines)
        for key, value in node.data.items():
            if isinstance(value, YamlMap):
                result[key] = self._densities(node.child(key), scope)
            elif key in ("density", "band_width", "workload_tensor_size"):
                result[key] = self.values.typed(node, key, float if key == "density" else int, scope)
            else:
                result[key] = self.values.plain(value, node, key, scope)
        return result

    def _architecture(self, layer: Layer | None, for_search: bool) -> tuple[Flat, list[YamlMap]]:
        root = self.sections.one("architecture")
        assert root is not None
        for key in root.data:
            if key not in ("version", "nodes"):
                raise root.error(f"unknown key '{key}'", key, near(key, ("version", "nodes")))
        dataspaces = tuple(space.name for space in layer.shape.dataspaces) if layer is not None else ()
        reader = ConstraintReader(self.values, dataspaces)
        if layer is None:
            root.warn("there is no 'problem', so constraints and sparse options of nodes are not read")
        self.architecture["find"] = self._find
        nodes = self.sections.listed("architecture", "nodes")
        if not self.with_constraints:
            layer = None
        tree = TreeReader(
            self.values, reader if layer is not None else None, self.nodes, is_cimloop=self.is_cimloop
        )
        branch = tree.read(root, nodes, self.scope)
        leaves = branch.leaves()
        if layer is None:
            return flatten(leaves, None), []
        by_name = {leaf.name: leaf for leaf in leaves}
        self._attach_listed(by_name, reader)
        sparse = self._sparse(by_name)
        for constraint in (c for leaf in leaves for c in leaf.constraints.values()):
            if constraint.counts.get("remainders") and not for_search:
                raise constraint.node.error("'remainders' is not supported", "remainders")
        expand(leaves, layer)
        attach_dataspaces(branch, layer)
        return flatten(leaves, layer), sparse

    def _find(self, name: str) -> Any:
        if name not in self.nodes:
            raise LookupError(f"no node '{name}' before this place")
        return self.nodes[name]

    def _attach_listed(self, leaves: dict[str, Leaf], reader: ConstraintReader) -> None:
        """Join listed constraints and the directives of a mapping with those of their nodes."""
        listed = self.sections.listed("constraints", "targets")
        for part in self.sections.parts.get("constraints", ()):
            for key in part.data:
                if key not in ("version", "targets"):
                    raise part.error(f"unknown key '{key}'", key, near(key, ("version", "targets")))
        for node in [*listed, *(() if self.flat_mapping else self.sections.directives)]:
            leaf = self._target(node, leaves)
            kind = node.required(node.text("type"), "type")
            if kind == "max_overbooked_proportion":
                raise node.error("overbooking is not supported", "type")
            if kind not in TYPES:
                hint = (
                    "version 0.4 calls it 'dataspace'"
                    if kind in ("bypass", "datatype")
                    else near(kind, TYPES)
                )
                raise node.error(f"unknown type '{kind}'", "type", hint)
            found = reader.constraint(node, kind, self.scope)
            leaf.constraints.setdefault(kind, Constraint(node, kind)).join(found)

    def _target(self, node: Node, leaves: dict[str, Leaf]) -> Leaf:
        name = str(
            self.values.plain(node.required(node.text("target"), "target"), node, "target", self.scope)
        )
        plain = name.removeprefix("inter_").removesuffix(
            "_spatial"
        )  # the name of a fan-out in the flat architecture
        found = leaves.get(name) or (leaves.get(plain) if plain != name else None)
        if found is None:
            raise node.error(f"unknown node '{name}'", "target", near(name, leaves))
        return found

    def _sparse(self, leaves: dict[str, Leaf]) -> list[YamlMap]:
        """The sparse options of components, inline and listed ones joined."""
        found: dict[str, YamlMap] = {}
        places = [(leaf.name, leaf.sparse) for leaf in leaves.values() if leaf.sparse is not None]
        places += [(self._target(node, leaves).name, node) for node in
                   self.sections.listed("sparse_optimizations", "targets")]  # fmt: skip
        for name, node in places:
            if leaves[name].tag != "!Component":
                continue
            into = found.setdefault(name, mapping_of({"name": name}, node.data))
            for key, value in sparse_group(node, self.values, self.scope).items():
                part = key.replace("-", "_")
                if part == "target":
                    continue
                if part not in _SPARSE_PARTS:
                    raise node.error(f"unknown key '{key}'", key, near(key, _SPARSE_PARTS))
                into.lines.setdefault(part, node.data.lines[key])
                into[part] = _joined(into[part], value) if part in into else value
        return [group for group in found.values() if len(group) > 1]

    def _others(self) -> Files:
        """Return the sections that have the same meaning in both versions."""
        parts = self.sections.parts.get("components", ())
        found: Files = [(part.file, mapping_of({"components": part.data})) for part in parts]
        for section in ("ERT", "ART", "mapper", "mapspace"):
            node = self.sections.one(section)
            if node is None:
                continue
            inside = node.data
            if section == "mapper":
                inside = self._mapper(node)
            elif section in ("ERT", "ART"):
                inside = mapping_of({"version": 0.4, **inside}, inside)
            elif section == "mapspace" and set(inside) <= {"version"}:
                continue
            found.append((node.file, mapping_of({section: inside})))
        return found

    def _mapper(self, node: Node) -> YamlMap:
        values = {
            key: value if key in _TEXT_OPTIONS else self.values.plain(value, node, key, self.scope)
            for key, value in node.data.items() if value is not None
        }  # fmt: skip
        return mapping_of({**_MAPPER_DEFAULTS, **values}, node.data)


def _is_flat(directive: Node) -> bool:
    """Whether a directive of a mapping is one of version 0.3."""
    target = directive.get("target")
    of_fanout = isinstance(target, str) and target.startswith("inter_") and target.endswith("_spatial")
    return of_fanout or directive.get("type") in ("bypass", "datatype")


def _joined(a: Any, b: Any) -> Any:
    """Lists of options one after the other, formats likewise."""
    if isinstance(a, list) and isinstance(b, list):
        return [*a, *b]
    if isinstance(a, YamlMap) and isinstance(b, YamlMap):
        merged = mapping_of({**b, **a}, a)
        for key in a:
            if key in b and isinstance(a[key], list) and isinstance(b[key], list):
                merged[key] = [*a[key], *b[key]]
        return merged
    return b if a is None else a
