"""Options that several commands share: a dataclass is a group, its fields are the options.

    @dataclass(frozen=True, kw_only=True)
    class PlaceOptions:
        folder: Annotated[Path, typer.Option(help="Where to.")]
        threads: Annotated[int, typer.Option(min=0, help="Processor threads.")] = 0

    @app.command()
    @spread_options
    def build(place: PlaceOptions, count: Annotated[int, typer.Option(help="How many.")] = 1) -> None:
        make(place.folder, count)

`build --help` lists --folder, --threads and --count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints


def spread_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` as typer wants it: the fields of its dataclass parameters are parameters of their own."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}
    parameters: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        if name in groups:
            parameters += _options(groups[name])
        else:
            parameters.append(parameter.replace(annotation=hints[name], kind=Parameter.KEYWORD_ONLY))

    def spread(**values: Any) -> None:
        built = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**built, **values)

    spread.__name__, spread.__doc__, spread.__module__ = command.__name__, command.__doc__, command.__module__
    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    vars(spread)["__signature__"] = Signature(parameters)
    return spread


def _options(group: type[Any]) -> list[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            annotation=hints[field.name],
            default=Parameter.empty if field.default is MISSING else field.default,
        )
        for field in fields(group)
    ]
