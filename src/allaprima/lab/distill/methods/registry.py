"""The methods by name: a new one is a file beside this and a line here."""

from __future__ import annotations

from allaprima.lab.distill.methods.add import AddSettings
from allaprima.lab.distill.methods.dmd import DmdSettings
from allaprima.lab.distill.methods.lcm import LcmSettings
from allaprima.lab.distill.methods.method import MethodSettings
from allaprima.lab.distill.methods.turbo import TurboSettings

METHODS: dict[str, type[MethodSettings]] = {
    settings.method: settings for settings in (TurboSettings, LcmSettings, AddSettings, DmdSettings)
}
