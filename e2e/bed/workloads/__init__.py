"""The workload controllers of a cluster, simulated: Deployment, ReplicaSet and EndpointSlice.

They are level-triggered, keep no state that they could read, and know neither sockets nor a clock
of their own. The embedded bed runs them beside its store; the simulated world of `tests/world/`
runs them in virtual time.
"""
