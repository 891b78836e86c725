//! Journals in a local folder. What folds reads back as it was written; an entry that is refused changes nothing; an
//! incarnation is recorded once; a file that is torn anywhere is what was whole before, and can be gone on with; and what
//! stands before something made up is never lost by it.
#![no_main]

mod common;

use causeway_core::{
    history,
    journal::{Entry, Stamped, State},
    store::{LocalStore, Store, StoreError},
};
use common::{choose, leaks, told};
use std::{fs, path::PathBuf, sync::LazyLock};

/// A journal as an apply writes it.
const GOOD: &[u8] = include_bytes!("../seeds/journal/applied.jsonl");

/// Read before anything else, as it goes through the same file.
static WHOLE: LazyLock<Vec<Stamped>> = LazyLock::new(|| FILE.load(GOOD).expect("the journal is whole"));
static FILE: LazyLock<File> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder").keep();
    File { path: folder.join("journal.jsonl"), store: LocalStore::new(folder) }
});

struct File {
    path: PathBuf,
    store: LocalStore,
}

impl File {
    fn load(&self, bytes: &[u8]) -> Result<Vec<Stamped>, StoreError> {
        fs::write(&self.path, bytes).expect("the file can be written");
        now(self.store.load())
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> =
        LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().expect("a runtime"));
    RUNTIME.block_on(future)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    LazyLock::force(&WHOLE);
    match FILE.load(data) {
        Ok(entries) => {
            folds(entries.clone());
            is_torn(data, &entries);
        }
        Err(error) => {
            let told = told(&error);
            assert!(matches!(error, StoreError::Decode { .. }) && told.contains("does not decode"), "{told}");
        }
    }
    has_another_tail(data);
});

/// Renumbers, so that lines which moved or went still follow each other.
fn folds(found: Vec<Stamped>) {
    let (mut state, mut entries) = (State::default(), vec![]);
    for entry in found {
        let entry = Stamped { seq: state.seq + 1, ..entry };
        let before = state.clone();
        match state.push(&entry) {
            Ok(()) => entries.push(entry),
            Err(error) => {
                assert_eq!(state, before, "an entry that is refused changes nothing");
                assert!(told(&error).contains("cannot follow"));
            }
        }
        let mut all: Vec<_> = state.incarnations().map(|(a, r)| (a.clone(), r.instance.clone())).collect();
        let many = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), many, "an incarnation is recorded once");
        for (_, record) in state.incarnations() {
            let _ = (record.applied(), record.sent());
        }
    }
    assert_eq!(State::fold(&entries).expect("each entry was taken before"), state);
    let mut text = vec![];
    for entry in &entries {
        serde_json::to_writer(&mut text, entry).expect("an entry is plain data");
        text.push(b'\n');
    }
    assert_eq!(FILE.load(&text).expect("what was written is read"), entries);
    let _ = history::runs(&entries);
    let _ = history::between(&entries, 1, state.seq);
    for address in state.records.keys().take(3) {
        let _ = history::blame(&entries, &address.0);
        let _ = history::blame(&entries, &format!("{address}.name"));
    }
    if !leaks(&String::from_utf8_lossy(&text)) {
        keeps_its_key(&entries);
    }
}

/// The key of the digests shows nowhere but in the file.
fn keeps_its_key(entries: &[Stamped]) {
    let Some(Stamped { entry: Entry::Opened { seal_key, .. }, .. }) = entries.first() else { return };
    let mut keyed = entries.to_vec();
    let canary = causeway_core::secret::SealKey::fixed(common::CANARY);
    if let Entry::Opened { seal_key: key, .. } = &mut keyed[0].entry {
        *key = canary;
    }
    assert!(!leaks(&format!("{keyed:?} {:?} {seal_key:?}", State::fold(&keyed))));
}

/// Cut anywhere, a file has the entries that are whole, and the next one is written over what is left of the cut one.
fn is_torn(data: &[u8], entries: &[Stamped]) {
    let torn = &data[..choose(data, 0, data.len() + 1)];
    let found = FILE.load(torn).expect("what is cut has no line that was not there");
    assert_eq!(found, entries[..found.len()]);
    let last = found.last().map_or(0, |e| e.seq);
    let Some(next) = last.checked_add(1) else { return };
    let next = Stamped { seq: next, ..WHOLE[0].clone() };
    now(FILE.store.append(last, std::slice::from_ref(&next))).expect("it goes on");
    let after = now(FILE.store.load()).expect("what was written is read");
    assert_eq!((&after[..found.len()], &after[found.len()..]), (&found[..], &[next][..]));
}

/// Something made up stands in place of the end of a journal: it is refused, or the beginning is what it was.
fn has_another_tail(data: &[u8]) {
    let [one, two, tail @ ..] = data else { return };
    let kept = usize::from(u16::from_le_bytes([*one, *two])) % GOOD.len();
    let whole = GOOD[..kept].iter().filter(|b| **b == b'\n').count();
    let Ok(found) = FILE.load(&[&GOOD[..kept], tail].concat()) else { return };
    assert_eq!(found[..whole], WHOLE[..whole], "what was whole is as it was");
    match State::fold(&found) {
        Ok(state) => assert_eq!(state.seq, found.len() as u64, "no gaps"),
        Err(error) => assert!(error.seq > whole as u64 || found[..].len() > whole, "{error}"),
    }
}
