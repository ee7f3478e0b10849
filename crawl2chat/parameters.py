"""Base class of all parameters: typed, frozen, and strict about unknown keys."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Of lines, characters, documents …
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Params(BaseModel):
    """Named values of one kind. Unknown or ill-typed keys are errors, so that a misspelling never passes silently."""

    model_config = ConfigDict(extra="forbid", frozen=True)
