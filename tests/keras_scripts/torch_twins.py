"""The networks of tiny.py and micro.py in torch's own layers, registered in the order in which they run."""

import torch
from torch import nn


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of an NCHW map."""

    def forward(self, maps):
        return super().forward(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Tiny(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.GELU())
        self.block1 = nn.Sequential(nn.Conv2d(4, 8, 5, 2, 2, groups=4, bias=False), nn.BatchNorm2d(8))
        self.block2 = nn.Sequential(
            nn.AvgPool2d(3, 1, padding=1),
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
            nn.Conv2d(8, 6, 1),
            LayerNorm2d(6, eps=1e-6),
        )
        self.head = nn.Linear(6, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.block2(self.block1(self.stem(images))).mean((2, 3)))


class Micro(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.stem(images).mean((2, 3)))


TWINS = {"Tiny": Tiny, "Micro": Micro}
