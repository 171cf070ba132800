"""JSON bodies of the console, of feedback and of operators."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from gatekeeper.service.errors import MalformedRequestError
from gatekeeper.wire import parse_object

B = TypeVar("B", bound=BaseModel)


def read_body(data: bytes, model: type[B]) -> B:
    """A JSON body as a model.

    Raises:
        WireError: it is no JSON object.
        MalformedRequestError: it is another object.
    """
    try:
        return model.model_validate(parse_object(data))
    except ValidationError as error:
        told = error.errors()[0]
        where = ".".join(map(str, told["loc"])) or "the whole"
        raise MalformedRequestError(
            f"expected a {model.__name__}, got an object that is none ({where}: {told['msg']}): "
            "correct it"
        ) from error
