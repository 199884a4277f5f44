"""One training step: rounds, losses, penalties, updates, and the state of a run.

``game`` is the step in the order of the equations. The other files hold the surroundings of a step: ``environment``
(the one value that a game is given), ``build`` (the kind of game that an environment asks for), ``accumulate``,
``shared_backward``, ``lookahead``, ``nonfinite``, ``parametrizations``, ``host``, ``randomness``, ``gradients`` and
``state``.
"""
