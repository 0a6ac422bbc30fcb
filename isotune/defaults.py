"""What is taken where nothing is said, beside `names.DEFAULT_MODELS`, and what else the command line's help tells: said
once, and light to import."""

from pathlib import Path

DATASET = "digits"
PROTOCOL = "quick"
CHECKPOINT = "offline"
CONVENTIONS = ("identical", "native")
SEEDS = 3
NUMERIC_MODES = "float32, tf32, bfloat16, float16 or float64"  # in words; declared in `protocols`
STORE = Path(".isotune/records")
REPORT = Path("isotune-report")  # no folder of a clone, whose reports/ are committed
