"""Base class of every stage's parameters: typed, frozen, and strict about unknown keys."""

from pydantic import BaseModel, ConfigDict


class Params(BaseModel):
    """A section of params.yaml. Unknown or ill-typed keys are errors, so that a misspelling never passes silently."""

    model_config = ConfigDict(extra="forbid", frozen=True)
