"""Templates: the same in both languages, and nothing that a fact holds gets out of its place."""

from email.message import EmailMessage

import jinja2
import jinja2.meta
import pytest

from operis_api.kit.ids import new_id
from operis_api.mail.composing import LOCALES, compose, read_words

FACTS = {
    name: f"<{name}>"
    for name in (
        "name",
        "hours",
        "minutes",
        "days",
        "moment",
        "origin",
        "address",
        "left",
        "link",
        "inviter",
        "organization",
        "role",
        "key",
        "place",
        "passkey",
        "end",
        "provider",
    )
}


def write(template: str, locale: str = "en", **facts: str) -> EmailMessage:
    return compose(
        new_id(),
        sender="Operis <no-reply@operis.test>",
        to="ada@example.com",
        template=template,
        locale=locale,
        facts={**FACTS, **facts},
    )


def bodies(message: EmailMessage) -> list[str]:
    return [str(part.get_content()) for part in message.iter_parts() if isinstance(part, EmailMessage)]


def facts_named(locale: str, template: str) -> set[str]:
    words = read_words(locale)[template]
    trees = [jinja2.Environment().parse(text) for text in (words.subject, *words.paragraphs)]
    found: set[str] = set()
    for tree in trees:
        found |= jinja2.meta.find_undeclared_variables(tree)
    return found


def test_both_languages_have_the_same_templates_with_the_same_facts() -> None:
    english, vietnamese = (read_words(locale) for locale in LOCALES)
    assert list(english) == list(vietnamese)
    assert len(english) >= 12
    for template in english:
        assert facts_named("en", template) == facts_named("vi", template)
        assert bool(english[template].action) == bool(vietnamese[template].action)
        assert len(english[template].paragraphs) == len(vietnamese[template].paragraphs)
        assert english[template].subject != vietnamese[template].subject


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("template", list(read_words("en")))
def test_each_template_is_whole_and_escapes_its_facts_in_html_alone(template: str, locale: str) -> None:
    text, html = bodies(write(template, locale))
    words = read_words(locale)[template]
    named = facts_named(locale, template)
    if words.action:
        named.add("link")
    for name in named:
        assert f"<{name}>" in text
        assert f"<{name}>" not in html
        assert f"&lt;{name}&gt;" in html
    assert "{{" not in text + html
    assert f'lang="{locale}"' in html


def test_a_template_in_a_fact_is_text() -> None:
    text, html = bodies(write("reset_password", name="{{ 7 * 7 }}{% include 'frame.txt' %}"))
    assert "{{ 7 * 7 }}" in text
    assert "49" not in html


@pytest.mark.parametrize("to", ["ada@example.com\r\nBcc: eve@example.com", "ada@example.com, eve@example.com", "ada"])
def test_a_recipient_that_is_more_than_one_address_is_never_written(to: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        compose(new_id(), sender="Operis <a@b.test>", to=to, template="reset_password", locale="en", facts=FACTS)


def test_facts_cannot_add_headers() -> None:
    message = write("reset_password", name="Ada\r\nBcc: eve@example.com\r\n\r\nhello", link="x\r\nBcc: eve@example.com")
    assert message["Bcc"] is None
    assert sorted(message.keys()) == [
        "Auto-Submitted",
        "Content-Type",
        "Date",
        "From",
        "MIME-Version",
        "Message-ID",
        "Subject",
        "To",
    ]
