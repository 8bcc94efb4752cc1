"""Source `folder`: any tree of images, an archive of one, or one image."""

from pathlib import Path

from relume.core.download import check
from relume.core.errors import UserError
from relume.data.archives import images_in, is_archive, is_image
from relume.data.config import Folder
from relume.data.locate import find_local, not_found
from relume.data.pictures import Contents, File, Picture, limited
from relume.data.trees import by_folder, classes, every


def contents(config: Folder, scratch: Path) -> Contents:
    given = Path(config.path).expanduser()
    path = given if given.exists() else find_local(config.path)
    if path is None:
        raise UserError(f"path: {not_found(config.path)}; paths are relative to the project's root")
    if config.sha256 is not None:
        if path.is_dir():
            raise UserError(f"sha256: {path} is a folder; allowed for files only")
        check(path, sha256=config.sha256, hint="replace the file, or correct `sha256`")
    pictures = _pictures(config, path, scratch)
    if not pictures:
        raise UserError(f"path: no image found in {path}")
    limits = {"test": config.test, "val": config.val, "train": config.train}
    return Contents(
        pictures=limited(pictures, limits, config.seed),
        classes=classes(pictures),
        licence=config.licence,
        origin=[{"name": path.name, "sha256": config.sha256}],
    )


def _pictures(config: Folder, path: Path, scratch: Path) -> list[Picture]:
    if path.is_file() and not is_archive(path):
        if not is_image(path.name):
            raise UserError(f"path: {path} has an unknown extension; allowed: a folder, an archive or an image")
        return [Picture(path.stem, "test", "", path.name, File(path.name, path))]
    found = images_in(path, scratch)
    if config.split == "folders":
        return by_folder(found, str(path))
    return every(found, test_every=config.test_every, val_every=config.val_every)
