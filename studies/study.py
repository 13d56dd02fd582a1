"""Functions that run a study, made from those that plan it: each signature is written once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from dropout_zoo.studies.plan import Execution, StudyPlan
from dropout_zoo.studies.result import StudyResult

P = ParamSpec("P")
Result = TypeVar("Result", bound=StudyResult)
Result_co = TypeVar("Result_co", bound=StudyResult, covariant=True)

_EXECUTION = "    execution: where and how the study is run; see `Execution`."
_FAILED = "    RuntimeError: every training run failed."


class Study(Protocol[P, Result_co]):
    """A function that plans a study and runs it: the planning function, plus `execution`."""

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result_co: ...

    # Python's types cannot add a keyword to a signature, so this overload checks only that keyword.
    @overload
    def __call__(self, *args: Any, execution: Execution | None, **kwargs: Any) -> Result_co: ...


def study(
    plan: Callable[P, StudyPlan[Result]],
) -> Callable[[Callable[[], None]], Study[P, Result]]:
    """Make the function that runs a study from the one that plans it.

    Args:
        plan: the planning function.

    Returns:
        A decorator for an empty function, whose name and docstring are used. The function that it
        returns takes the arguments of `plan` and `execution`. Its docstring gains the arguments
        and errors of `plan`.
    """

    def decorate(described: Callable[[], None]) -> Study[P, Result]:
        @functools.wraps(described)
        def run(*args: Any, execution: Execution | None = None, **kwargs: Any) -> Result:
            return plan(*args, **kwargs).run(execution)

        run.__doc__ = _documentation(described.__doc__ or "", plan.__doc__ or "")
        run.__signature__ = _signature(plan, described)  # type: ignore[attr-defined]
        return cast(Study[P, Result], run)

    return decorate


def _signature(plan: Callable[..., Any], described: Callable[..., Any]) -> inspect.Signature:
    signature = inspect.signature(plan)
    parameters = list(signature.parameters.values())
    execution = Parameter(
        "execution", Parameter.KEYWORD_ONLY, default=None, annotation="Execution | None"
    )
    settings = [each for each in parameters if each.kind is Parameter.VAR_KEYWORD]
    others = [each for each in parameters if each.kind is not Parameter.VAR_KEYWORD]
    returned = signature.return_annotation
    if isinstance(returned, str):  # of StudyPlan[Result], Result
        returned = returned.removeprefix("StudyPlan[").removesuffix("]")
    return signature.replace(parameters=[*others, execution, *settings], return_annotation=returned)


def _documentation(own: str, planned: str) -> str:
    """The docstring of a study, with the arguments and errors of its plan."""
    found, of_plan = _sections(own), _sections(planned)
    sections = [
        found.get("", ""),
        f"Args:\n{of_plan['Args']}\n{_EXECUTION}" if "Args" in of_plan else "",
        f"Returns:\n{found['Returns']}" if "Returns" in found else "",
        f"Raises:\n{of_plan['Raises']}\n{_FAILED}" if "Raises" in of_plan else "",
        f"Example:\n{found['Example']}" if "Example" in found else "",
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _sections(docstring: str) -> dict[str, str]:
    """The sections of a docstring in Google style, the text before them under an empty name."""
    sections: dict[str, list[str]] = {"": []}
    name = ""
    for line in inspect.cleandoc(docstring).splitlines():
        if line in ("Args:", "Returns:", "Raises:", "Example:"):
            name = line[:-1]
            sections[name] = []
        else:
            sections[name].append(line)
    return {name: "\n".join(lines).rstrip() for name, lines in sections.items()}
