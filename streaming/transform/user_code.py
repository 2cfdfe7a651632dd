"""The user's own functions: found by name, and how their errors are told: what, and at which line of theirs."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import traceback
from collections.abc import Callable, Iterable
from itertools import dropwhile
from types import FrameType
from typing import Any

from offsets.errors import ConfigError
from streaming.tasks.errors import text_of

_SHIPPED = re.compile(r".*/userFiles-[^/]+/")  # where Spark puts what a job ships: a folder that is gone afterwards
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_PACKAGE = os.path.dirname(os.path.dirname(__file__))
_CALLERS = ("transform", "sinks", "tasks", "run", "direct")  # packages of ours from which the user's code is called
_MACHINERY = (*(os.path.join(_PACKAGE, name) for name in _CALLERS), importlib.__file__)


def load(option: str, name: str) -> Callable[..., Any]:
    """The callable that `option` = `module:function` names.  Raises ConfigError, also for what the import raises."""
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as e:
        raise ConfigError(
            [f"{option} = {name}: {_why_not_loaded(e)}"],
            "correct the name or the module; it lies beside the job file, or is installed",
        ) from e
    if not callable(function):
        raise ConfigError([f"{option} = {name}: is not callable"], "name a function, or for sink.class a class")
    loaded: Callable[..., Any] = function
    return loaded


def refused_arguments(function: Callable[..., Any], arguments: int) -> str | None:
    """Why it cannot be called with so many; None if it can, or if nobody can tell."""
    try:
        inspect.signature(function).bind(*[None] * arguments)
    except TypeError as e:
        return str(e)
    except ValueError:
        pass
    return None


def lies_at(function: Callable[..., Any]) -> str:
    """file:line where a function of the user's begins; its type, if it has none."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{_SHIPPED.sub('', code.co_filename)}:{code.co_firstlineno}" if code else str(type(function).__name__)


def raised(name: str, error: BaseException) -> str:
    """One line: which function raised what, and where."""
    text = " ".join(text_of(error).split())[:300]
    return f"{name} raised {type(error).__name__}: {text} at {raised_at(error)}"


def last_line_of(function: Callable[..., Any], trace: str) -> str:
    """file:line of the function's own file that stands last in the text of a Python trace; empty if none does."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    own = os.path.basename(code.co_filename) if code else None
    found = [f"{path}:{line}" for path, line in _FRAME.findall(trace) if os.path.basename(path) == own]
    return _SHIPPED.sub("", found[-1]) if found else ""


def at_work(frame: FrameType | None) -> str:
    """file:line at which the user's code that we have called is now; `frame`: the innermost of its thread."""
    stack = traceback.StackSummary.extract(traceback.walk_stack(frame), lookup_lines=False)[::-1]
    return _line_in(dropwhile(lambda f: not f.filename.startswith(_MACHINERY), stack))


def raised_at(error: BaseException) -> str:
    """file:line where the user's code raised, or called what raised."""
    return _line_in(traceback.extract_tb(error.__traceback__))


def _line_in(stack: Iterable[traceback.FrameSummary]) -> str:
    """The innermost line in the file of the user's that is entered first; `stack`: outermost first."""
    frames = [f for f in stack if not f.filename.startswith((*_MACHINERY, "<frozen"))]
    if not frames:
        return "the call itself"
    own = [f for f in frames if f.filename == frames[0].filename]
    return f"{_SHIPPED.sub('', own[-1].filename)}:{own[-1].lineno}"


def _why_not_loaded(error: BaseException) -> str:
    """What the import raised, and at which line of the user's code, if it came that far."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_MACHINERY)]
    own = [f for f in frames if not f.filename.startswith("<frozen")]
    return f"{type(error).__name__}: {error}" + (f" at {own[-1].filename}:{own[-1].lineno}" if own else "")
