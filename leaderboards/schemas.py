"""JSON Schemas of what lies on a board, made from the models that read it.

They tell another program the form of a file: names, types, ranges, what may be missing. What they cannot tell is
whether its numbers agree with each other and with the files beside it; `eggym board verify` does.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from eggym.files import write_bytes
from eggym.record import Measured, Record

from .board import Board
from .ledger import Event
from .stored import Manifest

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = Path(__file__).parent / "schema"  # where those of this eggym lie
# the number is that of the form: a file of another form has another schema
MODELS: Mapping[str, type[BaseModel]] = {
    "record-1.json": Record,
    "measured-1.json": Measured,
    "manifest-1.json": Manifest,
    "ledger-line-1.json": Event,
    "board-1.json": Board,
}


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of a model, as files have its fields."""
    return {"$schema": DIALECT, **model.model_json_schema(by_alias=True, mode="validation")}


def write_schemas(folder: Path) -> list[Path]:
    """Write every schema into a folder, which is made, and return the files.

    Raises:
        EggymError: one cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, model in MODELS.items():
        path = folder / name
        text = json.dumps(schema(model), indent=2, sort_keys=True, ensure_ascii=True)
        write_bytes(path, f"{text}\n".encode())
        paths.append(path)
    return paths
