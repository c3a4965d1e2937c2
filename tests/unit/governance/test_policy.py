from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottega.core.errors import InvalidValue, NotFound, PolicyDenied
from bottega.governance.policy import Policy, Rule

HEAD = 'format = "bottega.policy/1"\nname = "mine"\n'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    return path


def test_no_rule_means_no_release() -> None:
    with pytest.raises(
        PolicyDenied, match="no rule of the policy 'bottega-default' lets a model/gltf-binary"
    ):
        Policy.load().checks_for("model/gltf-binary", "free", "mesh", "")


@pytest.mark.parametrize(
    ("media_type", "kind", "engine", "needed"),
    [
        (
            "text/markdown",
            "product_page",
            "compose",
            {"numbers_grounded", "language_is", "personal_data", "profanity"},
        ),
        ("text/markdown", "faq", "compose", {"citations", "numbers_grounded"}),
        ("application/json", "faq", "cite", {"citations", "schema"}),
        ("text/html", "product_page", "document", {"numbers_grounded", "language_is"}),
        ("application/pdf", "one_pager", "document", {"decodes", "length", "language_is"}),
        ("image/png", "hero_image", "layout", {"decodes", "not_blank", "legible", "contrast"}),
        ("image/svg+xml", "icon_set", "icons", {"decodes", "not_blank"}),
        ("image/png", "chart", "chart", {"decodes", "not_blank", "contrast"}),
        ("audio/wav", "voice_over", "speech", {"decodes", "audio_level", "speech_matches"}),
        ("video/mp4", "narrated_video", "video", {"decodes", "video_streams"}),
        ("text/vtt", "narrated_video", "video", {"decodes", "language_is"}),
        ("application/json", "structured_record", "record", {"schema", "numbers_grounded"}),
        ("text/csv", "free", "table", {"schema", "numbers_grounded"}),
    ],
)
def test_the_shipped_policy_covers_what_we_deliver(
    media_type: str, kind: str, engine: str, needed: set[str]
) -> None:
    assert needed <= set(Policy.load().checks_for(media_type, kind, engine, "en"))


def test_a_later_rule_sets_options_and_keeps_the_checks() -> None:
    policy = Policy.load()
    assert policy.checks_for("application/pdf", "data_sheet", "document", "en")["length"] == {"max_pages": 20}
    assert policy.checks_for("application/pdf", "one_pager", "document", "en")["length"] == {"max_pages": 1}


def test_a_person_is_asked_where_a_rule_says_so(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f'{HEAD}[[rules]]\nname = "all"\nmedia_types = ["*"]\n[rules.checks]\nlength = {{}}\n'
        '[[rules]]\nname = "french"\nmedia_types = ["text/*"]\nlanguages = ["fr"]\nreview = true\n',
    )
    policy = Policy.load(path)
    (asked,) = policy.asked("text/plain", "page", "compose", "fr")
    assert (asked.rule, asked.approvals, asked.roles) == ("french", 1, ())
    assert policy.asked("text/plain", "page", "compose", "en") == ()
    assert policy.digest != Policy.load().digest


PEOPLE = (
    '[[people]]\nname = "Ada"\nroles = ["legal"]\nlogins = ["ada"]\n'
    '[[people]]\nname = "Bo"\nroles = ["brand"]\n'
)


def rule(review: str, name: str = "a") -> str:
    return f'[[rules]]\nname = "{name}"\nmedia_types = ["*"]\nreview = {review}\n'


