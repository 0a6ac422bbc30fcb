"""The networks of the folder `networks` in torch's own layers, and the adapter that builds them."""

import torch
from torch import nn

from isotune.adapters._torch.adapter import TorchAdapter, engines


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


class Gated(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.leaky = nn.Conv2d(3, 3, 1, bias=False), nn.LeakyReLU(0.3)
        self.second, self.gate = nn.Conv2d(3, 3, 1, bias=False), nn.Hardsigmoid()
        self.third, self.other = nn.Conv2d(3, 3, 1, bias=False), nn.Hardsigmoid()
        self.fourth = nn.Conv2d(3, 3, 1, bias=False)
        self.head = nn.Linear(3, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.gate(self.second(self.leaky(self.first(images))) / 16)
        return self.head(self.fourth(self.other(self.third(x))).mean((2, 3)))


class Bottleneck(nn.Module):
    """As torchvision's: no biases, the stride on the 3x3."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4)
        self.conv3, self.bn3 = nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8)
        self.downsample = nn.Sequential(nn.Conv2d(4, 8, 1, 2, bias=False), nn.BatchNorm2d(8))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        x = self.bn2(self.conv2(self.bn1(self.conv1(maps))))
        return self.downsample(maps) + self.bn3(self.conv3(x))


class Residual(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4), nn.MaxPool2d(3, 2, 1))
        self.block = Bottleneck()
        self.head = nn.Linear(8, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.block(self.stem(images)).mean((2, 3)))


class Gate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.gate = nn.Conv2d(4, 4, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        branch = self.bn(self.conv(maps))
        branch = branch * self.gate(branch.mean((2, 3), keepdim=True)).sigmoid()
        branch += maps
        return branch


class Projected(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.downsample = nn.Sequential(nn.Conv2d(4, 6, 1, 2, bias=False), nn.BatchNorm2d(6))
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return torch.add(self.downsample(maps), self.bn2(self.conv2(self.bn1(self.conv1(maps)).relu())))


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.dense = nn.LayerNorm(6, eps=1e-6), nn.Linear(6, 6)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps + self.dense(self.norm(maps.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


class Branched(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4))
        self.block1, self.block2, self.block3 = Gate(), Projected(), Dense()
        self.head = nn.Linear(6, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.block3(self.block2(self.block1(self.stem(images)))).mean((2, 3)))


class TwinAdapter(TorchAdapter):
    name = "twins"
    engines = engines("torchvision")

    def models(self):
        return ()

    def _network(self, name, checkpoint, size, options):
        networks = {"Tiny": Tiny, "Micro": Micro, "Residual": Residual, "Gated": Gated, "Branched": Branched}
        return networks[name](classes=3)

    def _classifier(self, net):
        return "head"

    def _input_scaling(self, name):
        return "minus-one-to-one"
