"""Pairs of libraries that are named: which there are, at which size, and what a report says of the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest

import isotune
from isotune import parity
from isotune.errors import UsageError
from isotune.parity import Family, Proofs, Result, ResultStore, Rung
from isotune.parity._proofs import _answered

pytest.importorskip("timm", reason="needs the extra torch")
ALONE = {  # timm lists no such network, but for MaxViT, of which its own is another
    "alexnet", "googlenet", "maxvit_t", "mnasnet1_3", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0", "squeezenet1_0", "squeezenet1_1",
}  # fmt: skip


@pytest.fixture(scope="module")
def twins() -> list[Family]:
    return parity.families(["torchvision", "timm"])


def test_all_but_ten_of_torchvisions_architectures_have_a_twin_in_timm(twins):
    assert len(twins) == 80
    assert {family.architecture for family in twins if not family.others} == ALONE
    (maxvit,) = (family for family in twins if family.architecture == "maxvit_t")
    assert "3x3" in maxvit.unlike
    assert all(family.first.startswith("torchvision:") for family in twins)


def test_no_pair_of_all_is_left_out(twins):
    """What --all proves without libraries named has these pairs too."""
    assert set(twins) < set(parity.families())


@pytest.mark.parametrize(
    ("libraries", "said"),
    [
        (["torchvision"], "name two or more, each once"),
        (["timm", "timm"], "name two or more, each once"),
        (["torchvision", "tim"], "library 'tim' is unknown; "),
    ],
)
def test_libraries_that_are_no_pair_are_refused(libraries, said):
    with pytest.raises(UsageError, match=said):
        parity.families(libraries)


def test_what_is_no_pair_says_why():
    with pytest.raises(UsageError, match=r"pairs of theirs: none.*3x3"):
        parity.check_pair("torchvision:maxvit_t", "timm:maxvit_tiny_tf_224")


FAST = ("mobilenet_v3_small", "densenet121", "vgg11", "vit_b_32", "vit_l_32", "swin_t", "swin_v2_t")


def architectures():
    for family in parity.families(["torchvision", "timm"]):
        if family.others:
            marks = () if family.architecture in FAST else pytest.mark.slow
            yield pytest.param(family, id=family.architecture, marks=marks)


@pytest.mark.parametrize("family", list(architectures()))
def test_a_pair_has_the_same_layers_at_the_size_of_its_proof(family):
    """Without data: both networks can be built for the size, run at it, and share their tensors."""
    import torch

    from isotune import names
    from isotune.adapters._torch.compiler import without_compiler
    from isotune.adapters._torch.dataflow import trace
    from isotune.adapters._torch.layers import canonical_layers

    (question,) = parity.questions(family)
    found = []
    for model in (question.left, question.right):
        name = names.parse(model)
        adapter = names.adapter_class(name.adapter)()
        try:
            with torch.device("meta"), without_compiler():
                net = adapter._network(name.name, None, question.size, {})
        except (NotImplementedError, RuntimeError):  # RegNet's constructor computes with tensors
            net = adapter._network(name.name, None, question.size, {})
        head = adapter._renew_classifier(name.name, net, adapter._classifier(net), 10)
        flow = trace(net, question.size)
        assert flow.steps, "it does not run at this size"
        layers = canonical_layers(net, head, flow)
        found.append([(slot.name, slot.shape) for each in layers for slot in each.slots])
    assert found[0] == found[1]


def result(family: Family, finished: bool = True) -> Result:
    (question,) = parity.questions(family)
    rung = Rung(name="features", error=1e-13, where="features", tensors=1, bound=1e-9)
    return Result(
        question=question, architecture=family.architecture, parameters=family.parameters or 1,
        stages=("inference",), rungs=(rung,), finished="2026-01-05T12:00:00Z" if finished else None,
    )  # fmt: skip


def test_what_is_kept_is_reported_without_a_proof_and_the_rest_is_named(twins, tmp_path):
    (vit,) = (family for family in twins if family.architecture == "vit_b_16")
    ResultStore(tmp_path / "store").write(result(vit))
    proofs = isotune.prove_all(libraries="torchvision,timm", kept=True, store=tmp_path / "store", progress=False)
    assert [each.question.left for each in proofs.results] == ["torchvision:vit_b_16"]
    text = proofs.write(tmp_path / "reports").read_text()
    assert "1 of 1 pairs are identical in float64; they cover 1 of the 80 architectures of torchvision." in text
    waiting = text.partition("## Not proved yet")[2].partition("##")[0]
    assert "- torchvision:resnet18 = timm:resnet18" in waiting
    assert waiting.count("\n- ") == 69
    alone = text.partition("## Without a counterpart")[2].partition("##")[0]
    assert "- torchvision:alexnet: the architecture is in none of: timm.\n" in alone
    assert "of: timm. Timm's maxvit_tiny_tf_224 divides keys" in alone
    assert "`isotune parity --all --libraries torchvision,timm`" in text


def test_the_smallest_network_is_proved_first_and_the_order_of_names_is_kept(twins, tmp_path, monkeypatch):
    chosen = [family for family in twins if family.architecture in ("resnet18", "resnet50", "mnasnet0_5")]
    chosen.append(replace(chosen[0], first="torchvision:unknown", parameters=None))
    asked = []

    def answer(groups, store, **_):
        asked.extend(group[0].left for group in groups)
        return [result(replace(chosen[0], first=group[0].left)).model_copy(update={"question": group[0]})
                for group in groups]  # fmt: skip

    monkeypatch.setattr("isotune.parity._proofs.answer", answer)
    groups = [parity.questions(family) for family in chosen]
    given = _answered(groups, chosen, ResultStore(tmp_path), 1, False)
    assert [name.partition(":")[2] for name in asked] == ["mnasnet0_5", "resnet18", "resnet50", "unknown"]
    assert [each.question.left for each in given] == [family.first for family in chosen]


def test_a_report_of_no_kept_proof_names_all_pairs(tmp_path):
    proofs = isotune.prove_all("resnet18", libraries="torchvision,timm", kept=True, store=tmp_path, progress=False)
    assert isinstance(proofs, Proofs)
    assert "- torchvision:resnet18 = timm:resnet18" in proofs.write(tmp_path / "reports").read_text()
