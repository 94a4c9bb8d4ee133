"""Pruning in the loops of other libraries, each of which is imported when its callback is first used.

LightningPruning     a callback of `lightning.Trainer`
TransformersPruning  a callback of `transformers.Trainer`
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gmp.integrations.lightning_callback import LightningPruning
    from gmp.integrations.transformers_callback import TransformersPruning

__all__ = ["LightningPruning", "TransformersPruning"]


def __getattr__(name: str) -> Any:
    if name == "LightningPruning":
        from gmp.integrations.lightning_callback import LightningPruning

        return LightningPruning
    if name == "TransformersPruning":
        from gmp.integrations.transformers_callback import TransformersPruning

        return TransformersPruning
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
