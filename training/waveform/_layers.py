"""The one layer ultralytics does not have; imports torch, so it is imported inside functions."""

from __future__ import annotations

import torch


class SinhDistance(torch.nn.Module):
    """Turns the box branch's output into distances in strides: ``sinh`` of it.

    Linear near zero, signs included, and exponential beyond, so a step of the optimiser changes a
    spike of one stride and a spindle of seventy by the same share. With plain linear distances the
    wide classes rule the branch and every narrow box keeps the width it was initialised with.
    """

    LIMIT = 6.0
    """Bounds the distance to 200 strides, beyond any segment."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return distances of the same shape."""
        values = values.clamp(-self.LIMIT, self.LIMIT)
        if torch.onnx.is_in_onnx_export():  # the exporter knows no sinh
            return 0.5 * (values.exp() - (-values).exp())
        return torch.sinh(values)
