"""A small network with a residual block, written in PyTorch: what `plain_keras.py` is a port of."""

from torch import nn


def normed(*convolution, **asked):
    return nn.Sequential(nn.Conv2d(*convolution, bias=False, **asked), nn.BatchNorm2d(convolution[1]))


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = normed(3, 8, 3, stride=2, padding=1)
        self.depthwise = normed(8, 8, 3, stride=2, padding=1, groups=8)
        self.widen = normed(8, 16, 1)
        self.inside = normed(16, 16, 3, padding=1)
        self.classifier = nn.Linear(16, 10)

    def forward(self, images):
        x = self.stem(images).relu()
        x = self.widen(nn.functional.relu6(self.depthwise(x))).relu()
        x = (x + self.inside(x)).relu()
        return self.classifier(x.mean((2, 3)))


def make():
    return Plain()


class Layered(nn.Module):
    """As a ConvNeXt: patches, LayerNorm, a block of dense layers."""

    def __init__(self, epsilon):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.first = nn.LayerNorm(8, eps=epsilon)
        self.block = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.last = nn.LayerNorm(8, eps=epsilon)
        self.classifier = nn.Linear(8, 10)

    def forward(self, images):
        x = self.first(self.patches(images).permute(0, 2, 3, 1))
        return self.classifier(self.last((x + self.block(x)).mean((1, 2))))


def layered(epsilon=1e-6):
    return Layered(epsilon)


class Upsampled(nn.Module):
    """A transposed convolution, and a dense layer that reads a whole map."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, stride=4)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.hidden = nn.Linear(6 * 16 * 16, 12)
        self.classifier = nn.Linear(12, 10)

    def forward(self, images):
        x = self.up(self.down(images).relu())
        return self.classifier(self.hidden(nn.functional.relu(x.flatten(1))))


def upsampled():
    return Upsampled()
