"""Source `folder`: any tree of pictures, an archive of one, or one picture."""

from pathlib import Path

from relume.core.download import check
from relume.core.errors import UserError
from relume.data.archives import is_archive, is_picture, pictures_in
from relume.data.config import Folder
from relume.data.locate import look, missing
from relume.data.pictures import Contents, File, Picture, limited
from relume.data.trees import by_folder, classes, every


def contents(config: Folder, scratch: Path) -> Contents:
    given = Path(config.path).expanduser()
    path = given if given.exists() else look(config.path)
    if path is None:
        raise UserError(f"path: {missing(config.path)}, nor below the project's root")
    if config.sha256 is not None:
        if path.is_dir():
            raise UserError(f"sha256: {path} is a folder, which has none")
        check(path, sha256=config.sha256, hint="find the right file, or correct `sha256`")
    pictures = _pictures(config, path, scratch)
    if not pictures:
        raise UserError(f"path: there is no picture in {path}")
    limits = {"test": config.test, "val": config.val, "train": config.train}
    return Contents(
        pictures=limited(pictures, limits, config.seed),
        classes=classes(pictures),
        licence=config.licence,
        origin=[{"name": path.name, "sha256": config.sha256}],
    )


def _pictures(config: Folder, path: Path, scratch: Path) -> list[Picture]:
    if path.is_file() and not is_archive(path):
        if not is_picture(path.name):
            raise UserError(f"path: {path} is neither a folder, an archive nor a picture by its name")
        return [Picture(path.stem, "test", "", path.name, File(path.name, path))]
    found = pictures_in(path, scratch)
    if config.split == "folders":
        return by_folder(found, str(path))
    return every(found, test_every=config.test_every, val_every=config.val_every)
