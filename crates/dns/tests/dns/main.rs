//! Records, owners and calls, on providers of several kinds.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

#[cfg(feature = "cloudflare")]
mod acme;
#[cfg(feature = "rfc2136")]
mod bind;
#[cfg(feature = "cloudflare")]
mod cloudflare;
#[cfg(feature = "cloudflare")]
mod description;
mod engine;
mod guards;
mod properties;
#[cfg(feature = "route53")]
mod route53;
#[cfg(feature = "cloudflare")]
mod sandboxed;
mod world;
