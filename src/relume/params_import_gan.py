"""What must agree between `import_gan` and the other sections. `params` alone uses this."""

from collections.abc import Iterable, Mapping
from typing import Any


def between(built: Mapping[str, Any]) -> Iterable[str]:
    """Both kinds of generators lie in `models/gan/`: a name is one's only."""
    trained = built["train_gan"].models
    for name in built["import_gan"].models:
        if name in trained:
            yield f"import_gan.models.{name}: the name belongs to a generator of train_gan"
