"""Reports as self-contained HTML files, with inline figures, from templates that extend `page.html.jinja`."""

from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def render(package: str, template: str, **values: Any) -> str:
    """Fill a template of `package` that extends `page.html.jinja`.

    Text is escaped. Values are those of the template; figures are made by `figure_style.inline_svg`.
    """
    loaders = [PackageLoader(name, ".") for name in (package, "sparsim.report")]
    environment = Environment(
        loader=ChoiceLoader(loaders), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined,
    )  # fmt: skip
    return environment.get_template(template).render(**values)
