//! One binary: command line, control plane, proxy, local mesh.
