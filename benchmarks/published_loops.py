"""Loops that the libraries' authors publish beside their packages, as sides of a comparison.

They are no part of the packages, and so the user brings them, at the version at hand:

- timm: the folder of `benchmark.py` (github.com/huggingface/pytorch-image-models). Its runners are called as `--bench
  train` and `--bench inference` call them; the seconds are those that it reports itself.
- torchvision: `references/classification` (github.com/pytorch/vision). Its `train_one_epoch` and `evaluate` run over
  batches that are decoded and scaled already.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from bare_loop import CLASSES, MODELS, MOMENTUM, RATE, Question, Run, torch_format, torch_inputs, torch_network

from isotune.protocols import Mode

_AT_LEAST = 5  # steps: benchmark.py logs every fifth part


def timm_benchmark(folder: Path, network: str, question: Question, images: np.ndarray, mode: Mode) -> Run:
    """`benchmark.py`: torch tensors drawn at random, its own loss, timm's SGD. The run returns seconds a step."""
    module = _imported(folder, "benchmark")
    logging.disable(logging.INFO)
    kind = module.TrainBenchmarkRunner if question == "training" else module.InferenceBenchmarkRunner
    runner = kind(
        model_name=MODELS["timm"][network][0],
        device="cpu",
        num_classes=CLASSES,
        batch_size=len(images),
        input_size=(3, *images.shape[1:3]),
        channels_last=mode.layout == "channels_last",
        torchcompile="inductor" if mode.compiled else None,
        num_warm_iter=0,
    )

    def run(steps: int) -> float:
        runner.num_bench_iter = max(steps, _AT_LEAST)
        runner.log_freq = runner.num_bench_iter
        return len(images) / float(runner.run()["samples_per_sec"])

    return run


def torchvision_reference(
    folder: Path, network: str, question: Question, images: np.ndarray, labels: np.ndarray, mode: Mode
) -> Run:
    """`train.py`: an epoch over so many batches, with the accuracies and the log that it keeps."""
    import torch

    module = _imported(folder, "train")
    scaled, targets = torch_inputs(images, labels, mode)
    model = torch_network("torchvision", network).to(memory_format=torch_format(mode))
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM, nesterov=True)
    criterion = torch.nn.CrossEntropyLoss()
    settings = argparse.Namespace(print_freq=10, clip_grad_norm=None, model_ema_steps=32, lr_warmup_epochs=0, amp=False)
    cpu = torch.device("cpu")

    def run(steps: int) -> None:
        batches = _Batches([(scaled, targets)] * steps)
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it asks for CUDA's autocast by its old name
            if question == "training":
                module.train_one_epoch(model, criterion, optimizer, batches, cpu, 0, settings)
            else:
                module.evaluate(model, criterion, batches, cpu)

    return run


class _Batches(list):
    """Stands for a DataLoader; `evaluate` compares the number of images with that of its data set."""

    @property
    def dataset(self) -> range:
        return range(sum(len(targets) for _, targets in self))


def _imported(folder: Path, name: str) -> Any:
    """A script of a folder, with those beside it."""
    if not (folder / f"{name}.py").is_file():
        raise SystemExit(f"{folder} holds no {name}.py")
    sys.path.insert(0, str(folder.resolve()))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)
