"""The averaged weights of a run that goes on, as a run folder of its own: what `--from` and `ship` take.

python -m benchmarks.icons.halt RUN OUT
"""

import sys
from pathlib import Path

from bottega.training import checkpoint
from bottega.training.folder import RunFolder


def main() -> None:
    """Write config and weights, and say at which step."""
    run, out = (RunFolder(Path(word)) for word in sys.argv[1:3])
    state = checkpoint.read(run.training_file)
    out.path.mkdir(parents=True, exist_ok=True)
    out.write("config.json", (run.path / "config.json").read_bytes())
    weights = {f"net.{name[4:]}": value for name, value in state.items() if name.startswith("ema.")}
    checkpoint.write(out.weights_file, weights)
    print(f"step {int(state['loop'][0])}")


if __name__ == "__main__":
    main()
