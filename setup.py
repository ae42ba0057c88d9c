"""Everything about the package stands in setup.cfg; this file is for tools that start here."""

from setuptools import setup

setup()
