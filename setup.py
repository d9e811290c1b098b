"""Names the cffi extension; everything else about the project is in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=["vio4wd/dpdk/build.py:ffibuilder"])
