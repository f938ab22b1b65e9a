"""Steps and their dependencies as a picture for a terminal: pure functions from what is known to what is seen.

```
graph ─▶ layers (who stands where) ─▶ tracks (where the lines run) ─▶ picture (characters) ─▶ board (colours, progress)
```
"""
