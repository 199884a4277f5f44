"""Plugins: discovery, isolation, the catalogue of their parts, and a run's events passed on to them."""

from __future__ import annotations

from ganzoo.plugins.catalogue import Catalogue, load_catalogue
from ganzoo.plugins.discovery import EVENTS, Entry, Plugin, Problem
from ganzoo.plugins.events import Events

__all__ = ["EVENTS", "Catalogue", "Entry", "Events", "Plugin", "Problem", "load_catalogue"]
