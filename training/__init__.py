"""How models are trained: datasets, members, and the engine that trains them.

The public names and the modules they live in are listed in `__init__.pyi`. They are imported when
first used, so that importing this package never imports Keras.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
