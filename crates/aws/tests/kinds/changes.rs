//! A resource that changes in place, and exactly where it should.

use crate::by_hand::One;
use causeway_core::Resource;

/// Applies `sample`, then each of `changes`, which must touch exactly the named fields and come to rest, and deletes.
pub(crate) async fn life<R: Resource>(mut one: One<'_, R>, sample: R, changes: Vec<(R, &[&str])>) {
    let mut last = sample;
    one.apply(&last).await;
    for (changed, fields) in changes {
        let (_, mut touched) = one.apply(&changed).await;
        touched.sort();
        let mut fields = fields.to_vec();
        fields.sort_unstable();
        assert_eq!(touched, fields, "{}", R::KIND);
        let (_, touched) = one.apply(&changed).await;
        assert!(touched.is_empty(), "{}: a second apply changes {touched:?}", R::KIND);
        last = changed;
    }
    one.delete(&last).await;
}
