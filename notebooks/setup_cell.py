# Where pusa_lab is missing, as on Colab, this cell installs it. There is nothing to learn from it: go on below.
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

if any(importlib.util.find_spec(name) is None for name in ("pusa_lab", "mediapy", "jaxtyping", "lightning")):
    address = "{address}"
    here = Path.cwd().resolve()
    clones = [p for p in (here, *here.parents, *here.iterdir()) if (p / "pusa_lab" / "__init__.py").is_file()]
    wheels = sorted(here.glob("pusa_lab-*.whl"))
    newer = ["torchao>=0.16"] if importlib.util.find_spec("torchao") else []  # Colab's peft refuses Colab's torchao
    if clones:
        source = ["-e", f"{clones[0]}[notebooks,train]"]
    elif wheels:
        source = [f"{wheels[-1]}[notebooks,train]"]
    elif address:
        source = [f"pusa-lab[notebooks,train] @ git+{address}"]
    else:
        raise RuntimeError(
            f"pusa_lab is not installed, and {here} holds neither of the two things that it could be installed from: "
            "a wheel (`make wheel` in a clone writes dist/pusa_lab-*.whl: upload it beside this notebook, see "
            "https://colab.research.google.com/notebooks/io.ipynb), or a clone of the project."
        )
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *newer, *source], check=True)
    if clones:
        sys.path.insert(0, str(clones[0]))
        os.chdir(clones[0] / "notebooks")
