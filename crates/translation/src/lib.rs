//! The whole mesh and one node, turned into that node's xDS.
