"""Training loops in torch, watched, with the techniques as torch, torchvision and timm have them.

python in_torch.py FOLDER NAME...: a recording `FOLDER/NAME` of each loop named.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from timm.data import Mixup
from timm.layers import DropPath
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, OneCycleLR, SequentialLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchvision.ops import StochasticDepth
from torchvision.transforms import v2

import isotune

STEPS, BATCH, CLASSES, SIDE = 6, 16, 5, 16
STREAM = np.random.default_rng(0)
IMAGES = STREAM.integers(0, 256, (48, SIDE, SIDE, 3)).astype(np.float32)
LABELS = STREAM.integers(0, CLASSES, 48)


class Block(nn.Module):
    """A residual branch, left out at random."""

    def __init__(self, drop):
        super().__init__()
        self.branch = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.drop = drop

    def forward(self, x):
        return x + self.drop(self.branch(x))


class Functional(nn.Module):
    """Dropout that is no module."""

    def forward(self, x):
        return nn.functional.dropout(x, 0.2, self.training)


def network(*drops, behind=None):
    """drops: of residual branches. behind: before the classifier."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), *map(Block, drops), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), behind or nn.Identity(), nn.Linear(8, CLASSES),
    )  # fmt: skip
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


def train(folder, net=None, *, groups=None, passes=1, mix=None, mixer=None, average=None, clip=None, schedule=None):
    """mix(images, labels, step): of arrays. mixer(images, labels): a library's, of tensors. schedule(optimizer): what
    is called with the number of each step that was taken."""
    net = net or network()
    np.random.seed(0)  # timm's Mixup draws from it
    optimizer = torch.optim.SGD(groups(net) if groups else net.parameters(), lr=0.01, momentum=0.9)
    scheduled = schedule(optimizer) if schedule else None
    kept = average(net) if average else None
    with isotune.watch(net, optimizer, folder, steps=range(STEPS), statistics=0, steps_per_epoch=3) as watching:
        if kept is not None:
            watching.average(kept.module if isinstance(kept, ModelEmaV3) else kept)
        for step in range(STEPS):
            optimizer.zero_grad()
            for part in np.split((np.arange(BATCH) + BATCH * step) % len(IMAGES), passes):
                images, labels = IMAGES[part], np.eye(CLASSES, dtype=np.float32)[LABELS[part]]
                if mix:
                    images, labels = mix(images, labels, step)
                images, labels = (
                    torch.from_numpy(np.ascontiguousarray(each)) for each in (images.transpose(0, 3, 1, 2), labels)
                )
                if mixer:
                    images, labels = mixer(images, labels.argmax(1))
                watching.loss(nn.functional.cross_entropy(net(images), labels) / passes).backward()
            if clip:
                nn.utils.clip_grad_norm_(net.parameters(), clip)
            optimizer.step()
            if scheduled is not None:
                scheduled(step + 1)
            if kept is not None:
                (kept.update if isinstance(kept, ModelEmaV3) else kept.update_parameters)(net)


def rolled(images, labels, step):
    """One share a batch, each image with its neighbour."""
    share = np.float32(np.random.default_rng(step).beta(1.0, 1.0))
    return tuple(share * each + (1 - share) * np.roll(each, 1, 0) for each in (images, labels))


def by_timm(**how):
    return Mixup(num_classes=CLASSES, label_smoothing=0.1, **how)


def of_layers(net):
    """Half the rate for all but the classifier."""
    return [{"params": net[-1].parameters()}, {"params": net[:-1].parameters(), "lr": 0.005}]


def averaged(**how):
    return lambda net: AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9), **how)


# -- learning rates


def by_step(scheduler):
    """scheduler(optimizer): one of torch's, stepped with the optimizer."""
    return by_epoch(scheduler, 1)


def by_epoch(scheduler, steps=3):
    """Likewise, after each epoch of so many steps."""

    def scheduled(optimizer):
        made = scheduler(optimizer)
        return lambda taken: None if taken % steps else made.step()

    return scheduled


def by_update(**how):
    """timm's, as its train.py calls it with --sched-on-updates."""

    def scheduled(optimizer):
        made = CosineLRScheduler(optimizer, warmup_t=2, warmup_lr_init=1e-5, t_in_epochs=False, **how)
        made.step_update(0)
        return made.step_update

    return scheduled


def warmed_up(optimizer):
    both = [LinearLR(optimizer, 1 / 3, total_iters=2), CosineAnnealingLR(optimizer, STEPS - 2)]
    return SequentialLR(optimizer, both, milestones=[2])


def one_cycle(optimizer):
    return OneCycleLR(optimizer, 0.01, total_steps=STEPS, cycle_momentum=False)


LOOPS = {
    "plain": train,
    "AveragedModel": lambda folder: train(folder, average=averaged()),
    "AveragedModel with buffers": lambda folder: train(folder, average=averaged(use_buffers=True)),
    "mixup by hand": lambda folder: train(folder, mix=rolled),
    "timm's ModelEmaV3": lambda folder: train(folder, average=lambda net: ModelEmaV3(net, decay=0.9)),
    "timm's Mixup": lambda folder: train(folder, mixer=by_timm(mixup_alpha=0.8)),
    "timm's Mixup, mode elem": lambda folder: train(folder, mixer=by_timm(mixup_alpha=0.8, mode="elem")),
    "timm's Mixup with cutmix_alpha": lambda folder: train(folder, mixer=by_timm(mixup_alpha=0.8, cutmix_alpha=1.0)),
    "torchvision's MixUp": lambda folder: train(folder, mixer=v2.MixUp(num_classes=CLASSES)),
    "torchvision's CutMix": lambda folder: train(folder, mixer=v2.CutMix(num_classes=CLASSES)),
    "timm's DropPath": lambda folder: train(folder, network(*(DropPath(p) for p in (0.05, 0.1)))),
    "timm's DropPath without scaling": lambda folder: train(
        folder, network(*(DropPath(p, scale_by_keep=False) for p in (0.05, 0.1)))
    ),
    "Dropout": lambda folder: train(folder, network(behind=nn.Dropout(0.2))),
    "functional.dropout": lambda folder: train(folder, network(behind=Functional())),
    "StochasticDepth": lambda folder: train(folder, network(*(StochasticDepth(p, "row") for p in (0.05, 0.1)))),
    "StochasticDepth of a batch": lambda folder: train(
        folder, network(*(StochasticDepth(p, "batch") for p in (0.05, 0.1)))
    ),
    "passes": lambda folder: train(folder, passes=2),
    "clip_grad_norm_": lambda folder: train(folder, clip=0.05),
    "groups": lambda folder: train(folder, groups=of_layers),
    "LinearLR, then CosineAnnealingLR": lambda folder: train(folder, schedule=by_step(warmed_up)),
    "CosineAnnealingLR by epoch": lambda folder: train(
        folder, schedule=by_epoch(lambda optimizer: CosineAnnealingLR(optimizer, 2))
    ),
    "OneCycleLR": lambda folder: train(folder, schedule=by_step(one_cycle)),
    "timm's CosineLRScheduler": lambda folder: train(folder, schedule=by_update(t_initial=STEPS)),
    "timm's CosineLRScheduler with warmup_prefix": lambda folder: train(
        folder, schedule=by_update(t_initial=STEPS - 2, warmup_prefix=True)
    ),
}


if __name__ == "__main__":
    for name in sys.argv[2:]:
        LOOPS[name](Path(sys.argv[1]) / name)
