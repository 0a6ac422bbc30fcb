"""LeNet-5 for one channel of 32 pixels, with ReLU and max pooling, as csinva/gan-vae-pretrained-pytorch trains it on
MNIST resized to 32 pixels. Grey images have three equal channels here; the network takes the first."""

from collections import OrderedDict

from torch import nn

CLASSES = [str(digit) for digit in range(10)]
INPUT_SCALING = "unit"  # ToTensor alone


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.convnet = nn.Sequential(
            OrderedDict(
                c1=nn.Conv2d(1, 6, 5),
                relu1=nn.ReLU(),
                s2=nn.MaxPool2d(2),
                c3=nn.Conv2d(6, 16, 5),
                relu3=nn.ReLU(),
                s4=nn.MaxPool2d(2),
                c5=nn.Conv2d(16, 120, 5),
                relu5=nn.ReLU(),
            )
        )
        self.fc = nn.Sequential(OrderedDict(f6=nn.Linear(120, 84), relu6=nn.ReLU(), f7=nn.Linear(84, 10)))

    def forward(self, images):
        return self.fc(self.convnet(images[:, :1]).flatten(1))


def make():
    return LeNet()
