"""Exceptions as text, for the list beside quarantined records."""

from types import TracebackType

_MAX_FRAMES = 20
"""Maximum number of functions of one exception in a text. The host keeps 4 KiB."""
_MAX_MESSAGE = 1_000
"""Maximum number of characters of an exception's own message."""


def describe(error: BaseException) -> str:
    """Returns type and message of an exception, and file, line and function of each frame, the innermost first.

    Python's own `traceback` reads the source files. A sandbox has no files, so it would break there and hide the
    exception.
    """
    parts, seen = [], set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        parts.append("\n".join([_title(one), *_frames(one.__traceback__)]))
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return "\ncaused by ".join(parts)


def _title(error: BaseException) -> str:
    try:
        message = str(error)[:_MAX_MESSAGE]
    except Exception:
        message = "(its message cannot be read)"
    name = type(error).__qualname__
    # A syntax error is in the file that could not be read, and not in a frame.
    place = f' (File "{error.filename}", line {error.lineno})' if isinstance(error, SyntaxError) else ""
    return f"{name}: {message}{place}" if message else name + place


def _frames(trace: TracebackType | None) -> list[str]:
    frames = []
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f'  File "{code.co_filename.removeprefix(_FOLDER)}", line {trace.tb_lineno}, in {code.co_name}')
        trace = trace.tb_next
    frames.reverse()
    left = len(frames) - _MAX_FRAMES
    return frames[:_MAX_FRAMES] + ([f"  and {left} more"] if left > 0 else [])


_FOLDER = describe.__code__.co_filename.removesuffix("sluice/exceptions.py")
"""Folder of the project, as the frames name it."""
