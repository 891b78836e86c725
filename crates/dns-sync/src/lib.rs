//! DNS records that follow load balancers by themselves.
//!
//! [Sources](source::Source) say which name leads where. What several reads agree on is the wanted set of a stack of
//! [records](causeway_dns::Record), and the engine does the rest: plan, guard, apply, journal. Of a name whose source did not
//! answer nothing is changed. A journal that is not there is made again from the marks in the zone.
//!
//! Flags, files of reports and exit codes are the program's affair.

mod agree;
pub mod ask;
pub mod config;
mod export;
pub mod lease;
pub mod moving;
pub mod probe;
mod providers;
mod recover;
pub mod source;
pub mod sync;
pub mod undo;
pub mod verify;
pub mod wanted;

pub use config::{Config, File};
pub use export::Exported;
pub use sync::{Options, Outcome, Prepared, Sync, SyncError};
