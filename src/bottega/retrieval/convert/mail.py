"""E-mail: who wrote what to whom and when; what is attached is a document of its own."""

import email
import email.policy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.message import EmailMessage, MIMEPart
from typing import cast

from bottega.retrieval.chunk import Block, clean
from bottega.retrieval.convert import html, text
from bottega.retrieval.convert.reading import Pages, Reading

_HEADERS = ("From", "To", "Cc", "Date")


@dataclass(frozen=True)
class Attached:
    """A file in a message."""

    name: str
    data: bytes


def read(reading: Reading) -> Pages:
    """One page: the subject as heading, the headers that people read, then the text, plain if there is a plain one."""
    message = parse(reading.data)
    subject = _header(message, "Subject")
    said = [f"{name}: {value}" for name in _HEADERS if (value := _header(message, name))]
    blocks = [Block(subject or "(no subject)", "heading", 1), Block("\n".join(said))]
    body = message.get_body(("plain", "html"))
    if body is not None:
        content = _text_of(body)
        inner = replace(reading, data=content.encode())
        reader = html if body.get_content_subtype() == "html" else text
        blocks += [block for page in reader.read(inner) for block in page]
    names = [each.name for each in attached(message)]
    if names:
        reading.notes.append(f"attached: {', '.join(names[:10])}" + (" and more" if len(names) > 10 else ""))
    return [blocks]


def parse(data: bytes) -> EmailMessage:
    """A message from its bytes; a damaged one gives what can be read of it."""
    return email.message_from_bytes(data, policy=email.policy.default)


def attached(message: EmailMessage) -> Iterator[Attached]:
    """Every file in a message, messages that were forwarded whole among them, each with a name of its own."""
    used: set[str] = set()
    body = message.get_body(("plain", "html"))
    for number, part in enumerate(_parts(message), start=1):
        if part is body or (part.get_content_maintype() == "text" and not part.get_filename()):
            continue
        forwarded = part.get_content_type() == "message/rfc822"
        data = _forwarded(part) if forwarded else part.get_payload(decode=True)
        if not isinstance(data, bytes) or not data:
            continue
        name = clean(part.get_filename() or "").replace("/", "_").replace("\n", " ")
        name = name or f"part-{number}"
        if forwarded and not name.lower().endswith(".eml"):
            name += ".eml"
        while name in used:
            name = f"{number}-{name}"
        used.add(name)
        yield Attached(name, data)


def _parts(message: EmailMessage) -> Iterator[EmailMessage]:
    """The leaves, without going into forwarded messages."""
    for part in message.iter_parts() if message.is_multipart() else ():
        inner = cast(EmailMessage, part)
        if inner.get_content_maintype() == "multipart":
            yield from _parts(inner)
        else:
            yield inner


def _forwarded(part: EmailMessage) -> bytes:
    inner = part.get_payload()
    return cast(list[EmailMessage], inner)[0].as_bytes() if isinstance(inner, list) and inner else b""


def _text_of(body: MIMEPart) -> str:
    raw = body.get_payload(decode=True)
    data = raw if isinstance(raw, bytes) else b""
    try:
        return data.decode(body.get_content_charset() or "utf-8")
    except (LookupError, UnicodeDecodeError):
        return data.decode("utf-8", errors="replace")


def _header(message: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(message.get(name, "")).split())
    except (ValueError, LookupError, TypeError, AttributeError):  # headers that break the rules
        return ""
