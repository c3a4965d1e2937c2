"""Plan, look, make: a chart and a data sheet from one table, through the Python API.

Run it from anywhere: `python examples/python_api.py [FOLDER]`; FOLDER is where the result goes, out/python-api if not given.

Every engine in this plan is exact: the values come from the table by query, no language model writes a word.
"""

import sys
from pathlib import Path

import bottega

SOURCES = Path(__file__).parent / "launch-kit" / "sources"


def main(out: Path) -> None:
    plan = bottega.plan(
        "A comparison chart and a data sheet of the Tarnwick kettles",
        sources=[SOURCES / "prices-and-specs.csv"],
        deliverables=[{"kind": "chart"}, {"kind": "data_sheet"}],
        languages=["en"],
        local_only=True,
    )
    for step in plan.steps:
        print(f"{step.id:16} {step.engine:10} about {step.seconds:.1f} s: {step.why}")

    made = bottega.make(plan, out=out)
    print(f"{made.run.state}: {made.run.reason or 'every check passed'}")
    for file in made.delivery.files if made.delivery else ():
        checks = ", ".join(f"{verdict.check} {verdict.outcome}" for verdict in file.verdicts)
        print(f"{out / file.path}: {bottega.verify(out / file.path).state}; {checks}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("out/python-api"))
