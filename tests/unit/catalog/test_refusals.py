"""A bad catalog is refused whole: every problem is named with file, line and reason."""

import time
from pathlib import Path

import pytest

from billing.catalog import parsing
from billing.catalog.problems import CatalogInvalid

HEAD = """\
default_plan: free
events:
  case_created: [max_cases]
  evaluation_run: [fast_enabled, max_runs]
plans:
  free:
    limits: {max_cases: 100, fast_enabled: true, max_runs: 5}
"""
# Line 8 on: a second plan, to which each case adds what it is about.
PLAN = HEAD + "  pro:\n"
FULL = PLAN + '    price: {USD: "10.00"}\n    entitlements:\n'


def problems_of(source: str | bytes) -> list[tuple[int, str]]:
    with pytest.raises(CatalogInvalid) as refused:
        parsing.load(source, "plans.yaml")
    assert {problem.file for problem in refused.value.problems} == {"plans.yaml"}
    assert refused.value.code == "catalog_invalid"
    return [(problem.line, problem.reason) for problem in refused.value.problems]


def test_the_head_that_the_cases_build_on_is_sound() -> None:
    assert parsing.load(HEAD).default_plan == "free"
    assert parsing.load(FULL + "      max_cases: {limit: 1}\n").plan("pro").currencies == ("USD",)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        # YAML itself
        ("", 0, "is empty"),
        ("# nothing\n", 0, "is empty"),
        ("a: [1, 2\nb: }\n", 2, "is not YAML"),
        ("a: 1\n\tb: 2\n", 2, "is not YAML"),
        ("- a\n- b\n", 1, "the catalog must be a mapping, not a list"),
        ("just words\n", 1, "the catalog must be a mapping, not text"),
        (HEAD + "---\na: 1\n", 9, "a second document"),
        (HEAD + "default_plan: pro\n", 8, "duplicate key 'default_plan', first given on line 1"),
        (HEAD + "  free: {limits: {max_cases: 1}}\n", 8, "duplicate key 'free', first given on line 6"),
        (HEAD + "  ? [a]\n  : 1\n", 8, "list or mapping as a key"),
        (HEAD.replace("max_cases: 100", "max_cases: &a 100"), 7, "anchor &a"),
        ("a: &a [x]\nb: *a\n", 2, "alias *a"),
        ("a: !!python/object/apply:os.system ['ls']\n", 1, "tag tag:yaml.org,2002:python/object/apply:os.system"),
        ("a:\n  " + "[" * 20 + "]" * 20 + "\n", 2, "nested more than 12 deep"),
        (HEAD + "# nul \0\n", 8, "unprintable character U+0000"),
        # the whole
        (HEAD.replace("default_plan: free\n", ""), 1, "default_plan is missing"),
        (HEAD.replace("default_plan: free", "default_plan: gone"), 1, "default_plan 'gone' is not among the plans"),
        (HEAD.replace("default_plan: free", "default_plan: 7"), 1, "default_plan must be a code, not an integer"),
        (HEAD + "    active: false\n", 1, "default_plan 'free' is not active"),
        ("default_plan: free\n", 1, "plans is missing"),
        ("default_plan: free\nplans: {}\n", 2, "plans is empty"),
        ("default_plan: free\nplans: []\n", 2, "plans is empty"),
        ("default_plan: free\nplans: 3\n", 2, "plans must be a mapping, not an integer"),
        (HEAD + "plan:\n  x: 1\n", 8, "unknown key 'plan', did you mean 'plans'?"),
        # codes
        (HEAD + "  Pro: {limits: {}}\n", 8, "plan 'Pro' must be 1 to 60 lower-case letters"),
        (HEAD + "  2fast: {limits: {}}\n", 8, "plan '2fast' must be"),
        (HEAD + f"  {'p' * 61}: {{}}\n", 8, "must be 1 to 60 lower-case letters"),
        (HEAD + "  prö: {}\n", 8, "plan 'prö' must be"),
        (HEAD + "  no-way: {}\n", 8, "plan 'no-way' must be"),
        (HEAD + "  null: {}\n", 8, "key 'null' means null in YAML; write it in quotes"),
        (HEAD + "  true: {}\n", 8, "key 'true' means boolean in YAML"),
        # plans as a list
        ("default_plan: a\nplans:\n  - {code: a}\n  - {code: a}\n", 4, "duplicate plan code 'a', first given"),
        ("default_plan: a\nplans:\n  - {code: a}\n  - {name: B}\n", 4, "a plan in the list needs a code"),
        ("default_plan: a\nplans:\n  - {code: a}\n  - 3\n", 4, "plan must be a mapping, not an integer"),
        # values of a plan
        (PLAN + "    nme: Pro\n", 9, "unknown key 'nme' in plan pro, did you mean 'name'?"),
        (HEAD + "  pro: 3\n", 8, "plan pro must be a mapping, not an integer"),
        (PLAN + "    name: 3\n", 9, 'plan pro: name must be text in quotes ("3"), not an integer'),
        (PLAN + f"    name: {'n' * 121}\n", 9, "name is longer than 120 characters"),
        (PLAN + "    on_sale: yes\n", 9, "plan pro: on_sale must be true or false, not text"),
        (PLAN + "    order: -1\n", 9, "plan pro: order must not be negative"),
        (PLAN + "    order: 99999999999999999999\n", 9, "plan pro: order must be at most 32000"),
        (PLAN + "    billing_period: weekly\n", 9, "must be one of month, quarter, year, not 'weekly'"),
        (PLAN + "    base_fee: later\n", 9, "must be one of arrears, advance, not 'later'"),
        (PLAN + "    allowance_every: year\n", 9, "must be one of month, period, not 'year'"),
        (PLAN + "    trial_days: 731\n", 9, "trial_days must be at most 730"),
        (PLAN + "    trial_days: 1.5\n", 9, "trial_days must be an integer from 0 to 730, not a number"),
        (PLAN + "    trial_credits: 5\n", 8, "plan pro: trial_credits need trial_days"),
        (PLAN + '    credit_allowance: "0.0000001"\n', 9, "credit_allowance has more than 6 decimal places"),
        (PLAN + "    credit_allowance: 0.5\n", 9, 'must be written in quotes ("0.5")'),
        (PLAN + "    credit_allowance: .inf\n", 9, "must be written in quotes"),
        (PLAN + '    credit_allowance: "NaN"\n', 9, "is not a plain decimal number"),
        (PLAN + '    credit_allowance: "1_0"\n', 9, "is not a plain decimal number"),
        (PLAN + '    credit_allowance: "１２"\n', 9, "is not a plain decimal number"),
        (PLAN + '    credit_allowance: "1000000000001"\n', 9, "is larger than 1000000000000"),
        (PLAN + "    credit_allowance: true\n", 9, "must be an integer or a decimal in quotes, not true or false"),
        # money
        (PLAN + "    price: 49\n", 9, "plan pro: price must be a mapping, not an integer"),
        (PLAN + "    price: {}\n", 9, "plan pro: price is empty"),
        (PLAN + "    price: {USD: 49.00}\n", 9, 'price: USD must be written in quotes ("49.00")'),
        (PLAN + '    price: {USD: "-1.00"}\n', 9, "price: USD must not be negative"),
        (PLAN + '    price: {USD: "49.001"}\n', 9, "price: USD has more decimals than USD has minor units (2)"),
        (PLAN + '    price: {JPY: "500.5"}\n', 9, "price: JPY has more decimals than JPY has minor units (0)"),
        (PLAN + '    price:\n      USD: "1.00"\n      XYZ: "1.00"\n', 11, "'XYZ' is not a currency of ISO 4217"),
        (PLAN + '    price: {USD: "99999999999999"}\n', 9, "price: USD is larger than"),
        (PLAN + '    price: {USD: "1.00"}\n    credit_price: {EUR: "1"}\n', 10, "credit_price in EUR, in which"),
        # limits, short form
        (PLAN + "    limits: [max_cases]\n", 9, "plan pro: limits must be a mapping, not a list"),
        (PLAN + "    limits:\n      max_cases: -1\n", 10, "plan pro: max_cases must not be negative"),
        (PLAN + "    limits:\n      max_cases: 1e3\n", 10, 'must be written in quotes ("1e3")'),
        (PLAN + "    limits:\n      max_cases: 010\n", 10, 'must be written in quotes ("010")'),
        (PLAN + "    limits:\n      max_cases: many\n", 10, "plan pro: max_cases is not a plain decimal number"),
        (PLAN + "    limits:\n      max_cases: [1]\n", 10, "must be a limit, null, true or false, not a list"),
        (PLAN + "    limits:\n      max_cases: {limit: 1}\n", 10, "the full form goes under entitlements"),
        (PLAN + "    limits:\n      Max Cases: 1\n", 10, "limits: 'Max Cases' must be 1 to 60"),
        (PLAN + "    limits:\n      max_case: 1\n", 10, "max_case is metered, but no event lists it as a guard"),
        (
            PLAN + "    limits: {max_cases: 1}\n    entitlements:\n      max_cases: {limit: 1}\n",
            11,
            "'max_cases' is in limits (line 9) and in entitlements",
        ),
        # entitlements, full form
        (FULL + "      max_cases: {}\n", 11, "plan pro: max_cases needs limit (a number, or null for unlimited)"),
        (FULL + "      max_cases: {limit: 1, cadance: daily}\n", 11, "did you mean 'cadence'?"),
        (FULL + "      max_cases: {limit: 1, cadence: hourly}\n", 11, "must be one of daily, weekly, monthly"),
        (FULL + "      max_cases: {limit: 1, on_limit: warn}\n", 11, "must be one of block, overage"),
        (FULL + "      fast_enabled: {enabled: 1}\n", 11, "enabled must be true or false, not an integer"),
        (FULL + "      fast_enabled: {enabled: true, limit: 1}\n", 11, "limit is for metered entitlements"),
        (FULL + '      max_cases: {limit: 1, credits_per_unit: "0.0000001"}\n', 11, "more than 6 decimal places"),
        (FULL + "      max_cases: {limit: 1, credits_per_unit: -1}\n", 11, "must not be negative"),
        (FULL + "      max_cases: {limit: 1, on_limit: overage}\n", 11, "has no overage_price in USD"),
        (
            FULL + '      max_cases: {limit: 1, on_limit: overage, overage_price: {USD: "1", EUR: "1"}}\n',
            11,
            "overage_price in EUR, in which the plan has no price",
        ),
        (FULL + '      max_cases: {limit: 1, overage_price: {USD: "1"}}\n', 11, "but blocks at its limit"),
        (FULL + "      max_cases: {limit: 1, guardrails: {drift: hold}}\n", 11, "'drift' cannot hold a debit, because"),
        (
            FULL + "      max_cases: {limit: 1, guardrails: {drift: waive}}\n",
            11,
            "'drift' cannot waive a debit, because",
        ),
        (FULL + "      max_cases: {limit: 1, guardrails: {drift: ask}}\n", 11, "must be one of annotate, hold, waive"),
        (FULL + "      max_cases: {limit: 1, guardrails: {Dose-Limit: annotate}}\n", 11, "lower-case letters"),
        (FULL + "      max_cases: {limit: 1, guardrails: [drift]}\n", 11, "guardrails must be a mapping, not a list"),
        (FULL + "      max_cases: {enabled: true, guardrails: {a: annotate}}\n", 11, "is for metered entitlements"),
        (
            FULL + '      max_cases: {limit: null, on_limit: overage, overage_price: {USD: "1"}}\n',
            11,
            "is unlimited, so its overage_price would never be charged",
        ),
        (FULL + "      max_cases: {limit: null, on_limit: overage}\n", 11, "is unlimited and free"),
        (FULL + "      max_cases: {limit: 1, on_limit: overage, overage_price: {USD: {per: 2}}}\n", 11, "needs a rate"),
        (
            FULL + "      max_cases:\n        limit: 1\n        on_limit: overage\n"
            '        overage_price:\n          USD: {rate: "1", per: 0}\n',
            15,
            "per must be more than 0",
        ),
        (
            FULL + '      max_cases: {limit: 1, on_limit: overage, overage_price: {USD: "0.0000000000001"}}\n',
            11,
            "more than 12 decimal places",
        ),
        (
            FULL + '      max_cases: {limit: null, on_limit: overage, credits_per_unit: "0.1"}\n',
            11,
            "bills missing credits, but the plan has no credit_price in USD",
        ),
        (
            PLAN + '    entitlements:\n      max_cases: {limit: 1, on_limit: overage, overage_price: {USD: "1"}}\n',
            10,
            "charges overage, but the plan has no price in any currency",
        ),
        (
            PLAN + '    entitlements:\n      max_cases: {limit: null, on_limit: overage, credits_per_unit: "1"}\n',
            10,
            "bills missing credits, but the plan has no price in any currency",
        ),
        # the shop's side
        (PLAN + "    sla: gold\n", 9, "plan pro: sla must be a mapping, not text"),
        (PLAN + "    sla: {version: a}\n", 9, "sla needs a tier"),
        (PLAN + "    sla: {tier: a, terms: b}\n", 9, "sla terms need a version"),
        (PLAN + "    sla: {tier: a, version: 1.2}\n", 9, 'version must be text in quotes ("1.2"), not a number'),
        (PLAN + "    features: {a: b}\n", 9, "features must be a list, not a mapping"),
        (PLAN + "    features:\n      - {key: a}\n", 10, "feature needs a key and a name"),
        (PLAN + "    features:\n      - {key: a, name: A, value: 3}\n", 10, 'text in quotes ("3")'),
        (PLAN + "    features:\n      - {key: a, name: A}\n      - {key: a, name: B}\n", 11, "'a' is listed twice"),
        (PLAN + "    features:\n      - {key: a, name: A, color: red}\n", 10, "unknown key 'color'"),
        (PLAN + "    bundle: {a: [1]}\n", 9, "bundle: a must be text, not a list"),
        # events
        ("default_plan: a\nevents: [x]\nplans: {a: {}}\n", 2, "events must be a mapping, not a list"),
        (HEAD.replace("[max_cases]", "max_cases"), 3, "event case_created must be a list of limits or a mapping"),
        (HEAD.replace("[max_cases]", "null"), 3, "event case_created must be a list of limits or a mapping"),
        (HEAD.replace("[max_cases]", "[max_cases, max_cases]"), 3, "guard 'max_cases' is listed twice"),
        (HEAD.replace("[max_cases]", "[max_cases, 3]"), 3, "guard must be a code, not an integer"),
        (HEAD.replace("[max_cases]", "{guard: [max_cases]}"), 3, "did you mean 'guards'?"),
        (HEAD.replace("[max_cases]", "[max_cases, vip]"), 3, "no plan of product 'platform' lists 'vip'"),
        (HEAD.replace("fast_enabled, max_runs]", "max_cases, max_runs]"), 7, "guards case_created, evaluation_run;"),
        (
            HEAD.replace("[max_cases]", "{guards: [max_cases], product: shop}"),
            7,
            "max_cases guards case_created, an event of another product than 'platform'",
        ),
        (HEAD.replace("case_created", "Case"), 3, "event 'Case' must be 1 to 60"),
    ],
)
def test_it_names_line_and_reason(text: str, line: int, reason: str) -> None:
    found = problems_of(text)
    assert any(at == line and reason in why for at, why in found), found


