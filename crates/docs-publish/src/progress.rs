//! What is told while something takes its time.

/// A moment of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// So many objects have to be made, with so many bytes to send, beside what is compressed.
    Begin {
        /// Objects.
        objects: usize,
        /// Bytes.
        bytes: u64,
    },
    /// One more is there.
    Made {
        /// Bytes that were sent for it.
        bytes: u64,
    },
    /// The bucket is looked over before the switch.
    Proving,
    /// Visitors get the release from now on.
    Switched,
    /// An invalidation is waited for.
    Invalidating,
    /// Edges are being told of a change of the distribution, which is waited for.
    Deploying,
    /// The edge is asked.
    Verifying,
}

/// Who is told.
pub type Watch<'a> = &'a (dyn Fn(Event) + Sync);
