"""Bottega: a brief becomes checked, signed, multimodal deliverables.

import bottega

made = bottega.make("a launch kit for our new kettle", sources=["docs/"], out="kit")
made = await bottega.make_async("...")          # the same inside a running event loop
plan = bottega.plan("...", sources=["docs/"])   # nothing runs; edit it, then bottega.make(plan)
bottega.resume("run-1f0c...", out="kit")         # after a stop, a failure or a review
bottega.replay("run-1f0c...").finding           # "identical", or which step differs and why
bottega.index("handbook", "docs/")               # documents to search and cite
bottega.search("handbook", "leave in March")[0].passage.text
bottega.ask("How many days of leave?", "handbook").text   # every sentence with its quote, or a reason why not
bottega.trainer().train("fashion-flow", "runs/flow")   # a generative model of your own
bottega.verify("kit/hero.png").state            # "valid", "untrusted", "tampered" or "unsigned"
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bottega.api import (
        ask,
        ask_async,
        ask_tables,
        ask_tables_async,
        index,
        index_async,
        make,
        make_async,
        plan,
        plan_async,
        replay,
        replay_async,
        resume,
        resume_async,
        search,
        search_async,
        trainer,
        verify,
    )

__all__ = [
    "ask",
    "ask_async",
    "ask_tables",
    "ask_tables_async",
    "index",
    "index_async",
    "make",
    "make_async",
    "plan",
    "plan_async",
    "replay",
    "replay_async",
    "resume",
    "resume_async",
    "search",
    "search_async",
    "trainer",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Load the operations on first use, so that importing Bottega costs nothing."""
    if name in __all__:
        from bottega import api

        return getattr(api, name)
    raise AttributeError(f"module 'bottega' has no attribute '{name}'")
