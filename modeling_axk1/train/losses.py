"""Losses, functions of a model and a batch: pretraining, fine-tuning, distillation differ here and in the batches."""

from typing import Any

from torch import Tensor


def next_token_loss(model: Any, input_ids_BT: Tensor) -> Tensor:
    """Mean cross-entropy, in nats a token, of each token given those before it.

    While training, the model adds what its config weighs: the losses of multi-token prediction and of balance. They
    stand in its `forward`, so that whoever trains it with another trainer has them too.
    """
    return model(input_ids=input_ids_BT, labels=input_ids_BT, use_cache=False).loss
