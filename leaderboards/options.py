"""What the verbs of ``eggym board`` share; nothing heavy is imported here."""

from pathlib import Path
from typing import Annotated

import typer

HOME = Path("leaderboards")  # below the present folder
Root = Annotated[Path, typer.Option("--root", help="Folder with boards, records and ledger.")]
