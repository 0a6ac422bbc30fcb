"""The network for CIFAR-10 of ConvNetJS's demonstration (karpathy/convnetjs, demo/cifar10.html), and what its page
makes of it: the mean of the probabilities over six views of an image, each moved by up to two pixels across and down
and perhaps mirrored, drawn anew for each image. Here are the mean over all fifty such views, and over six of them that
were drawn once.
"""

import torch
from torch import nn
from torch.nn import functional

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
INPUT_SCALING = "mean-std(0.5,0.5,0.5;1,1,1)"  # x / 255 - 0.5
SIX = ((-2, 1, False), (0, 0, True), (1, -1, True), (2, 2, False), (-1, -2, True), (0, 1, False))  # across, down
ALL = tuple((x, y, mirrored) for x in range(-2, 3) for y in range(-2, 3) for mirrored in (False, True))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        for number, (inside, outside) in enumerate(((3, 16), (16, 20), (20, 20))):
            self.add_module(str(number), nn.Conv2d(inside, outside, 5, padding=2))
        self.add_module("3", nn.Linear(320, 10))

    def forward(self, images):
        *convolutions, dense = self.children()
        for convolution in convolutions:
            images = functional.max_pool2d(functional.relu(convolution(images)), 2)
        return dense(images.flatten(1))


class OverViews(Network):
    def __init__(self, views):
        super().__init__()
        self.views = views

    def forward(self, images):
        shares = [super(OverViews, self).forward(_seen(images, *view)).softmax(1) for view in self.views]
        return torch.log(torch.stack(shares).mean(0))


def _seen(images, across, down, mirrored):
    """Moved, and zero where there was nothing."""
    moved = functional.pad(images, (across, -across, down, -down))
    return moved.flip(3) if mirrored else moved


def single():
    return Network()


def six_views():
    return OverViews(SIX)


def all_views():
    return OverViews(ALL)
