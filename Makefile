# Targets for people; `make setup` first, the others do it by themselves.
.PHONY: setup demo test sriov lint dpdk install uninstall clean

python = .venv/bin/python

setup:
	@scripts/setup

demo: setup
	@$(python) scripts/demo.py

test: setup lint
	$(python) -m pytest

# Real VFs, in an emulated machine: see docs/sriov.md.
sriov: setup
	@scripts/setup-sriov
	@$(python) scripts/sriov.py

lint:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# A DPDK with room for 64 relays (Debian's is made for 32 ports); rebuilds the binding against it.
dpdk: setup
	@scripts/build-dpdk
	PKG_CONFIG_PATH=.build/dpdk/lib/pkgconfig $(python) setup.py -q build_ext --inplace --force

# For use without the checkout; PREFIX, DESTDIR and others: see scripts/install.
install:
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" COMPATDIR="$(COMPATDIR)" scripts/install

uninstall:
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" COMPATDIR="$(COMPATDIR)" scripts/install uninstall

clean:
	rm -rf .build .venv build *.egg-info vio4wd/dpdk/_binding*.so vio4wd/dpdk/_binding.c
	find . -name __pycache__ -prune -exec rm -rf {} +
