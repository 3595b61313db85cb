//! A mesh on this machine: pods as processes in network namespaces.
