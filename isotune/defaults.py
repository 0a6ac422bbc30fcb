"""What is taken where nothing is said, beside `names.DEFAULT_MODELS`: said once, and light to import, since the command
line's help tells it."""

from pathlib import Path

DATASET = "digits"
PROTOCOL = "quick"
CHECKPOINT = "offline"
CONVENTIONS = ("identical", "native")
SEEDS = 3
STORE = Path(".isotune/records")