def test_a_rule_may_say_how_many_who_and_by_when(tmp_path: Path) -> None:
    text = HEAD + PEOPLE + "[review]\napprovals = 2\ndue_hours = 4\n"
    table = '{ roles = ["legal", "brand"], due_hours = 24, expires_hours = 72, escalate_to = "legal" }'
    policy = Policy.load(written(tmp_path, text + rule("true") + rule(table, "b") + rule("false", "c")))
    first, second = policy.asked("text/plain", "page", "compose", "fr")
    assert (first.rule, first.approvals, first.due_hours, first.expires_hours) == ("a", 2, 4, None)
    assert (second.rule, second.approvals, second.expires_hours) == ("b", 1, 72)
    assert (second.roles, second.escalate_to, second.self_approval) == (("legal", "brand"), "legal", False)
    assert policy.asked_when_blocked().approvals == 2
    assert Policy.model_validate(policy.document()) == policy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            rule('{ roles = ["legal"] }'),
            r"line 6, rules\[0\]\.review: it asks for roles, and the policy lists no people",
        ),
        ('[review]\nroles = ["legal"]\n', r"line 3, review: it asks for roles"),
        (PEOPLE + rule('{ roles = ["press"] }'), "nobody has the role 'press'"),
        (PEOPLE + rule("{ approvals = 3 }"), "3 approvals, and 2 of the people may give one"),
        (PEOPLE + rule('{ approvals = 2, roles = ["legal"] }'), "2 approvals, and 1 of the people"),
        (PEOPLE + rule('{ escalate_to = "Eve" }'), "'Eve' is neither a person nor a role"),
        (PEOPLE + '[[people]]\nname = "ADA"\n', "two people are called 'ada'"),
        (PEOPLE + '[[people]]\nname = "Cy"\nkey = "c2hvcnQ="\n', r"people\[2\]\.key.*32 bytes"),
        (PEOPLE + '[[people]]\nname = "Cy"\nkey = "?"\n', "not base64"),
        (rule("{ approvals = 0 }"), r"line 6, rules\[0\]\.review\.approvals"),
        (rule("{ aprovals = 2 }"), r"line 6.*unknown key 'aprovals'"),
    ],
)
def test_a_review_that_nobody_could_give_is_named_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    checks = '[[rules]]\nname = "z"\nmedia_types = ["*"]\n[rules.checks]\nlength = {}\n'
    with pytest.raises(InvalidValue, match=message):
        Policy.load(written(tmp_path, HEAD + text + checks))


def test_without_people_a_name_is_taken_on_trust_and_has_no_role() -> None:
    person = Policy.load().person("user:ada")
    assert person is not None
    assert (person.name, person.roles) == ("ada", ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format = \n", "not TOML"),
        (f'{HEAD}[[rules]]\nname = "a"\n', r"line 3, rules\[0\]\.media_types.*required"),
        (
            f'{HEAD}[[rules]]\nname = "a"\nmedia_type = ["*"]\nmedia_types = ["*"]\n',
            r"line 5.*unknown key 'media_type'",
        ),
        (
            f'{HEAD}[[rules]]\nname = "a"\nmedia_types = ["*"]\n[[rules]]\nname = "b"\nmedia_types = ["*"]\n'
            + "[rules.checks.length]\nmax_words = 4\nmax_wurds = 3\n",
            r"line 11, rules\[1\]\.checks\.length\.max_wurds.*unknown key 'max_wurds'",
        ),
        (
            f'{HEAD}[[rules]]\nname = "a"\nmedia_types = ["*"]\n[rules.checks]\nlength = {{ max_words = "many" }}\n',
            r"line 7, rules\[0\]\.checks\.length\.max_words",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        Policy.load(written(tmp_path, text))


def test_a_policy_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="cannot be read"):
        Policy.load(tmp_path / "none.toml")


def test_checks_may_come_from_elsewhere(tmp_path: Path) -> None:
    def nothing(check: str) -> type:
        raise NotFound(f"unknown check '{check}'", remedy="one of: length")

    path = written(
        tmp_path, f'{HEAD}[[rules]]\nname = "a"\nmedia_types = ["*"]\n[rules.checks]\nspelling = {{}}\n'
    )
    with pytest.raises(InvalidValue, match="spelling"):
        Policy.load(path, options_of=nothing)


RULES = st.builds(
    Rule,
    name=st.just("r"),
    media_types=st.sampled_from([("text/*",), ("image/*",), ("*",)]),
    kinds=st.sampled_from([("*",), ("faq",)]),
    checks=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.just({}), max_size=3),
)


@given(st.lists(RULES, max_size=5), RULES)
def test_adding_a_rule_never_takes_a_check_away(rules: list[Rule], added: Rule) -> None:
    fact = ("text/plain", "faq", "compose", "en")
    try:
        before = set(Policy(name="p", rules=tuple(rules)).checks_for(*fact))
    except PolicyDenied:
        before = set[str]()
    try:
        after = set(Policy(name="p", rules=(*rules, added)).checks_for(*fact))
    except PolicyDenied:
        after = set[str]()
    assert before <= after


def test_retention_changes_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    rules = '[[rules]]\nname = "a"\nmedia_types = ["*"]\nchecks = { decodes = {} }\n'
    path.write_text(f'name = "p"\n{rules}')
    plain = Policy.load(path)
    path.write_text(f'name = "p"\n[retention]\nruns_days = 90\n{rules}')
    kept = Policy.load(path)
    assert kept.retention is not None and kept.retention.runs_days == 90
    assert kept.digest == plain.digest
    path.write_text(f'name = "p"\n[retention]\nruns_days = 0\n{rules}')
    with pytest.raises(InvalidValue, match="greater than or equal to 1"):
        Policy.load(path)
