"""The embedded bed: API emulator, workload controllers, kubelet, proxy and load."""
