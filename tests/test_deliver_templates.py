"""Templates: what they may contain, their variables, and that no mistake in one loses a message."""

import asyncio
import functools
import logging
import re
from dataclasses import fields
from datetime import UTC
from pathlib import Path
from time import monotonic

import pytest

from budgetd.config import ChannelTable, TemplateFile, load_config
from budgetd.credentials import Secret
from budgetd.deliver.channels import Channel, Letter
from budgetd.deliver.template_trial import Problem, try_template
from budgetd.deliver.templates import LONGEST, Template
from budgetd.errors import ConfigError, TemplateError
from budgetd.planning import make_plan
from budgetd_rules.entries import Entry
from budgetd_rules.formats import Format, write
from budgetd_rules.messages import Message
from budgetd_rules.samples import Sample, sample
from build import NOON
from conftest import WriteConfig
from house import House
from nasty import TEXTS, assert_html, assert_markdown, assert_plain, message_of

OPENED = sample(Sample.OPENED, UTC, NOON)
MANY = sample(Sample.MANY, UTC, NOON)


@functools.cache
def compiled(body: str, to: Format) -> Template:
    return Template(body=body, to=to)


def filled(body: str, message: Message = OPENED, to: Format = Format.TEXT) -> str:
    _, text = compiled(body, to).fill(message, write(message.blocks, to))
    assert text is not None
    return text


def problems(body: str | TemplateFile, title: str | None = None, folder: Path = Path()) -> tuple[Problem, ...]:
    table = ChannelTable(url=Secret("json://localhost"), title=title, body=body)
    template, found = try_template(table, folder, Format.TEXT, UTC)
    assert (template is None) == bool(found)
    return found


# --- what it may say


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param("{{ title }}", OPENED.title, id="the title"),
        pytest.param("{{ text }}", OPENED.body, id="the built-in text"),
        pytest.param("{{ level }}: {{ lines | length }}", "critical: 1", id="level and lines"),
        pytest.param("{{ lines[0].account }}/{{ lines[0].meter }}", "sample/credits", id="a line"),
        pytest.param(
            "{% for line in lines %}\n{{ loop.index }}. {{ line.state }}, {{ line.as_of }}\n{% endfor %}",
            "1. 212.50 credits left (0.4 %), as of 12:00 UTC",
            id="a loop over lines",
        ),
        pytest.param(
            "{% for level, condition in lines[0].conditions %}{{ level }}: {{ condition }}. {% endfor %}",
            "critical: remaining_percent < 5. warning: remaining_percent < 20. ",
            id="a loop over pairs",
        ),
        pytest.param("{{ lines[0].refill }}", "https://sample.example/billing", id="a link"),
        pytest.param("{{ lines[0].fields.remaining }}", "212.50", id="a field in words"),
        pytest.param("{{ lines[0].values.granted - lines[0].values.remaining }}", "49787.50", id="a sum"),
        pytest.param("{{ lines[0].values.remaining * 1.5 / 2 }}", "159.375", id="fractions"),
        pytest.param("{% if lines[0].values.remaining < 212.6 %}low{% else %}fine{% endif %}", "low", id="a condition"),
        pytest.param("{{ 'low' if level in ['critical', 'warning'] else 'fine' }}", "low", id="a choice"),
        pytest.param("{{ lines[0].values.runway_days is none }}", "True", id="what nobody knows"),
        pytest.param("{{ lines[0].fields.nothing | default('-') }}", "-", id="what is not there"),
        pytest.param("{{ lines[0].owner or 'nobody' | upper }} {{ level | upper }}", "owner@sample.example CRITICAL",
                     id="filters"),
        pytest.param("{{ lines | map(attribute='account') | unique | join(', ') }}", "sample", id="several filters"),
        pytest.param("a{# nobody sees this #}b{% raw %}{{ x }}{% endraw %}", "ab{{ x }}", id="comments and raw text"),
        pytest.param("{{ 'a' ~ 1 }}", "a1", id="texts put together"),
    ],
)  # fmt: skip
def test_what_a_template_says(body: str, text: str) -> None:
    assert filled(body) == text


