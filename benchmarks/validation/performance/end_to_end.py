"""From a folder of images to an accuracy: `isotune run` against the script in benchmarks/by_hand.py, whole commands.

The folder holds scikit-learn's digits as JPEG files of 160 pixels, 1,000 for training and 797 for testing. Every
command starts from nothing but the packages and the checkpoint: isotune's cache is a new one each time.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from isotune import cache
from isotune.workers.disturbance import Watch, wait_for_quiet

HERE = Path(__file__).parent
BY_HAND = HERE.parents[1] / "by_hand.py"
MODELS = {"torchvision": "mobilenet_v2", "timm": "mobilenetv2_100", "keras": "MobileNetV2"}
SUFFIX = {"torchvision": "pth", "timm": "pth", "keras": "weights.h5"}
PIXELS = 160


def folder_of_images(place: Path, most: int | None, *, train: int = 1000, test: int = 797) -> Path:
    """train/CLASS/NUMBER.jpg and test/; most: images of a part; train, test: of each."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * 255 / 16).astype(np.uint8)
    for number, (image, label) in enumerate(zip(pixels, digits.target, strict=True)):
        part, rank = ("train", number) if number < 1000 else ("test", number - 1000)
        if rank < min(most or len(pixels), train if part == "train" else test):
            file = place / part / str(label) / f"{number:04}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).convert("RGB").resize((PIXELS, PIXELS)).save(file, quality=92)
    return place


def isotune(*arguments: str, **settings: str) -> str:
    command = [str(Path(sys.executable).with_name("isotune")), *arguments]
    return _ended(command, settings)


def _ended(command: list[str], settings: dict[str, str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | settings)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    return done.stdout


def sides(library: str, task: str, place: Path, most: int | None) -> dict[str, Any]:
    """{name: runs the command, returns the accuracy}."""
    model = f"{library}:{MODELS[library]}"
    weights = place / f"{library}.{SUFFIX[library]}"
    as_is = ("--checkpoint", "offline", "--no-classifier", "--size", "96x96")
    isotune("transfer", model, model, *as_is, "-o", str(weights))
    images = folder_of_images(place / "images", most)

    def ours(*layout: str) -> float:
        with tempfile.TemporaryDirectory(dir=place) as fresh:
            for kept in ("checkpoints", "catalogue"):  # made once for each version of a package
                if (cache.root() / kept).is_dir():
                    shutil.copytree(cache.root() / kept, Path(fresh) / "cache" / kept)
            what = ("--models", model, "--datasets", f"imagefolder:{images}", "--protocols", str(HERE / f"{task}.toml"))
            how = ("--seeds", "1", "--conventions", "native", "--store", f"{fresh}/store", *layout)
            isotune("run", *what, *how, ISOTUNE_CACHE=f"{fresh}/cache")
            (record,) = Path(fresh).glob("store/**/record.json")
            return float(json.loads(record.read_text(encoding="utf-8"))["metrics"]["accuracy"])

    def by_hand(*arguments: str) -> float:
        command = [sys.executable, str(BY_HAND), library, task, str(images), str(weights), *arguments]
        return float(json.loads(_ended(command, {}).splitlines()[-1])["accuracy"])

    made = {"isotune | float32": ours, "by hand | float32": by_hand}
    if library != "keras":
        made["isotune | float32 channels_last"] = lambda: ours("--layout", "channels_last")
    return made


def measure(asked: dict[str, Any]) -> dict[str, Any]:
    """As row.measure gives it, a whole command in the place of a step; with "accuracies"."""
    with tempfile.TemporaryDirectory() as place:
        running = sides(asked["library"], asked["task"], Path(place), asked.get("images"))
        found: dict[str, dict[str, Any]] = {
            name: {"seconds": [], "disturbances": [], "accuracies": []} for name in running
        }
        for turn in range(asked["rounds"]):
            for name in list(running) if turn % 2 == 0 else reversed(list(running)):
                print(f"  {name}", file=sys.stderr, flush=True)
                wait_for_quiet(3.0)
                with Watch(children=True) as watch:
                    accuracy = running[name]()
                found[name]["seconds"].append(watch.seconds)
                found[name]["disturbances"].append(watch.seen.model_dump(mode="json"))
                found[name]["accuracies"].append(accuracy)
    return {"sides": found, "failed": {}}


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
