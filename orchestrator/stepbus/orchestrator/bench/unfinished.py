"""Why a measurement came to nothing.

```
Unfinished(Exception)   there is no figure: something did not happen, or not in time
```
"""


class Unfinished(Exception):
    """There is no figure; the text says what was expected and what was found."""
