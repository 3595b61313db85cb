//! xDS compiled into what the proxy looks up, and every decision on a
//! connection or request.
//!
//! [`compile::compile`] turns decoded Envoy v3 messages, resource by
//! resource, into an immutable [`config::Config`]; unchanged resources are
//! shared with the configuration before. [`decision::on_connection`] and
//! [`decision::on_request`] answer what Envoy would do, as data: the proxy
//! acts on the answer, `explain` prints it.
//!
//! The crate never reads a clock, a socket, a file or a source of
//! randomness: random numbers and mutable balancer state come in as
//! arguments. No input makes it panic.

// Fields that Envoy deprecated are still what many control planes send.
#![allow(deprecated)]

pub mod access_log;
pub mod address;
pub mod address_range;
pub mod balance;
pub mod cluster;
pub mod compile;
pub mod config;
pub mod connection_limit;
pub mod cors;
pub mod decision;
pub mod endpoint;
pub mod fault;
pub mod filter_chain;
pub mod fuzz;
pub mod hash;
pub mod hash_policy;
pub mod hcm;
pub mod header_mutation;
pub mod headers;
pub mod http2;
pub mod http_filter;
pub mod invalid;
pub mod istio;
pub mod listener;
pub mod message;
pub mod metadata;
pub mod outlier;
pub mod path;
pub mod percent;
pub mod proxy_protocol;
pub mod redirect;
pub mod regex_match;
pub mod retry;
pub mod retry_guard;
pub mod rewrite;
pub mod route;
pub mod route_match;
pub mod string_match;
pub mod tcp_proxy;
pub mod tls;
pub mod virtual_host;
