"""What surrounds a task's containers on its host: network namespace, ENI, cgroup and files, by the kernel's interfaces."""
