"""Teach transformers' Auto classes "axk1" (today's model_type) and "AXK1" (that of the January 2026 upload).

Importing transformers' Auto classes takes seconds, importing this package must not: so where they are not loaded yet,
an import hook waits for them and registers when they come. Importing `modeling_axk1` alone stays a matter of
milliseconds, and `AutoModelForCausalLM` knows the model however early or late it is imported.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

_OUR_MODEL = "modeling_axk1.model.modeling_axk1"
_AUTO_CONFIG = "transformers.models.auto.configuration_auto"
_AUTO_MODEL = "transformers.models.auto.modeling_auto"
_LAYERS = "transformers.modeling_layers"


def register() -> None:
    """Register now with whichever Auto module is loaded, and with the others as soon as they are."""
    waiting = {
        _AUTO_CONFIG: _register_config,
        _AUTO_MODEL: _import_our_model_unless_layers_come,
        _LAYERS: _import_our_model,
        _OUR_MODEL: _register_models,
    }
    sys.meta_path.insert(0, _AfterImport(waiting))
    for name in (_AUTO_CONFIG, _AUTO_MODEL):
        if name in sys.modules:
            waiting.pop(name)()


def _register_config() -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    from modeling_axk1.model.configuration_axk1 import AXK1Config

    # Not AutoConfig.register, which refuses a second name for a class: both names read into one AXK1Config.
    CONFIG_MAPPING.register("axk1", AXK1Config, exist_ok=True)
    CONFIG_MAPPING.register("AXK1", AXK1Config, exist_ok=True)


def _import_our_model() -> None:
    # Registration follows when that import is through: at once, or, where our own import is what brought the Auto
    # classes in (transformers 5.15 does so), at its end.
    importlib.import_module(_OUR_MODEL)


def _import_our_model_unless_layers_come() -> None:
    # Whichever model is imported first brings in transformers' layers, and they the Auto classes, before they are
    # whole themselves. Our model needs them whole: then it is their turn to import it.
    layers = sys.modules.get(_LAYERS)
    if not (layers and getattr(layers.__spec__, "_initializing", False)):
        _import_our_model()


def _register_models() -> None:
    from transformers.models.auto import modeling_auto as auto

    from modeling_axk1.model import modeling_axk1 as ours
    from modeling_axk1.model.configuration_axk1 import AXK1Config

    auto.AutoModel.register(AXK1Config, ours.AXK1Model, exist_ok=True)
    auto.AutoModelForCausalLM.register(AXK1Config, ours.AXK1ForCausalLM, exist_ok=True)
    for_sequence, for_token = ours.AXK1ForSequenceClassification, ours.AXK1ForTokenClassification
    auto.AutoModelForSequenceClassification.register(AXK1Config, for_sequence, exist_ok=True)
    auto.AutoModelForTokenClassification.register(AXK1Config, for_token, exist_ok=True)


class _AfterImport(importlib.abc.MetaPathFinder):
    """Run a function once right after a module was imported; leave finding and loading to the others."""

    def __init__(self, waiting: dict[str, Callable[[], None]]) -> None:
        self.waiting = waiting

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        do = self.waiting.pop(fullname, None)
        if do is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                do()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
