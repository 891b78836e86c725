//! `backups-off`: a database that nobody could bring back to where it was yesterday.

use crate::rds::Instance;
use causeway_core::{guard::Rules, lint::Breach, wanted::Wanted};

pub(super) fn judge(wanted: &[Wanted], _: &Rules) -> Vec<Breach> {
    let off = |w: &Wanted| {
        let days = w.spec::<Instance>()?.backup_retention_period;
        let breach = || {
            Breach::of(w, "backup_retention_period", "is 0: no backups would be made", "keep them for 7 days")
        };
        (days == Some(0)).then(breach)
    };
    wanted.iter().filter_map(off).collect()
}
