//! `docs-publish`: flags in, report out. What it does is done by the libraries.

fn main() {}
