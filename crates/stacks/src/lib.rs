//! What each target consists of. A target is a configuration, which says what people choose, and a plain function
//! that turns it into a [`Stack`](causeway_core::Stack). No flags, no files, no terminal.

mod certificate;
pub mod cloudfront;
pub mod config;
pub mod dns;
pub mod ecs;
pub mod eks;
mod legal;
pub mod nat;
pub mod state;
mod variables;
