//! Integration tests of the whole mesh.
