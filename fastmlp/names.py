"""How a name or an instance becomes the thing it stands for: closed tables, never an import or an eval."""

from collections.abc import Mapping
from typing import Any, TypeVar

from .errors import check_text, unknown_name

T = TypeVar("T")


def find(
    kind: str,
    identifier: object,
    table: Mapping[str, type[T]],
    base: type[Any] | tuple[type[Any], ...],
    example: str,
    aliases: Mapping[str, str] | None = None,
) -> T:
    """Return ``identifier`` if it is a ``base``, or a new one with default arguments by its name in ``table``.

    Parameters
    ----------
    kind : str
        What is looked for, as the messages call it.
    identifier : object
        A name or an instance.
    table : mapping
        Classes by name.
    base : type or tuple of types
        What instances are of.
    example : str
        An instance as a user would write it, for the message.
    aliases : mapping, optional
        Other names of names in the table.

    Raises
    ------
    ValueError
        For an unknown name; the message has the nearest ones.
    TypeError
        For anything else.
    """
    if isinstance(identifier, base):
        instance: T = identifier
        return instance
    if not isinstance(identifier, str):
        called = getattr(identifier, "__name__", None)
        if isinstance(identifier, type) and issubclass(identifier, base):
            hint = f"; did you mean {called}()?"
        else:
            hint = f"; did you mean {called!r}?" if called in table else ""
        raise TypeError(
            f"{kind} must be a name or an instance such as {example}, got {identifier!r} "
            f"of type {type(identifier).__name__}{hint}"
        )
    names = aliases or {}
    name = names.get(identifier, identifier)
    if name not in table:
        raise unknown_name(kind, identifier, [*table, *names])
    return table[name]()


def own_name(instance: Any) -> None:
    """Check the name that an instance of a frozen dataclass was given; without one it has that of its class."""
    if instance.name is None:
        object.__setattr__(instance, "name", type(instance).name)
    check_text("name", instance.name)
