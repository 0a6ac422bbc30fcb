"""Files that earlier versions of Keras wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from keras_processes import process_of

pytestmark = pytest.mark.xdist_group("keras")


def test_old_files_are_weights_of_a_network_of_ones_own(tmp_path):
    pytest.importorskip("tensorflow", reason="needs the extra keras")
    process_of("tensorflow").run(Path(__file__).with_name("old_files.py"), tmp_path)
