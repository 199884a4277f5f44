"""The source text of small plugins."""

from __future__ import annotations

GOOD = """
    import ganzoo

    @ganzoo.hookimpl
    def register_losses(register):
        register("good", "{module}:Good")

    class Good(ganzoo.Loss):
        '''A loss that works.'''
        margin: float = 1.0
        def discriminator(self, s): return s.real.mean()
        def generator(self, s): return s.fake.mean()
"""

HEAD = """
import ganzoo
hook = ganzoo.hookimpl

@hook
def register_losses(register):
    register("part", "nowhere:Part")

"""
