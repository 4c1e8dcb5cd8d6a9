"""The demo's training is real: the model learns from the text the package carries."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import podops.demo

ASSETS = Path(podops.demo.__file__).parent / "assets"


def test_the_validation_loss_falls(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-c", "import sys; sys.path.insert(0, '.'); exec(open('train.py').read())"]
    command += ["config/train_declaration.py", "max_iters=150", "eval_interval=150", f"out_dir={str(tmp_path)!r}"]
    done = subprocess.run(command, cwd=ASSETS, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    first, last = (float(loss) for loss in re.findall(r"val loss ([\d.]+)", done.stdout))
    assert last < first - 0.8
    assert (tmp_path / "ckpt.json").exists()
