"""An adapter whose models go wrong in one way each, to see that nothing else is lost."""

from __future__ import annotations

import os
import sys

from isotune_example import ExampleAdapter, ExampleModel

WAYS = ("dies", "raises", "prints", "works")


class FaultyAdapter(ExampleAdapter):
    name = "faulty"

    def models(self):
        (info,) = super().models()
        return [type(info)(way, info.architecture, info.checkpoints) for way in WAYS]

    def native_conventions(self, name):
        return ExampleAdapter().native_conventions("random-features")

    def build(self, name, **asked):
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
        if self.way == "prints":
            print("noise on standard output")
            os.system("echo noise of a child process")
        return super().logits(images)
