"""The networks for Fashion-MNIST of NvsYashwanth/Fashion-MNIST-Image-Classification, as its README describes them.
Until 2020-08-19 the dense one had sigmoids in the place of ReLU. Grey images have three equal channels here; the
networks take the first."""

import torch
from torch import nn
from torch.nn import functional

CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
INPUT_SCALING = "unit"  # ToTensor alone


class Dense(nn.Module):
    def __init__(self, activation):
        super().__init__()
        self.fc1, self.fc2, self.out = nn.Linear(784, 512), nn.Linear(512, 256), nn.Linear(256, 10)
        self.activation = activation

    def forward(self, images):
        return self.out(self.activation(self.fc2(self.activation(self.fc1(images[:, :1].flatten(1))))))


class Convolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.fc1, self.fc2, self.out = nn.Linear(32 * 7 * 7, 512), nn.Linear(512, 256), nn.Linear(256, 10)

    def forward(self, images):
        first = functional.max_pool2d(functional.relu(self.conv1(images[:, :1])), 2)
        second = functional.max_pool2d(functional.relu(self.conv2(first)), 2)
        return self.out(functional.relu(self.fc2(functional.relu(self.fc1(second.flatten(1))))))


def dense():
    return Dense(functional.relu)


def dense_with_sigmoids():
    return Dense(torch.sigmoid)


def convolutions():
    return Convolutions()
