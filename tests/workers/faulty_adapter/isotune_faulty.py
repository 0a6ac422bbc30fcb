"""An adapter whose models go wrong in one way each, to see that nothing else is lost."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

from isotune_example import ExampleAdapter, ExampleModel

WAYS = (
    "dies",
    "raises",
    "prints",
    "works",
    "is-killed",
    "fills-memory",
    "waits",
    "computes",
    "is-not-built",
    "dies-once",
    "waits-once",
)


class FaultyAdapter(ExampleAdapter):
    name = "faulty"

    def models(self):
        (info,) = super().models()
        return [type(info)(way, info.architecture, info.checkpoints) for way in WAYS]

    def native_conventions(self, name, options=None):
        return ExampleAdapter().native_conventions("random-features")

    def build(self, name, **asked):
        if name == "is-not-built":
            raise RuntimeError("a model that is not built")
        if name == "dies-once" and not Path("died").exists():
            Path("died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        model = ExampleAdapter().build("random-features", **asked)
        model.__class__ = FaultyModel
        model.way = name
        return model


class FaultyModel(ExampleModel):
    def logits(self, images):
        if self.way == "dies":
            print("out of luck", file=sys.stderr, flush=True)
            os._exit(7)
        if self.way == "raises":
            raise ValueError("a model that\nraises")
        if self.way == "is-killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.way == "fills-memory":
            raise MemoryError("cannot allocate 64 GiB")
        if self.way == "waits":
            Path("waits").touch()
            time.sleep(60)
        if self.way == "waits-once" and not Path("waited").exists():
            Path("waited").touch()
            time.sleep(600)
        if self.way == "computes":
            Path("computes").touch()
            re.match("(a+)+$", "a" * 60 + "b")  # for years, and no other thread of Python runs meanwhile
        if self.way == "prints":
            print("noise on standard output")
            os.system("echo noise of a child process")
        return super().logits(images)
