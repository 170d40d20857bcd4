"""The fault campaign: real workers on real databases under real faults, and a checker that trusts none of them."""
