"""Settings: what an operator can say, typed and checked, loaded once.

``load_settings`` reads a ``mailu.env`` and the environment and returns a frozen ``Settings`` or raises
``SettingsError`` with everything that is wrong. The variables are declared in ``sections``, one subject a file;
``docs/settings.md`` is generated from them.
"""

from mailu.settings.load import Loaded, SettingsError, load, load_settings
from mailu.settings.model import BY_NAME, VARIABLES, Settings
from mailu.settings.values import Network, Rate, Routed

__all__ = [
    "BY_NAME",
    "VARIABLES",
    "Loaded",
    "Network",
    "Rate",
    "Routed",
    "Settings",
    "SettingsError",
    "load",
    "load_settings",
]
