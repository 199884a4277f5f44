"""One training step: rounds, losses, penalties and updates, and the state that they change.

``game`` is the step in the order of its equations. Beside it stands what surrounds a step: ``environment`` (the one
value that a game is given), ``build`` (the kind of game that an environment asks for), ``accumulate``,
``shared_backward``, ``lookahead``, ``nonfinite``, ``parametrizations``, ``host``, ``randomness``, ``gradients`` and
``state``.
"""
