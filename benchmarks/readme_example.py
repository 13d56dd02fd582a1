"""The README's example: runs `tune` with its defaults and keeps the picture and the sentence.

    python benchmarks/readme_example.py

Writes `benchmarks/rates.png`, and the sentence between its markers in README.md.
"""

import re
import textwrap
from pathlib import Path

from dropout_zoo.training import prepare_threads
from dropout_zoo.tuning import tune

ROOT = Path(__file__).parent.parent
MARKS = re.compile(r"(<!-- sentence -->\n).*?(<!-- end of sentence -->)", re.DOTALL)


def main() -> None:
    """Run the search, and write the picture and the sentence."""
    prepare_threads()
    result = tune("mlp", "noisy_digits", placements=["input", "hidden"], learning_rate=0.002)
    result.plot().figure_.savefig(ROOT / "benchmarks" / "rates.png", dpi=110, bbox_inches="tight")
    quoted = textwrap.fill(
        result.sentence, 96, initial_indent="> ", subsequent_indent="> ", break_on_hyphens=False
    )
    readme = ROOT / "README.md"
    text, count = MARKS.subn(rf"\1{quoted}\n\2", readme.read_text())
    if count != 1:
        raise SystemExit(f"expected one marked sentence in {readme.name}, found {count}")
    readme.write_text(text)
    print(result.summary())


if __name__ == "__main__":
    main()
