"""From one dialect to another: requests there, answers and streams back.

Its one rule: what can be said in both is said unchanged, hints are left out, and anything else is refused by its name.
"""
