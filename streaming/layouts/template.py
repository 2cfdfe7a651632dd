"""The language of sink.path.format.  Pure.

A template is made of components, `/` between them.  A component holds plain letters, strftime directives and at most
one `{name}`: with two, values could share a folder ("1-2" and "3", "1" and "2-3").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

# Of a fixed width each, whatever the machine's language.
DIRECTIVES: Mapping[str, Callable[[datetime], str]] = {
    "Y": lambda t: f"{t.year:04}",
    "m": lambda t: f"{t.month:02}",
    "d": lambda t: f"{t.day:02}",
    "H": lambda t: f"{t.hour:02}",
    "M": lambda t: f"{t.minute:02}",
    "j": lambda t: f"{t.timetuple().tm_yday:03}",
    "G": lambda t: f"{t.isocalendar()[0]:04}",
    "V": lambda t: f"{t.isocalendar()[1]:02}",
    "u": lambda t: f"{t.isocalendar()[2]}",
}
MAX_LITERAL = 100  # bytes of a component, which leaves as many for its value
_PART = re.compile(r"\{(\w+)\}|%(.)|([A-Za-z0-9.~_=-]+)|(.)", re.ASCII | re.DOTALL)


class Part(NamedTuple):
    """A piece of a component; `kind`: text, time or name."""

    kind: str
    text: str


def parsed(template: str) -> tuple[tuple[Part, ...], ...]:
    """The template's components.  Raises ValueError that says what is wrong with it."""
    return tuple(_component(text) for text in template.split("/"))


def template_problems(template: str) -> list[str]:
    try:
        parsed(template)
    except ValueError as e:
        return [str(e)]
    return []


def _component(text: str) -> tuple[Part, ...]:
    parts = [_part(match) for match in _PART.finditer(text)]
    if not parts:
        raise ValueError("has an empty component: it begins or ends with /, or holds //")
    if parts[0].kind == "text" and parts[0].text[0] in "._":
        raise ValueError(f"component {text!r} begins with {parts[0].text[0]!r}, so no reader would see it")
    if sum(part.kind == "name" for part in parts) > 1:
        raise ValueError(f"component {text!r} holds more than one {{name}}; put / between them")
    if len(text) > MAX_LITERAL:
        raise ValueError(f"component {text[:20]!r}... is longer than {MAX_LITERAL}")
    return tuple(parts)


def _part(match: re.Match[str]) -> Part:
    name, directive, text, other = match.groups()
    if directive is not None and directive not in DIRECTIVES:
        raise ValueError(f"%{directive} is none of {' '.join('%' + d for d in DIRECTIVES)}")
    if other is not None:
        raise ValueError(f"{other!r} can only come from data: use letters, digits and . _ = ~ - besides {{name}} and %")
    return Part("name", name) if name else Part("time", directive) if directive else Part("text", text)
