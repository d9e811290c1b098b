"""Options and the configuration file: one table (`vio4wd.config.table`), everything else derived from it."""
