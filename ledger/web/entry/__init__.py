"""Who may come in, as what, how often, and what is written down of it.

same origin? (gate.py) → who: token, session, proxy, loopback (admission.py) → not too often (pace.py) → on → audit.py
"""
