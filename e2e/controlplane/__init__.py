"""The real bed: etcd, kube-apiserver and kube-controller-manager, with processes for pods."""