def test_every_name_that_is_documented_is_there() -> None:
    page = (Path(__file__).parent.parent / "docs/messages.md").read_text()
    documented = re.findall(r"^\| `line\.(\w+)", page, re.MULTILINE)
    assert documented == [field.name for field in fields(Entry)]
    for name in documented:
        filled(f"{{{{ lines[0].{name} }}}}.")


def test_the_examples_of_the_documentation_are_good() -> None:
    page = (Path(__file__).parent.parent / "docs/messages.md").read_text()
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert examples
    tables = [table for text in examples for table in _channels(text)]
    assert [try_template(table, Path(), to, UTC)[1] for table in tables for to in Format] == [()] * (3 * len(tables))


def _channels(text: str) -> list[ChannelTable]:
    import tomllib

    return [ChannelTable.model_validate(table) for table in tomllib.loads(text)["channels"].values()]


# --- formats


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("to", Format)
def test_nothing_in_a_template_becomes_markup(text: str, to: Format) -> None:
    names = [field.name for field in fields(Entry) if field.type in (str, "str")]
    body = "".join(
        [
            "{% for line in lines %}x\n",
            *(f"{name}: {{{{ line.{name} }}}}\n" for name in names),
            *(
                f"{{% for name, value in line.{pairs} %}}{{{{ name }}}}: {{{{ value }}}}\n{{% endfor %}}"
                for pairs in ("fields | items", "values | items", "labels | items", "conditions")
            ),
            "{% endfor %}{{ text }}",
        ]
    )
    assert "line.owner" in body
    told, plain = (filled(body, message_of(one, several=True), to) for one in (text, "x"))
    assert told.count("\n") == plain.count("\n")
    if to is Format.HTML:
        assert_html(told, plain)
    elif to is Format.MARKDOWN:
        assert_markdown(told, plain)
    else:
        assert_plain(told)


@pytest.mark.parametrize(
    ("to", "text"),
    [
        (Format.TEXT, "remaining_percent < 5 <b>x</b>"),
        (Format.MARKDOWN, "remaining_percent \\< 5 <b>x</b>"),
        (Format.HTML, "remaining_percent &lt; 5 <b>x</b>"),
    ],
)
def test_values_are_escaped_and_the_template_s_own_text_is_not(to: Format, text: str) -> None:
    assert filled("{{ lines[0].conditions[0][1] }} <b>x</b>", to=to) == text


@pytest.mark.parametrize("to", Format)
def test_the_built_in_text_is_in_the_channel_s_format(to: Format) -> None:
    assert filled("{{ text }}", MANY, to) == write(MANY.blocks, to)


def test_a_title_is_one_plain_line() -> None:
    template = Template(title="\n {{ lines[0].conditions[0][1] }}\n ({{ level }})" + "x" * 500, to=Format.HTML)
    title, body = template.fill(OPENED, "text")
    assert title is not None
    assert title.startswith("remaining_percent < 5 (critical)x")
    assert (len(title), body) == (250, None)