def test_it_lists_every_problem_in_order_of_line() -> None:
    text = PLAN + "    trial_days: -1\n    colour: red\n    limits:\n      max_cases: 1.5\ndefault_plan: pro\n"
    assert [(line, reason.split(" ")[0]) for line, reason in problems_of(text)] == [
        (9, "plan"),
        (10, "unknown"),
        (12, "plan"),
        (13, "duplicate"),
    ]


def test_a_broken_plan_does_not_hide_what_others_do_wrong() -> None:
    text = PLAN + "    order: -1\n  team:\n    limits: {max_elephants: 3}\n"
    lines = [line for line, _ in problems_of(text)]
    assert lines == [9, 11]


def test_two_entitlements_may_not_both_charge_for_one_event() -> None:
    text = HEAD.replace("[max_cases]", "[max_cases, day_cases]").replace(
        "max_cases: 100,", "max_cases: 100, day_cases: 9,"
    )
    both = (
        '  pro:\n    price: {USD: "10.00"}\n    entitlements:\n'
        '      max_cases: {limit: 1, on_limit: overage, overage_price: {USD: "1"}}\n'
        '      day_cases: {limit: 1, credits_per_unit: "0.1"}\n'
    )
    assert problems_of(text + both) == [
        (12, "plan pro: day_cases and max_cases both charge for case_created; one at most may")
    ]
    one = both.replace(', credits_per_unit: "0.1"', "")
    assert parsing.load(text + one).plan("pro").find_entitlement("day_cases") is not None


