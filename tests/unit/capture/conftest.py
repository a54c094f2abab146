"""Property tests here craft packets with scapy, which takes longer on a busy machine: no time limit for an example."""

from hypothesis import HealthCheck, settings

settings.register_profile("packets", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("packets")
