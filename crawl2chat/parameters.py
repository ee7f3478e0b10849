"""Base class of every stage's parameters: typed, frozen, and strict about unknown keys."""

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]  # of lines, characters, documents …


class Params(BaseModel):
    """A section of params.yaml. Unknown or ill-typed keys are errors, so that a misspelling never passes silently."""

    # Fields that say where a stage runs and not what comes out.
    placement: ClassVar[frozenset[str]] = frozenset()
    model_config = ConfigDict(extra="forbid", frozen=True)
