"""Markup: HTML built from elements, so that text from a file can only ever be text.

``element("td", name)`` escapes ``name``, because it is a plain string; the result is :class:`Html` and is not escaped
again when it becomes a child. The same text has to be made safe twice more, for plotly, which reads a subset of HTML in
labels and hovers (:func:`label`), and for JSON inside a ``<script>`` element (:func:`script_json`).
"""

import html
import json

__all__ = ["Html", "element", "join", "label", "script_json"]

VOID = {"meta", "br", "hr"}


class Html(str):
    """Markup that is safe to put on the page as it is."""

    __slots__ = ()


def join(*children: str) -> Html:
    """The children side by side; those that are plain strings are escaped.

    Example:
        >>> join("a < b", Html("<br>"))
        'a &lt; b<br>'
    """
    return Html("".join(child if isinstance(child, Html) else html.escape(child) for child in children))


def element(name: str, /, *children: str, **attributes: str) -> Html:
    """One element; ``class_`` is class, and underscores inside a name are hyphens.

    Example:
        >>> element("td", "<b>", class_="number", data_sort="1")
        '<td class="number" data-sort="1">&lt;b&gt;</td>'
    """
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{given}>" if name in VOID else f"<{name}{given}>{join(*children)}</{name}>")


def label(text: str, limit: int = 60) -> str:
    """Text for a plotly label, legend or hover: shortened, on one line, and nothing in it is a tag.

    Example:
        >>> label("<b>bold</b>"), label("0123456789", limit=6)
        ('&lt;b&gt;bold&lt;/b&gt;', '01234…')
    """
    flat = " ".join(text.split())
    return html.escape(flat if len(flat) <= limit else flat[: limit - 1] + "…", quote=False)


def script_json(data: object) -> Html:
    """JSON that cannot end the script element it stands in.

    Example:
        >>> script_json({"name": "</script>"})
        '{"name":"\\\\u003c/script\\\\u003e"}'
    """
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Html(text)
