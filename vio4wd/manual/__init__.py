"""Man pages and shell completion of all commands, made from their parsers and the table of options.

`python -m vio4wd.manual DIRECTORY` writes them; `make install` puts them into the prefix's share/. Nothing in
the daemon imports this.
"""
