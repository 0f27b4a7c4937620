"""The layers ultralytics does not have; imports torch, so it is imported inside functions."""

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


class MixRows(torch.nn.Module):
    """Adds to every row a weighted sum of all rows, with weights of its own for each image channel.

    A spatial filter, as a field over the head is seen by: raster neighbours are not neighbours on
    the head, and a convolution over rows would need many layers to bring F3 and C3 together. Starts
    near zero; its bias tells rows apart.
    """

    def __init__(self, n_channels: int, n_rows: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(n_channels, n_rows, n_rows) * 0.02)
        self.bias = torch.nn.Parameter(torch.zeros(n_channels, n_rows, 1))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return values of the same shape, (n, n_channels, n_rows, n_columns)."""
        return values + torch.matmul(self.weight, values) + self.bias