# --- what is no template


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        pytest.param("{{ levle }}", "line 1: nothing is named 'levle'; did you mean level?", id="a name"),
        pytest.param("a\n{% if no %}{% endif %}", "line 2: nothing is named 'no'; known: level, lines, text, title",
                     id="a name that no sample would have met"),
        pytest.param("\n\n{{ lines[0].acount }}", "line 3: a line has no 'acount'; did you mean account? (with the "
                     "sample `opened`)", id="a line's name"),
        pytest.param("{% for line in lines %}\n{{ line.fields.remaining }}\n{% endfor %}", "line 2: not every line has "
                     "'remaining': write remaining | default('') (with the sample `reminder`)", id="not every line's"),
        pytest.param("{{ lines[0].values.runway_days < 2 }}", "line 1: what a vendor does not say is none: ask `is not "
                     "none` before it is compared or computed with (with the sample `opened`)", id="compared to none"),
        pytest.param("{{ lines[0].values.runway_days * 2 }}", "line 1: what a vendor does not say is none: ask `is not "
                     "none` before it is compared or computed with (with the sample `opened`)", id="computed to none"),
        pytest.param("{{ lines[1].state }}", "line 1: there is no '1' in it (with the sample `opened`)",
                     id="a line too many"),
        pytest.param("{{ level", "line 1: unexpected end of template, expected 'end of print statement'", id="an end"),
        pytest.param("{% for x in lines %}", "line 1: Unexpected end of template. Jinja was looking for the following "
                     "tags: 'endfor' or 'else'. The innermost block that needs to be closed is 'for'", id="no end"),
        pytest.param("{{ level | uper }}", "line 1: No filter named 'uper'; did you mean upper?", id="a filter"),
        pytest.param(" ", "it gives an empty text (with the sample `opened`)", id="nothing"),
        pytest.param("{{ 1 / 0 }}", "line 1: it divides by nought, or its numbers grow too large (with the sample "
                     "`opened`)", id="a division"),
        pytest.param("x" * 20_001, "it is longer than 20,000 characters", id="too long"),
        pytest.param("{{ " + "(" * 5_000, "it is nested too deeply", id="too deep"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(body: str, problem: str) -> None:
    assert problems(body) == (("body", problem),)


@pytest.mark.parametrize(
    "body",
    [
        "{% set x = 1 %}", "{% set x %}y{% endset %}", "{% macro f() %}{% endmacro %}", "{{ level.upper() }}",
        "{{ range(9) }}", "{{ 2 ** 9 }}", "{{ '%s' % 1 }}", "{% include 'x' %}", "{% import 'x' as y %}",
        "{% extends 'x' %}", "{% block x %}{% endblock %}", "{% filter upper %}{% endfilter %}",
        "{% call x() %}{% endcall %}", "{% with x = 1 %}{% endwith %}", "{% autoescape false %}{% endautoescape %}",
        "{{ {'a': 1} }}", "{{ 9 // 2 }}",
    ],
)  # fmt: skip
def test_it_is_no_program(body: str) -> None:
    ((key, problem),) = problems(body)
    assert key == "body"
    assert re.fullmatch(r"(line 1: )?.* is not taken; a template has \{\{ names \}\} with filters, .*", problem)


@pytest.mark.parametrize(
    "body",
    [
        "{{ lines.__class__ }}", "{{ lines[0]['__class__'] }}", "{{ lines[0].__init__ }}", "{{ text.__html__ }}",
        "{{ ''.__class__.__mro__ }}", "{{ lines | map(attribute='__class__') | first }}", "{{ text | safe }}",
        "{{ lines | map('attr', 'x') | list }}", "{{ level | center(999999999) }}", "{{ 'a' * 999999999 }}",
        "{{ lines | map('center', 999999999) | list }}", "{{ level | e }}",
    ],
)  # fmt: skip
def test_it_reaches_nothing_else(body: str) -> None:
    with pytest.raises(TemplateError):
        filled(body)


BOMBS = {
    "loops": "{% for a in text %}{% for b in text %}{% for c in text %}{% endfor %}{% endfor %}{% endfor %}x",
    "output": "{% for a in text %}{{ text }}{% endfor %}",
    "joins": "{{ (text | list) | join((text | list) | join(text)) }}",
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS)
def test_what_runs_away_is_stopped(body: str) -> None:
    before = monotonic()
    with pytest.raises(TemplateError):
        filled(body, MANY)
    assert monotonic() - before < 2.5


def test_a_long_built_in_text_is_not_the_template_s_fault() -> None:
    message = Message(title="t", level=None, blocks=OPENED.blocks * 100)
    assert len(filled("{{ text }}", message)) > LONGEST


# --- check


CONFIG = """
[accounts.voice]
provider = "cekura"
api_key = "canary"
[channels.ops]
url = "json://localhost"
"""


def test_check_reports_every_mistake_with_its_key(write_config: WriteConfig, tmp_path: Path) -> None:
    (tmp_path / "ops.txt").write_text("a\nb {{ lin }}")
    path = write_config(f'{CONFIG}title = "{{{{ titel }}}}"\nbody = {{ file = "ops.txt" }}')
    with pytest.raises(ConfigError) as caught:
        make_plan(load_config(path))
    assert caught.value.problems == (
        f"{path}: channels.ops.title: line 1: nothing is named 'titel'; did you mean title?",
        f"{path}: channels.ops.body.file: {tmp_path}/ops.txt: line 2: nothing is named 'lin'; did you mean lines?",
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(None, "can't be read: No such file or directory", id="missing"),
        pytest.param(b"\xff", "is not UTF-8; save the file as UTF-8", id="no text"),
        pytest.param(b"x" * 30_000, "it is longer than 20,000 characters", id="too long"),
    ],
)
def test_a_file_that_is_no_template(tmp_path: Path, content: bytes | None, problem: str) -> None:
    if content is not None:
        (tmp_path / "ops.txt").write_bytes(content)
    found = problems(TemplateFile(file=Path("ops.txt")), folder=tmp_path)
    assert found == (("body.file", f"{tmp_path}/ops.txt: {problem}"),)


