"""The residual networks that He et al. 2016 (https://arxiv.org/abs/1512.03385, section 4.2) train on CIFAR-10: 6n+2
layers, with shortcuts without parameters (option A). Named as akamaster/pytorch_resnet_cifar10 names its tensors."""

import torch
from torch import nn
from torch.nn import functional

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
INPUT_SCALING = "mean-std"  # ImageNet's, with which they were trained (its trainer.py)


class Block(nn.Module):
    def __init__(self, inside, outside, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.stride, self.more = stride, outside - inside

    def forward(self, images):
        through = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(images)))))
        if self.more:  # every other pixel, and zeros for the channels that there are not
            half = self.more // 2
            images = functional.pad(images[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, half))
        return functional.relu(through + images)


class ResNet(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(Block(16, 16, 1) for _ in range(blocks)))
        self.layer2 = nn.Sequential(Block(16, 32, 2), *(Block(32, 32, 1) for _ in range(blocks - 1)))
        self.layer3 = nn.Sequential(Block(32, 64, 2), *(Block(64, 64, 1) for _ in range(blocks - 1)))
        self.linear = nn.Linear(64, 10)

    def forward(self, images):
        first = functional.relu(self.bn1(self.conv1(images)))
        last = self.layer3(self.layer2(self.layer1(first)))
        return self.linear(torch.flatten(functional.adaptive_avg_pool2d(last, 1), 1))


def resnet20():
    return ResNet(3)


def resnet32():
    return ResNet(5)


def resnet44():
    return ResNet(7)


def resnet56():
    return ResNet(9)
