"""A checkpoint's own classifier in torchvision, timm and Keras: the same predictions."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isotune import data
from isotune.executors import Local
from isotune.protocols import Mode
from isotune.runs.driver import Driver
from isotune.runs.planning import Matrix, plan
from isotune.runs.preprocessing_costs import costs
from isotune.runs.store import Store
from isotune.workers.process import Workers

MODELS = (
    "torchvision:mobilenet_v2:width_mult=0.35",
    "timm:mobilenetv2_100:channel_multiplier=0.35",
    "keras:MobileNetV2:alpha=0.35",
)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SYNSETS = tuple(data.synsets()[place] for place in range(5, 1000, 90))
OWN = """
name = "own"
title = "Own"
source = "test"
[own_classifier]
input = "protocol"
[input]
size = 64
resize = 72
interpolation = "bicubic"
[[own_classifier.beside]]
name = "plain"
conventions = { resize = "plain" }
[[own_classifier.beside]]
name = "squash"
input = { resize = "squash" }
[[own_classifier.beside]]
name = "torch-padding"
conventions = { stride2_padding = "symmetric" }
[[own_classifier.beside]]
name = "tensorflow-padding"
conventions = { stride2_padding = "same" }
[evaluation]
batch_size = 16
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """Pictures of twelve classes, the protocol, and a checkpoint file as torchvision's users have them."""
    if missing := [package for package in ("torchvision", "timm", "keras", "tensorflow") if find_spec(package) is None]:
        pytest.skip(f"needs {missing}")
    import torch
    from torchvision.models import mobilenet_v2

    place = tmp_path_factory.mktemp("own-classifier")
    for label, synset in enumerate(SYNSETS):
        (place / "set" / synset).mkdir(parents=True)
        for number in range(3):
            stream = np.random.default_rng([label, number])
            coarse = stream.integers(0, 256, (5, 7, 3)).repeat(14, axis=0).repeat(14, axis=1)
            noisy = np.clip(coarse + stream.integers(-50, 50, coarse.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(place / "set" / synset / f"{number}.png")
    (place / "own.toml").write_text(OWN, encoding="utf-8")
    torch.manual_seed(3)
    net = mobilenet_v2(width_mult=0.35)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # as after training, else swapped norms would not show
            for tensor, low in (
                (module.weight, 0.5),
                (module.running_var, 0.5),
                (module.bias, -0.3),
                (module.running_mean, -0.3),
            ):
                torch.nn.init.uniform_(tensor, low, 1.5 if low > 0 else 0.3)
    torch.nn.init.normal_(net.classifier[1].weight, std=0.1)
    with torch.no_grad():  # a random network sees all pictures almost alike: take their mean off, so that classes vary
        images = [np.asarray(Image.open(path).resize((64, 64))) for path in sorted((place / "set").rglob("*.png"))]
        scaled = (torch.tensor(np.stack(images)) / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
        net.classifier[1].bias.copy_(net.classifier[1].bias - net.eval()(scaled.permute(0, 3, 1, 2)).mean(0))
    torch.save(net.state_dict(), place / "weights.pth")
    return place


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    ("checkpoint", "mode"),
    [("file:weights.pth::torchvision:mobilenet_v2:width_mult=0.35", "float64"), ("random:0", "float32-channels_last")],
)
def test_three_libraries_give_one_classifiers_predictions(workplace, house, monkeypatch, checkpoint, mode) -> None:
    monkeypatch.chdir(workplace)
    checkpoint = checkpoint.replace("weights.pth", str(workplace / "weights.pth"))  # workers are elsewhere
    name = f"imagenet-subset:{workplace / 'set'}"
    prepared = {name: data.prepare(name)}
    store = Store(house / "records")
    with Workers(threads=1, shared=True) as workers:
        matrix = Matrix(
            MODELS, (name,), ("./own.toml",), ("identical",), (4, 5), checkpoint=checkpoint, mode=Mode.parse(mode)
        )
        cells = plan(matrix, prepared, workers)
        records = list(Driver(store, Local(workers=workers)).run(cells))
    assert [record.error for record in records if record.status == "failed"] == []
    assert len(records) == 15, "three models, the evaluation and four steps; seeds make no difference"
    for record in records:
        others, own = ("contiguous", None) if mode == "float64" else ("channels_last", "channels_last")
        is_keras = record.cell.adapter.startswith("keras")
        assert record.environment["layout"] == ("channels_last" if is_keras else others)
        assert record.cell.layout == (None if is_keras else own), "Keras has one layout, its user's"
    by_step = {(cost.record.cell.model, cost.what): cost for cost in costs(records, store)}
    tolerance = 1e-9 if mode == "float64" else 1e-4
    assert {by_step[model, "stride2_padding=symmetric"].record.same_as for model in MODELS} == {"identical"}
    for what in ("", "resize=plain", "squash", "stride2_padding=same"):
        first, *others = (by_step[model, what].record for model in MODELS)
        predictions = store.predictions(first)
        if what != "stride2_padding=same":  # of which the losses tell
            assert len(set(predictions)) > (1 if checkpoint == "random:0" else 5), "else equal ones would say little"
        for other in others:
            assert store.predictions(other).tolist() == predictions.tolist()
            assert other.metrics.loss == pytest.approx(first.metrics.loss, rel=tolerance)
            assert other.metrics.top5 == first.metrics.top5
            if mode == "float32":
                assert other.checkpoint_digest == first.checkpoint_digest
    for what in ("squash", "stride2_padding=same"):
        assert by_step[MODELS[0], ""].record.metrics.loss != by_step[MODELS[0], what].record.metrics.loss
    if checkpoint.startswith("file:"):
        first = by_step[MODELS[0], ""].record
        images, labels = data.inputs(prepared[name], "test", first.cell.protocol.images, first.cell.protocol.input)
        full = by_torch_itself(images)
        columns = data.outputs(SYNSETS, name)
        assert store.predictions(first).tolist() == full[:, columns].argmax(axis=1).tolist()
        assert set(full.argmax(axis=1)) - set(columns), "without the restriction other classes would win"
        assert first.metrics.accuracy == np.mean(full[:, columns].argmax(axis=1) == labels)


@pytest.mark.usefixtures("warm")
def test_a_classifier_of_other_classes_is_the_files_in_every_library(workplace, house) -> None:
    """Two classes of three outputs, a background first, in a file of torchvision's."""
    import torch
    from torchvision.models import mobilenet_v2

    folder = house / "tuned"
    folder.mkdir()
    torch.manual_seed(1)
    net = mobilenet_v2(num_classes=3, width_mult=0.35).eval()
    state = torch.load(workplace / "weights.pth")
    state |= {name: 9 * tensor for name, tensor in net.state_dict().items() if name.startswith("classifier.")}
    net.load_state_dict(state)
    torch.save(state, folder / "tuned.pth")
    (folder / "classes.txt").write_text(f"background\n{SYNSETS[1]}\n{SYNSETS[0]}\n")
    (folder / "set").mkdir()
    for synset in SYNSETS[:2]:
        (folder / "set" / synset).symlink_to(workplace / "set" / synset)
    (house / "own.toml").write_text(OWN.partition("[[")[0] + "[evaluation]\nbatch_size = 16\n", encoding="utf-8")
    name = f"testfolder:{folder / 'set'}"
    prepared = {name: data.prepare(name)}
    checkpoint = f"file:{folder / 'tuned.pth'}::torchvision:mobilenet_v2:width_mult=0.35"
    store = Store(house / "records")
    with Workers(threads=1, shared=True) as workers:
        matrix = Matrix(MODELS, (name,), (str(house / "own.toml"),), ("identical",), (0,), checkpoint=checkpoint)
        records = list(Driver(store, Local(workers=workers)).run(plan(matrix, prepared, workers)))
    assert [record.error for record in records if record.status == "failed"] == []
    recipe = records[0].cell.protocol
    images, labels = data.inputs(prepared[name], "test", recipe.images, recipe.input)
    with torch.no_grad():
        scaled = (torch.from_numpy(np.array(images)) / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
        logits = net(scaled.permute(0, 3, 1, 2))[:, [2, 1]].double()
    for record in records:
        assert store.predictions(record).tolist() == logits.argmax(dim=1).tolist()
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(np.array(labels)))
        assert record.metrics.loss == pytest.approx(loss.item(), rel=1e-4)


def by_torch_itself(images: np.ndarray) -> np.ndarray:
    """All logits as a user of torchvision computes them, float64, in the folder of the weights."""
    import torch
    from torchvision.models import mobilenet_v2

    net = mobilenet_v2(width_mult=0.35)
    net.load_state_dict(torch.load("weights.pth"))
    mean, std = torch.tensor(MEAN).double(), torch.tensor(STD).double()
    with torch.no_grad():
        scaled = (torch.from_numpy(np.array(images)).double() / 255 - mean) / std
        logits: np.ndarray = net.double().eval()(scaled.permute(0, 3, 1, 2)).numpy()
    return logits