def test_a_template_in_a_file_is_read(write_config: WriteConfig, tmp_path: Path) -> None:
    (tmp_path / "ops.txt").write_text("Hello\n{{ text }}\n")
    plan = make_plan(load_config(write_config(f'{CONFIG}body = {{ file = "ops.txt" }}')))
    assert plan.templates["ops"].fill(OPENED, "text") == (None, "Hello\ntext")


def test_a_channel_without_a_template_has_none(write_config: WriteConfig) -> None:
    assert make_plan(load_config(write_config(CONFIG))).templates == {}


# --- at a send


def written(template: Template, message: Message = OPENED, url: str = "json://localhost") -> Letter:
    return asyncio.run(Channel("ops", Secret(url), template=template).write(message))


def test_a_letter_has_the_template_s_words() -> None:
    letter = written(Template(title="[{{ level }}] {{ title }}", body="Hi\n{{ text }}", to=Format.TEXT))
    assert letter.title == f"[critical] {OPENED.title}"
    assert letter.body == letter.words == f"Hi\n{OPENED.body}"


def test_a_title_alone_leaves_the_body() -> None:
    letter = written(Template(title="!", to=Format.TEXT))
    assert (letter.title, letter.body, letter.words) == ("!", OPENED.body, OPENED.body)


@pytest.mark.parametrize(
    "url", ["json://localhost", "json://localhost?format=markdown", "json://localhost?format=html"]
)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param("{{ lines[0].fields.plan }}", id="not every line has it"),
        pytest.param("{{ lines[0].values.remaining < 'x' }}", id="what can't be compared"),
        pytest.param("{{ lines[8].state }}", id="a line that is not there"),
        pytest.param("{% if lines[0].is_over %}over{% endif %}", id="an empty text"),
        *(pytest.param(body, id=f"a bomb of {name}") for name, body in BOMBS.items()),
    ],
)
def test_a_template_that_fails_loses_nothing(body: str, url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "budgetd"):
        letter = written(Template(body=body, to=Format.TEXT), url=url)
    lines = letter.words.split("\n")
    assert letter.title == OPENED.title
    assert letter.words.startswith(OPENED.body)
    assert re.fullmatch(r"\(the channel's template failed: .*\)", lines[-1])
    assert [record.message for record in caplog.records] == ["template failed"]
    assert vars(caplog.records[0])["channel"] == "ops"


def test_a_digest_of_very_many_falls_back_too() -> None:
    """Each line is a step for each other one."""
    body = "{% for a in lines %}{% for b in lines %}{% endfor %}{% endfor %}{{ text }}"
    assert problems(body) == ()
    many = Message(title="t", level=None, blocks=OPENED.blocks, entries=OPENED.entries * 1_000)
    assert "more than 20,000 steps" in written(Template(body=body, to=Format.TEXT), many).body


def test_what_was_told_is_kept_as_it_was_told(tmp_path: Path) -> None:
    house = House(tmp_path / "state.db", templates={"ops": Template(title="!", body="{{ text }}\nBye", to=Format.TEXT)})
    house.balance(90)
    house.deliver(NOON)
    assert house.titles == ["ops: !"]
    assert house.mailbox.bodies[0].endswith("\nBye")
    assert house.rows("SELECT title, body FROM attempts") == [("!", house.mailbox.bodies[0])]
