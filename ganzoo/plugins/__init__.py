"""Plugins: discovery, isolation, the catalogue of parts, and the events of a run, passed on to plugins."""

from __future__ import annotations

from ganzoo.plugins.catalogue import Catalogue, load_catalogue
from ganzoo.plugins.discovery import EVENTS, Entry, Plugin, Problem
from ganzoo.plugins.events import Events

__all__ = ["EVENTS", "Catalogue", "Entry", "Events", "Plugin", "Problem", "load_catalogue"]
