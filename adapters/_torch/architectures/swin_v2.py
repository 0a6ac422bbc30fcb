"""torchvision's SwinV2 with the biases of its attention where timm has them.

Keys have no bias in SwinV2 (Liu et al. 2022). torchvision keeps one vector for queries, keys and values in `qkv.bias`
and sets its middle third to zero in every pass (torchvision/models/swin_transformer.py); timm keeps `q_bias` and
`v_bias` (timm/models/swin_transformer_v2.py). Here they are two parameters as well, so that a tensor is the same in
both: in a state dict they are torchvision's one again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.swin_transformer import ShiftedWindowAttentionV2, shifted_window_attention


def separate_biases(net: nn.Module) -> None:
    """Give every SwinV2 attention of `net` the parameters `q_bias` and `v_bias` in place of `qkv.bias`."""
    attentions: list[Any] = [module for module in net.modules() if type(module) is ShiftedWindowAttentionV2]
    for attention in attentions:
        if attention.qkv.bias is not None:
            query, _, value = attention.qkv.bias.detach().clone().chunk(3)
            attention.qkv.register_parameter("bias", None)
            attention.q_bias, attention.v_bias = nn.Parameter(query), nn.Parameter(value)
            attention.__class__ = _Attention


class _Attention(ShiftedWindowAttentionV2):  # type: ignore[misc]
    """As torchvision's, but for where its biases are."""

    def forward(self, x: Tensor) -> Tensor:
        return shifted_window_attention(  # type: ignore[no-any-return]
            x, self.qkv.weight, self.proj.weight, self.get_relative_position_bias(), self.window_size, self.num_heads,
            shift_size=self.shift_size, attention_dropout=self.attention_dropout, dropout=self.dropout,
            qkv_bias=self._joined(self.q_bias, self.v_bias), proj_bias=self.proj.bias, logit_scale=self.logit_scale,
            training=self.training,
        )  # fmt: skip

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        state = super().state_dict(*args, **kwargs)
        prefix = kwargs.get("prefix", "")
        query, value = (state.pop(f"{prefix}{name}") for name in ("q_bias", "v_bias"))
        state[f"{prefix}qkv.bias"] = self._joined(query, value)
        return state

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any, **kwargs: Any) -> None:
        if (bias := state_dict.pop(f"{prefix}qkv.bias", None)) is not None:
            state_dict[f"{prefix}q_bias"], _, state_dict[f"{prefix}v_bias"] = bias.chunk(3)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    @staticmethod
    def _joined(query: Tensor, value: Tensor) -> Tensor:
        return torch.cat((query, torch.zeros_like(query), value))
