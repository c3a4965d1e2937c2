"""Credentials and prompts do not reach the journal."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bottega.governance.redaction import PIECE, PROMPTS, SHORT, masked, recorded, told

LETTERS = st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


def some(least: int) -> st.SearchStrategy[str]:
    return st.text(LETTERS, min_size=least, max_size=least + 20)


KEYS: dict[str, st.SearchStrategy[str]] = {
    "key": st.builds("{}-{}".format, st.sampled_from(["sk", "pk", "ghp", "hf"]), some(20)),
    "aws": st.builds("AKIA{}".format, st.text("ABCDEFGH01234567", min_size=16, max_size=16)),
    "token": st.builds("eyJ{}.{}.{}".format, some(12), some(12), some(12)),
    "pem": st.builds("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----".format, some(40)),
}
SECRETS = st.one_of(*KEYS.values())
# What stands around a credential in a text.
AROUND = st.sampled_from(["", "use ", "(", "'", "\n", "url?x=1&"])
PARAMS = st.recursive(
    st.builds("{}{} please".format, AROUND, SECRETS),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.dictionaries(st.sampled_from(["text", "title", "x", "values"]), inner, min_size=1, max_size=3),
    ),
    max_leaves=5,
)


def leaves(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner: list[Any] = list(value.values() if isinstance(value, dict) else value)  # pyright: ignore[reportUnknownArgumentType]
    return [text for each in inner for text in leaves(each)]


def secret_in(text: str) -> str:
    """The planted credential: what is no words of ours."""
    for around in ("use ", "(", "'", "\n", "url?x=1&"):
        text = text.removeprefix(around)
    return text.removesuffix(" please")


@given(PARAMS, st.sampled_from(["full", "redacted", "digest"]))
def test_no_planted_key_is_recorded(value: Any, recording: Any) -> None:
    kept = json.dumps(recorded({"given": value}, recording), ensure_ascii=False)
    error = told(f"it failed on {value!r}", {"given": value}, recording)
    for text in leaves(value):
        core = secret_in(text).split("\n")[-2 if "PRIVATE" in text else 0]
        assert core not in kept and core not in error


@given(st.text(min_size=SHORT + 1, max_size=300), st.text(max_size=20), st.integers(0, 200))
def test_long_texts_are_neither_recorded_nor_quoted(text: str, before: str, cut: int) -> None:
    params = {"words": [text], "count": 3}
    kept = recorded(params, "redacted")
    assert kept["count"] == 3 and kept["words"][0]["characters"] == len(text)
    quoted = text[cut : cut + 2 * PIECE]
    if len(quoted) >= PIECE:
        said = told(f"{before}: cannot say {quoted}", params, "redacted")
        assert not any(text[i : i + PIECE] in said for i in range(len(text) - PIECE + 1))
    assert recorded(params, "digest").keys() == {"sha256"}


@given(st.sampled_from(sorted(PROMPTS)), st.text(min_size=1, max_size=SHORT))
def test_a_prompt_is_not_recorded_however_short(name: str, text: str) -> None:
    assert recorded({name: text}, "redacted")[name].keys() == {"sha256", "characters"}
    assert "purple" not in told("no purple cat here", {name: "purple"}, "redacted")


def test_settings_stay_readable() -> None:
    params = {"size": 3, "style": "plain", "on": True, "colours": ["#102030"]}
    assert recorded(params, "redacted") == recorded(params, "full") == params
    assert told("the style 'plain' is unknown", params, "redacted") == "the style 'plain' is unknown"
    assert told("'plain' is unknown", params, "digest") == "'[text]' is unknown"
    assert recorded({}, "digest") == {}
    assert masked("token=abc, next") == "[secret], next"
