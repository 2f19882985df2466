"""Muon: an optimizer for matrices with nearly orthogonal updates.

Input: the gradients of two-dimensional parameters. Output: updated parameters, in place.

Unlike `torch.optim.Muon`, this one computes all matrices of one shape at once, and in float32 on
processors without bfloat16 arithmetic, where float32 takes a quarter of the time.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

# The quintic iteration of Keller Jordan: moves all singular values towards 1 in five rounds.
ROUNDS = 5
A, B, C = 3.4445, -4.7750, 2.0315


def orthogonalise(matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """Return approximately U·Vᵀ of the SVD U·S·Vᵀ of each matrix of a stack (n, rows, columns)."""
    x: Tensor = matrices.to(dtype)
    tall = x.shape[1] > x.shape[2]
    if tall:  # the products below are of the shorter side
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = A * x + (B * gram + C * gram @ gram) @ x
    if tall:
        x = x.mT
    return x.to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum; its updates have the size of AdamW's, so both share a rate."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.05,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": weight_decay})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in by_shape.items():
                updates = torch.stack([self._momentum(p, group["momentum"]) for p in parameters])
                updates = orthogonalise(updates, self.dtype)
                # The root-mean-square of an orthogonal matrix is 1/sqrt(longer side); that of
                # AdamW's updates is typically 0.2.
                size = 0.2 * max(shape) ** 0.5
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["decay"])
                    parameter.add_(update, alpha=-group["lr"] * size)

    def _momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        """Return the gradient with Nesterov momentum."""
        assert parameter.grad is not None
        state = self.state[parameter]
        if "average" not in state:
            state["average"] = torch.zeros_like(parameter)
        average: Tensor = state["average"]
        average.lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(average, momentum)
