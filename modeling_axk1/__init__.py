"""A.X K1, the open release.

    from modeling_axk1 import AXK1Config, AXK1ForCausalLM

Importing this package makes transformers' Auto classes know "axk1" and "AXK1"; nothing heavy is imported before use.
"""

from typing import TYPE_CHECKING, Any

from modeling_axk1.registration import register

if TYPE_CHECKING:
    from modeling_axk1.model.configuration_axk1 import AXK1Config
    from modeling_axk1.model.modeling_axk1 import AXK1ForCausalLM, AXK1Model

__version__ = "0.1.0"
__all__ = ["AXK1Config", "AXK1ForCausalLM", "AXK1Model", "__version__"]

register()


def __getattr__(name: str) -> Any:
    if name == "AXK1Config":
        from modeling_axk1.model import configuration_axk1 as module
    elif name in __all__:
        from modeling_axk1.model import modeling_axk1 as module  # type: ignore[no-redef]
    else:
        raise AttributeError(f"module 'modeling_axk1' has no attribute {name!r}")
    return getattr(module, name)
