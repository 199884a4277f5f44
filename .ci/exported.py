"""Export a run, and write programs that read the files without ganzoo and compare the samples with ganzoo's own.

``python .ci/exported.py write RUN OUT`` writes ``onnx-*.py`` for an environment with onnxruntime alone, and
``torch-*.py`` for an environment with torch and safetensors. Each program is the loader that ``ganzoo export`` prints,
with the noise of the run in the place of noise of its own, and a comparison.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ganzoo
from ganzoo.trained.export import ENDINGS, export


def write(run_dir: Path, out: Path) -> None:
    """Export a run in every form, with a program for each file.

    Args:
        run_dir: the run.
        out: the folder of the files and the programs.
    """
    out.mkdir(parents=True, exist_ok=True)
    run = ganzoo.load(run_dir)
    batch = run.latents(16)
    due = run.generated(batch).tolist()
    for form, ending in ENDINGS.items():
        made = export(run, form, out=out / f"generator-{form}{ending}")
        lines = made.loader.splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("latent = "))
        values = batch.latent.tolist() if batch.latent is not None else []
        lines[at] = f"latent = np.array({values}, np.float32)" if form == "onnx" else f"latent = torch.tensor({values})"
        checked = [
            "import os, sys",
            f"os.chdir({str(out)!r})",
            f"sys.path.insert(0, {str(out)!r})",
            *lines,
            f"due = {due}",
            "flat = lambda x: [y for each in x for y in flat(each)] if isinstance(x, list) else [x]",
            "difference = max(abs(a - b) for a, b in zip(flat(samples.tolist()), flat(due), strict=True))",
            "assert 'ganzoo' not in sys.modules",
            "assert difference < 1e-4, difference",
            f"print('{form}: equal to samples of ganzoo, up to', difference)",
        ]
        environment = "onnx" if form == "onnx" else "torch"
        (out / f"{environment}-{form}.py").write_text("\n".join(checked) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[2]), Path(sys.argv[3]))
