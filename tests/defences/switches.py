"""The switch list: each defence, its place in the product, and the edit that takes it out. For tests alone.

An edit is made while a module is imported (`removed.py`), in the test's process and nowhere else. A defence
that has moved or is written otherwise now fails `tests/unit/test_threats_page.py`: write its edit anew, in
`switches_at_the_phone.py` or `switches_at_the_issuer.py`.
"""

from __future__ import annotations

from tests.defences.switch import Switch
from tests.defences.switches_at_the_issuer import at_the_issuer
from tests.defences.switches_at_the_phone import at_the_phone

SWITCHES: dict[str, Switch] = {switch.name: switch for switch in (*at_the_phone(), *at_the_issuer())}
