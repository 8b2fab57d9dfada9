"""Publishing to a folder, such as one that GitHub Pages serves.

Everything is written beside the folder first, so that a full disk changes nothing. A new folder is then put in place by
one renaming. In an earlier publication file after file is replaced, the list of digests first: who is stopped in
between gives the same command again. Removed is only what the earlier publication itself wrote and the new one has no
more; what else lies there stays.
"""

import contextlib
import shutil
from pathlib import Path

from eggym.errors import BadValue
from eggym.files import unwritable

from .publication import SUMS, Plan, Planned, sums

NOJEKYLL = Planned(".nojekyll", b"")  # or GitHub Pages leaves out what begins with an underscore
_OTHERS = {".git", "CNAME", NOJEKYLL.path}  # what a folder for GitHub Pages may hold before


def plan_folder(files: tuple[Planned, ...], built: Path, target: str) -> Plan:
    """Return what publishing to a folder would write and remove.

    Raises:
        BadValue: something else than an earlier publication lies there, or a link on the way.
    """
    folder = Path(target)
    if folder.resolve() == built.resolve() or built.resolve() in folder.resolve().parents:
        raise BadValue(f"{target} is the built site, or lies in it; publish to another folder")
    before = _before(folder)
    whole = tuple(sorted([*(file for file in files if file.path != NOJEKYLL.path), NOJEKYLL], key=lambda one: one.path))
    names = {file.path for file in whole}
    gone = {name for name in before.keys() - names if Path(name).parts[0] not in _OTHERS}
    removed = tuple(sorted(name for name in gone if (folder / name).exists()))
    for name in (*names, *removed):
        _refuse_detour(folder, name)
    same = sum(_is(folder / file.path, file) for file in whole)
    notes = [f"{same} of these files are there already"] if same else []
    return Plan("folder", str(folder), target, whole, removed, tuple(notes))


def write_folder(plan: Plan) -> None:
    """Carry it out.

    Raises:
        EggymError: the folder cannot be written.
    """
    folder = Path(plan.where)
    part = folder.absolute().parent / f".{folder.absolute().name}.part"
    changed = [file for file in plan.files if not _is(folder / file.path, file)]
    try:
        shutil.rmtree(part, ignore_errors=True)
        for file in changed:
            place = part / file.path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.content)
        if not folder.exists() or not any(folder.iterdir()):
            part.rename(folder)
            return
        for name in plan.removed:
            _remove(folder, name)
        for file in sorted(changed, key=lambda one: one.path != SUMS):
            (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
            (part / file.path).replace(folder / file.path)
    except OSError as problem:
        raise unwritable(folder, problem) from problem
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _before(folder: Path) -> dict[str, str]:
    """Return what an earlier publication wrote, by path."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise BadValue(f"{folder} is no folder; publish to another")
    here = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if here <= _OTHERS:
        return {}
    if not (folder / SUMS).is_file():
        raise BadValue(
            f"{folder} holds something else than an earlier publication (it has no {SUMS}); publish to another folder"
        )
    return sums((folder / SUMS).read_text(encoding="utf-8", errors="replace"), str(folder / SUMS))


def _refuse_detour(folder: Path, name: str) -> None:
    """Refuse to write or remove through a link, or where a folder lies."""
    path = folder / name
    link = next(
        (one for one in (path, *path.parents) if one != folder and folder in one.parents and one.is_symlink()), None
    )
    if link is not None:
        raise BadValue(f"{link} is a link; take it away, or publish to another folder")
    if path.is_dir():
        raise BadValue(f"{path} is a folder, and a file of the site has its name; take it away")


def _is(path: Path, file: Planned) -> bool:
    return path.is_file() and not path.is_symlink() and path.read_bytes() == file.content


def _remove(folder: Path, name: str) -> None:
    path = folder / name
    path.unlink(missing_ok=True)
    for parent in path.parents:
        if parent == folder:
            break
        with contextlib.suppress(OSError):  # it is not empty
            parent.rmdir()
