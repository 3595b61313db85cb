//! The data path against programs that others wrote.

mod grpc;
mod h2spec;
mod stand;
