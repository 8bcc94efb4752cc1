"""Makes stages import this checkout's sources, also in DVC's temporary copies, where an installed `relume` is another tree."""

import gc
import os
import sys
from pathlib import Path

gc.disable()  # until the decorator of a stage: collections take a tenth of the time of imports
_SRC = Path(__file__).resolve().parents[1] / "src"
if sys.path[:1] != [str(_SRC)]:
    sys.path.insert(0, str(_SRC))
os.environ["PYTHONPATH"] = os.pathsep.join(
    dict.fromkeys([str(_SRC), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))])
)

if "DVC_STAGE" in os.environ:  # not the benchmarks
    os.environ["OMP_NUM_THREADS"] = "1"  # also for NumPy; must be set before a BLAS is loaded

import relume  # noqa: E402

if not Path(next(iter(relume.__path__))).resolve().is_relative_to(_SRC):
    raise ImportError(
        f"relume was imported from {list(relume.__path__)}, not from {_SRC}: run stages as `python -m stages.<name>`"
    )
