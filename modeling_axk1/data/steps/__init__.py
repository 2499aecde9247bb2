"""The steps of a recipe, one file each. A recipe names them in order, with their parameters."""

from collections.abc import Callable

from modeling_axk1.data.document import Step
from modeling_axk1.data.steps.decontaminate import decontaminate
from modeling_axk1.data.steps.language import language
from modeling_axk1.data.steps.length import length
from modeling_axk1.data.steps.normalise import normalise
from modeling_axk1.data.steps.pii import pii
from modeling_axk1.data.steps.quality import quality

# The steps a recipe may name under [[steps]], and the type of each parameter. The licence gate is no choice: every
# build begins with it.
STEPS: dict[str, tuple[Callable[..., Step], dict[str, type]]] = {
    "normalise": (normalise, {}),
    "language": (language, {}),
    "quality": (quality, {}),
    "pii": (pii, {}),
    "length": (length, {"min_bytes": int, "max_line_bytes": int}),
    "decontaminate": (decontaminate, {"index": str}),
}
