"""From a template and facts to a message: text and HTML, in the reader's language, every fact escaped where it stands.

texts/<locale>.toml has the words: a subject, paragraphs, perhaps the label of a link. templates/ has the frame.
"""

import tomllib
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import cache
from importlib.resources import files
from uuid import UUID

import jinja2
import msgspec
from markupsafe import Markup

from operis_api.kit.ids import time_of

LOCALES = ("en", "vi")
_FRAMES = jinja2.PackageLoader("operis_api.mail", "templates")
_html = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, loader=_FRAMES, trim_blocks=True)
_text = jinja2.Environment(  # noqa: S701  # plain text knows no markup
    undefined=jinja2.StrictUndefined, loader=_FRAMES, trim_blocks=True, keep_trailing_newline=True
)


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    subject: str
    paragraphs: list[str]
    action: str = ""
    """The label of the link, which is the fact `link`."""


@cache
def read_words(locale: str) -> dict[str, Words]:
    """Return every template's words in one language."""
    source = files("operis_api.mail").joinpath("texts", f"{locale}.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(source), dict[str, Words])


def compose(
    identifier: UUID, *, sender: str, to: str, template: str, locale: str, facts: dict[str, str]
) -> EmailMessage:
    """Return the message. Its id and date follow from `identifier`, so that a second sending is the same mail."""
    words = read_words(locale if locale in LOCALES else LOCALES[0])[template]
    name, address = parseaddr(sender)
    own = Address(name, addr_spec=address)
    message = EmailMessage(policy=SMTP)
    message["From"] = own
    message["To"] = Address(addr_spec=to)
    message["Subject"] = " ".join(_text.from_string(words.subject).render(facts).split())
    message["Date"] = format_datetime(time_of(identifier))
    message["Message-ID"] = f"<{identifier}@{own.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_frame(_text, "frame.txt", words, locale, facts))
    message.add_alternative(_frame(_html, "frame.html", words, locale, facts), subtype="html")
    return message


def _frame(environment: jinja2.Environment, frame: str, words: Words, locale: str, facts: dict[str, str]) -> str:
    paragraphs = [environment.from_string(paragraph).render(facts) for paragraph in words.paragraphs]
    if environment.autoescape:
        paragraphs = [Markup(paragraph) for paragraph in paragraphs]  # noqa: S704  # rendered with its facts escaped
    return environment.get_template(frame).render(
        {"subject": words.subject, "paragraphs": paragraphs, "action": words.action, "locale": locale, **facts}
    )
