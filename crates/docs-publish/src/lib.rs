//! Publishes a static site all at once: see [`causeway_site`] for what it looks like in its bucket.
