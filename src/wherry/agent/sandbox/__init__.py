"""What surrounds the containers of a task on its host: network, ENI, cgroup and files, by the kernel's interfaces."""
