"""Checkpoints that torchvision and timm fetch: from torch.hub's servers, and from the Hugging Face hub.

The libraries' own functions download and load. Before they are called, `Download.refuse_offline` sees to it that a
machine without network hears so at once; while they do, `Download.loading` turns their errors into one line and sees
to it that nothing damaged stays in their caches.
"""

from isotune.adapters._torch.fetching._download import HUB_WEIGHTS, Download, hub_file
from isotune.adapters._torch.fetching._hugging_face import hub

__all__ = ["HUB_WEIGHTS", "Download", "hub", "hub_file"]
