"""timm's names of architectures for which isotune has another, neutral one (torchvision's).

Only networks with the same parameters are named alike: timm's regnetx_004 has fewer than torchvision's, its
regnetx_004_tv as many. `tf_` models are the same networks with TensorFlow's padding and BatchNorm constants, which
are conventions.
"""

from __future__ import annotations

_REGNET_X = {
    "004_tv": "400mf", "008": "800mf", "016": "1_6gf", "032": "3_2gf", "080": "8gf", "160": "16gf", "320": "32gf",
}  # fmt: skip
_REGNET_Y = {
    "004": "400mf", "008_tv": "800mf", "016": "1_6gf", "032": "3_2gf", "080_tv": "8gf", "160": "16gf", "320": "32gf",
    "1280": "128gf",
}  # fmt: skip

ARCHITECTURES = {
    "mobilenetv2_100": "mobilenet_v2",
    "mobilenetv3_large_100": "mobilenet_v3_large",
    "mobilenetv3_small_100": "mobilenet_v3_small",
    "tf_mobilenetv3_large_100": "mobilenet_v3_large",
    "tf_mobilenetv3_small_100": "mobilenet_v3_small",
    "legacy_xception": "xception",
    "mnasnet_050": "mnasnet0_5",
    "mnasnet_075": "mnasnet0_75",
    "mnasnet_100": "mnasnet1_0",
    "mnasnet_140": "mnasnet1_4",
    **{f"tf_efficientnet_b{i}": f"efficientnet_b{i}" for i in range(8)},
    **{f"tf_efficientnet_lite{i}": f"efficientnet_lite{i}" for i in range(5)},
    **{f"tf_efficientnetv2_{size}": f"efficientnet_v2_{size}" for size in "sml"},
    **{f"regnetx_{short}": f"regnet_x_{flops}" for short, flops in _REGNET_X.items()},
    **{f"regnety_{short}": f"regnet_y_{flops}" for short, flops in _REGNET_Y.items()},
    "vit_base_patch16_224": "vit_b_16",
    "vit_base_patch32_224": "vit_b_32",
    "vit_large_patch16_224": "vit_l_16",
    "vit_large_patch32_224": "vit_l_32",
    "vit_huge_patch14_224": "vit_h_14",
    "swin_tiny_patch4_window7_224": "swin_t",
    "swin_small_patch4_window7_224": "swin_s",
    "swin_base_patch4_window7_224": "swin_b",
    "swinv2_tiny_window8_256": "swin_v2_t",
    "swinv2_small_window8_256": "swin_v2_s",
    "swinv2_base_window8_256": "swin_v2_b",
}
