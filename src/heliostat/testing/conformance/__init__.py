"""The promises, as tests that every store must pass.

A store's author writes a fixture ``open_store`` (see ``fixtures``) and one module of tests that says
``from heliostat.testing.conformance import *``.
"""

# ruff: noqa: E402, F403 - a module of tests takes in all of them at once, and first pytest is to know of them

from pkgutil import iter_modules

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))

from heliostat.testing.conformance.cancelling import *
from heliostat.testing.conformance.deadlines import *
from heliostat.testing.conformance.definitions import *
from heliostat.testing.conformance.finishing import *
from heliostat.testing.conformance.fixtures import *
from heliostat.testing.conformance.hand import *
from heliostat.testing.conformance.holds import *
from heliostat.testing.conformance.operating import *
from heliostat.testing.conformance.p01_one_transaction import *
from heliostat.testing.conformance.p02_once_in_effect import *
from heliostat.testing.conformance.p03_accepted_is_kept import *
from heliostat.testing.conformance.p04_nothing_stuck_in_silence import *
from heliostat.testing.conformance.p05_order import *
from heliostat.testing.conformance.p06_joins_fire_once import *
from heliostat.testing.conformance.p07_ending_is_clean import *
from heliostat.testing.conformance.p08_the_story_stays import *
from heliostat.testing.conformance.p10_costs import *
from heliostat.testing.conformance.p11_time_is_given import *
from heliostat.testing.conformance.p12_bad_input import *
from heliostat.testing.conformance.queues import *
from heliostat.testing.conformance.reopening import *
from heliostat.testing.conformance.rerunning import *
from heliostat.testing.conformance.reviews import *
from heliostat.testing.conformance.schedules import *
from heliostat.testing.conformance.subworkflows import *
