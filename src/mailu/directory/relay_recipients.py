"""For whom mail is taken in a relayed domain, so that what is taken can be passed on and no bounce hits a bystander.

========  ==============================================================================================
ask       those whom the target server takes mail for: Postfix asks it while the sender waits (verify(8))
listed    the localparts that are kept with the domain, with any detail
any       everybody; what the target refuses afterwards comes back to senders that may be forged
========  ==============================================================================================
"""

from __future__ import annotations

ASK, LISTED, ANY = "ask", "listed", "any"
RECIPIENT_MODES = (ASK, LISTED, ANY)
