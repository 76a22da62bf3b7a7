"""What all tests share: hypothesis without deadlines (a loaded machine is no fault), and the same examples in each CI run."""

import os

from hypothesis import settings

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
