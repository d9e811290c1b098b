"""Settings of all tests."""

import hypothesis

# The same examples in each run, and no limit on the time of one: a loaded machine fails no test.
hypothesis.settings.register_profile("vio4wd", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("vio4wd")
