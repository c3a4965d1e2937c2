"""Pairs from questions with answers: the question turned into a statement, against the sentences around the answer.

Only questions whose turn is plain are used: "Who founded X?", "What was the name of X?", "When was X built?".
An answer of another question about the same paragraph makes a statement that the text contradicts; a question that
the text cannot answer, with the answer it tempts to, makes one that it does not support, and which of the two other
labels is right is left open.
"""

import random
import re
from collections.abc import Iterator
from typing import Any

from benchmarks.nli.pairs import Pair
from benchmarks.nli.values import WORDS

_SUBJECT = re.compile(
    r"^(?:Who|What|(?:Which|What|How many) (?:[a-z-]+ ){1,2}?)\s*"
    r"((?:" + "|".join(WORDS["verbs"]) + r"|[a-z]+ed) .+)\?$"
)
_COPULA = re.compile(r"^(?:Who|What) (is|was|are|were) ((?:the|a|an|[A-Z]).+)\?$")
_WHEN = re.compile(
    r"^When (was|were) (.+?) ((?:\w+ed|born|built|made|written|sold|found|won|held|begun)\b.*)\?$"
)
_BAD_END = re.compile(
    r"\b(to|of|in|on|for|by|from|with|as|at|about|into|called|named|based|known|used|made|\w+ed)$"
)


def statement(question: str, answer: str) -> str | None:
    """The sentence that a plain question and its answer say together."""
    question = question.strip()
    if match := _WHEN.match(question):
        joint = "" if re.match(r"(in|on|during|after|before|by|between|from|since) ", answer) else "in "
        return _sentence(f"{match[2]} {match[1]} {match[3]} {joint}{answer}")
    if match := _COPULA.match(question):
        return None if _BAD_END.search(match[2]) else _sentence(f"{match[2]} {match[1]} {answer}")
    if (match := _SUBJECT.match(question)) and not re.match(
        r"(is|was|are|were|can|could|will|would|may|has|had) (the|a|an|[A-Z])", match[1]
    ):
        return _sentence(f"{answer} {match[1]}")
    return None


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(" .") + "."


def _around(context: str, start: int) -> str:
    """The sentence at ``start`` with its neighbours where they are short."""
    cuts = [0, *(m.end() for m in re.finditer(r"(?<=[a-z)\d\"])[.?!] (?=[A-Z])", context)), len(context)]
    at = max(i for i, cut in enumerate(cuts[:-1]) if cut <= start)
    low, high = at, at + 1
    if high + 1 < len(cuts) and cuts[high + 1] - cuts[low] < 350:
        high += 1
    if low and cuts[high] - cuts[low - 1] < 400:
        low -= 1
    return context[cuts[low] : cuts[high]].strip()


def _shape(answer: str) -> str:
    return re.sub(r"\d", "0", "".join(c if c.isdigit() else "A" if c.isupper() else "a" for c in answer[:2]))


def asked(seed: int, articles: list[dict[str, Any]], source: str) -> Iterator[Pair]:
    """Every usable question of data laid out as SQuAD 2.0."""
    rng = random.Random(seed)
    for article in articles:
        for paragraph in article["paragraphs"]:
            context: str = paragraph["context"]
            known = [(q["question"], q["answers"][0]) for q in paragraph["qas"] if q["answers"]]
            for question, answer in known:
                text, start = answer["text"], answer["answer_start"]
                if len(text.split()) > 8 or not (made := statement(question, text)):
                    continue
                premise = _around(context, start)
                yield Pair(premise, made, "supports", f"{source}/answered")
                wrong = [a["text"] for _, a in known if _differs(a["text"], text)]
                if wrong and (false := statement(question, rng.choice(wrong))):
                    yield Pair(premise, false, "not_supports", f"{source}/another_answer")
            for q in paragraph["qas"]:
                for answer in q.get("plausible_answers", [])[:1]:
                    if made := statement(q["question"], answer["text"]):
                        premise = _around(context, answer["answer_start"])
                        yield Pair(premise, made, "not_supports", f"{source}/unanswerable")


def _differs(one: str, two: str) -> bool:
    a, b = one.lower(), two.lower()
    return _shape(one) == _shape(two) and a not in b and b not in a and len(one.split()) < 7