def test_not_utf8_is_refused_with_its_line() -> None:
    assert problems_of(b"default_plan: free\nplans: \xff\n") == [(2, "is not UTF-8: invalid start byte")]
    assert problems_of("default_plan: free\nplans: \ud800\n")[0][0] == 2


def test_a_megabyte_is_the_limit() -> None:
    padding = b"#" + b"x" * (1_000_000 - len(HEAD) - 2) + b"\n"
    assert parsing.load(HEAD.encode() + padding).default_plan == "free"
    assert problems_of(HEAD.encode() + b" " + padding) == [(0, "is larger than 1000000 bytes")]


def test_a_billion_laughs_are_refused_at_once() -> None:
    lines = ["a: &a [lol, lol]"] + [
        f"{name}: &{name} [*{before}, *{before}]" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    assert {reason.split(" ")[0] for _, reason in problems_of("\n".join(lines))} >= {"alias", "anchor"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nplans: {" + ", ".join(f"p{n}: {{}}" for n in range(201)) + "}\n", "plans has more than 200 entries"),
        ("a: 1\nplans: [" + ", ".join(f"{{code: p{n}}}" for n in range(201)) + "]\n", "plans has more than 200"),
        ("a: 1\nevents: {" + ", ".join(f"e{n}: []" for n in range(1001)) + "}\n", "events has more than 1000"),
        ("a: 1\nplans: {p: {limits: {" + ", ".join(f"k{n}: 1" for n in range(60_000)) + "}}}\n", "more than 200"),
        ("a: 1\n" + "".join(f"k{n}: 1\n" for n in range(60_000)), "59951 more unknown keys"),
    ],
)
def test_sheer_size_is_refused_fast(text: str, reason: str) -> None:
    before = time.process_time()
    assert any(reason in why for _, why in problems_of(text))
    assert time.process_time() - before < 5


def test_depth_alone_cannot_exhaust_the_stack() -> None:
    assert any("nested more than" in reason for _, reason in problems_of("a: " + "[" * 5000))


def test_a_file_that_cannot_be_read_is_a_problem_too(tmp_path: Path) -> None:
    with pytest.raises(CatalogInvalid, match="cannot be read: No such file"):
        parsing.load(tmp_path / "plans.yaml")
    with pytest.raises(CatalogInvalid, match="cannot be read: Is a directory"):
        parsing.load(tmp_path)


def test_the_message_shows_file_line_and_reason_and_the_details_are_plain() -> None:
    with pytest.raises(CatalogInvalid) as refused:
        parsing.load("default_plan: free\n", "config/plans.yaml")
    assert str(refused.value) == "config/plans.yaml:1: plans is missing"
    assert refused.value.details == {
        "problems": [{"file": "config/plans.yaml", "line": 1, "reason": "plans is missing"}]
    }
