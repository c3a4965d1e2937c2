"""Submits the plans that it is told of on standard input, and says which are safe: python -m benchmarks.chaos.submit."""

import json
import sys
from pathlib import Path

from bottega.bootstrap import build


def main(policy: Path) -> None:
    service = build(policy=policy)
    for line in sys.stdin:
        run_id, plan, out, how = json.loads(line)
        service.submit(service.read_plan(Path(plan)), Path(out), run_id=run_id, **how)
        print(run_id, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
