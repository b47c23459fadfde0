"""A readable name for a user agent, as far as the demo needs one."""

# The order matters: most call themselves Chrome as well, and all but Firefox call themselves Safari.
_BROWSERS = [
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
]
_SYSTEMS = ["Windows", "Android", "iPhone", "iPad", "Mac OS", "CrOS", "Linux"]


def describe(user_agent):
    """ "Firefox on Linux"; an unknown user agent is shown as it is."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), None)
    system = next((name for name in _SYSTEMS if name in user_agent), None)
    if browser is None:
        return user_agent[:60] or "Unknown"
    return browser if system is None else f"{browser} on {system}"
