"""Parts of a message in both dialects: texts, images, documents. Each function has its inverse beside it."""

import base64
import binascii

from operis_api.gateway.dialects.translation.reading import Json, Members
from operis_api.gateway.errors import InvalidBody

PDF = "application/pdf"
PLAIN = "text/plain"
_NAMES = {PDF: "document.pdf", PLAIN: "document.txt"}
"""What a document without a title is called where a name is needed."""


def part_to_block(part: Members) -> Json:
    """Return a part of a chat message as a content block."""
    part.drop("prompt_cache_breakpoint")
    match kind := part.need_text("type"):
        case "text":
            block: Json = {"type": "text", "text": part.need_text("text")}
        case "image_url":
            image = part.need_object("image_url")
            image.drop("detail")
            url = image.need_text("url")
            media = _split_data_url(url)
            source: Json = {"type": "url", "url": url}
            if media:
                source = {"type": "base64", "media_type": media[0], "data": media[1]}
            block = {"type": "image", "source": source}
            image.end()
        case "file":
            block = _file_to_document(part.need_object("file"))
        case _:
            raise part.refusal(f"type ({kind})")
    part.end()
    return block


def block_to_part(block: Members) -> Json:
    """Return a content block as a part of a chat message."""
    block.drop("cache_control")
    match kind := block.need_text("type"):
        case "text":
            block.take_unless("citations", [])
            part: Json = {"type": "text", "text": block.need_text("text")}
        case "image":
            part = {"type": "image_url", "image_url": {"url": _image_url(block.need_object("source"))}}
        case "document":
            block.take_unless("citations", {}, {"enabled": False})
            part = {"type": "file", "file": _document_to_file(block.need_object("source"), block.take_text("title"))}
        case _:
            raise block.refusal(f"type ({kind})")
    block.end()
    return part


def _file_to_document(file: Members) -> Json:
    url, name = file.take_text("file_data"), file.take_text("filename")
    file.end()  # a file_id names what only its own provider keeps
    media, data = _split_data_url(url or "") or (None, "")
    if media not in _NAMES:
        raise file.refusal("file_data")
    title: Json = {} if name is None or name == _NAMES[media] else {"title": name}
    if media == PDF:
        return {"type": "document", "source": {"type": "base64", "media_type": PDF, "data": data}, **title}
    try:
        text = base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidBody(f"{file.where('file_data')} is not UTF-8 in base64.") from None
    return {"type": "document", "source": {"type": "text", "media_type": PLAIN, "data": text}, **title}


def _image_url(source: Members) -> str:
    match kind := source.need_text("type"):
        case "base64":
            url = f"data:{source.need_text('media_type')};base64,{source.need_text('data')}"
        case "url":
            url = source.need_text("url")
        case _:
            raise source.refusal(f"type ({kind})")
    source.end()
    return url


def _document_to_file(source: Members, title: str | None) -> Json:
    match kind := source.need_text("type"):
        case "base64":
            media, data = source.need_text("media_type"), source.need_text("data")
        case "text":
            media, data = source.need_text("media_type"), base64.b64encode(source.need_text("data").encode()).decode()
        case _:
            raise source.refusal(f"type ({kind})")
    source.end()
    return {"filename": title or _NAMES.get(media, "document"), "file_data": f"data:{media};base64,{data}"}


def _split_data_url(url: str) -> tuple[str, str] | None:
    """Return media type and base64 data of a data URL, None of any other."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    media, _, encoding = head.partition(";")
    if not comma or encoding.rpartition(";")[2].lower() != "base64":
        raise InvalidBody("A data URL is not `data:<media type>;base64,<data>`.")
    return media.lower(), data
