"""A refusal, for the OpenAPI document; `problems.py` makes them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    model_config = ConfigDict(populate_by_name=True)

    place: str = Field(alias="in", description="query, path, header or body")
    field: str
    problem: str


class ProblemModel(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(description="What kind of problem, as a link into the API's own documentation")
    title: str
    status: int
    detail: str = Field(description="What to do")
    instance: str = Field(description="The request's id; the API's log has it, too")
    errors: list[FieldProblem] | None = Field(None, description="Of what is not valid: field by field")
